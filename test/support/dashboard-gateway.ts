// The parts of a gateway that the dashboard talks to: a log in memory, live values, the real API. Can be stopped and started
// on the same port, publish while it is stopped, and lose the beginning of its log.

import { createHash } from 'node:crypto'
import { type ApiServer, createServer } from '../../src/api/server.ts'
import type { Clock } from '../../src/core/contract.ts'
import type { StatusReport } from '../../src/core/status.ts'
import { createRouter } from '../../src/decode/router.ts'
import { Live } from '../../src/live/live.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'
import { memoryLog } from './memory-log.ts'
import { until } from './until.ts'

export interface DashboardGateway {
  readonly url: string
  /** Overrides parts of the status. */
  status: Partial<StatusReport>
  publish(topic: string, payload: string): void
  stop(): Promise<void>
  start(): Promise<void>
  /** Retention takes everything up to here. */
  forget(seq: number): void
  /** Turns the gateway's clock on. */
  advance(ms: number): void
  /** Another log under the same address. */
  replaceLog(): void
}

export interface DashboardGatewayOptions {
  /** The bundled page. */
  readonly web: string
  readonly token?: string
}

export const dashboardGateway = async (
  t: { teardown(work: () => Promise<void>): void },
  { web, token }: DashboardGatewayOptions,
): Promise<DashboardGateway> => {
  const startedAt = Date.now()
  const { decode } = createRouter([])
  let aheadMs = 0
  const clock: Clock = {
    wallMs: () => Date.now() + aheadMs,
    monotonicMs: () => performance.now() + aheadMs,
    bootId: '00000000-0000-4000-8000-000000000001', // the one that the log in memory writes
    synced: () => true,
  }
  let log = memoryLog(clock.wallMs)
  let running: { readonly server: ApiServer; readonly live: Live; readonly unfeed: () => void } | undefined
  let port = 0
  let url = ''

  const status = (live: Live): StatusReport => ({
    gateway: 'greenhouse',
    version: '0.1.0',
    healthy: true,
    reasons: [],
    startedAt,
    uptimeSeconds: (Date.now() - startedAt) / 1_000,
    seq: log.durable,
    sources: [
      { name: 'broker', type: 'mqtt-broker', state: 'ok', since: startedAt, detail: { address: '127.0.0.1:1883' } },
    ],
    log: { ...log.info(), bytes: 25 * 2 ** 20 },
    sinks: [],
    live: live.status(),
    clock: { time: clock.wallMs(), synced: true, bootId: clock.bootId },
    memory: { rssBytes: 80 * 2 ** 20, heapUsedBytes: 30 * 2 ** 20, externalBytes: 2 ** 20 },
    ...gateway.status,
  })

  const start = async () => {
    await until('what was published is durable', () => log.durable === (log.entries.at(-1)?.seq ?? 0))
    const [logger, meter] = [rememberingLogger(), rememberingMeter()]
    const live = new Live({ decode, reader: () => log.reader(), durable: () => log.durable, clock, meter, logger })
    await live.start(new AbortController().signal)
    // The log in memory has a clock of its own.
    const unfeed = log.onDurable((entries) =>
      live.feed(entries.map((entry) => ({ ...entry, monotonicMs: entry.monotonicMs + aheadMs }))),
    )
    const hash = token === undefined ? undefined : `sha256:${createHash('sha256').update(token).digest('hex')}`
    const server = createServer({
      listen: { host: '127.0.0.1', port },
      gateway: 'greenhouse',
      version: '0.1.0',
      logger,
      meter,
      clock,
      tokens: hash === undefined ? [] : [{ name: 'test', hash }],
      origins: [],
      live,
      intake: log,
      decode,
      decoders: new Map(),
      status: () => status(live),
      metrics: async () => '',
      readiness: () => ({ ready: true, reasons: [] }),
      webDirectory: web,
    })
    running = { server, live, unfeed }
    const { address } = await server.start()
    url = `${address}/`
    port = Number(new URL(address).port)
  }
  const stop = async () => {
    const stopping = running
    running = undefined
    stopping?.unfeed()
    await stopping?.server.close()
    await stopping?.live.close()
  }

  const gateway: DashboardGateway = {
    get url() {
      return url
    },
    status: {},
    publish: (topic, payload) => {
      log.append({ topic, payload: Buffer.from(payload), source: 'broker', qos: 1, retain: false })
    },
    start,
    stop,
    forget: (seq) => log.forget(seq),
    advance: (ms) => {
      aheadMs += ms
    },
    replaceLog: () => {
      log = memoryLog(clock.wallMs)
    },
  }
  t.teardown(stop)
  await start()
  return gateway
}
