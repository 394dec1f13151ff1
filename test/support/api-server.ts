// The API on a log in memory, with the real decoder, listening on a port of the system's choice.

import type { ApiOptions } from '../../src/api/options.ts'
import { type ApiServer, createServer } from '../../src/api/server.ts'
import { Commander } from '../../src/commands/commander.ts'
import type { Command, Entry, Message, Source } from '../../src/core/contract.ts'
import type { DeviceProfile } from '../../src/core/profile.ts'
import { createRouter, type Router } from '../../src/decode/router.ts'
import { Live } from '../../src/live/live.ts'
import type { StateLimits } from '../../src/live/state.ts'
import type { WindowLimits } from '../../src/live/window.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'
import { type MemoryLog, memoryLog } from './memory-log.ts'

export interface TestApi {
  readonly url: string
  readonly log: MemoryLog
  readonly live: Live
  readonly server: ApiServer
  readonly meter: ReturnType<typeof rememberingMeter>
  readonly logger: ReturnType<typeof rememberingLogger>
  /** Resolves with the seq once durable and fed. */
  publish(topic: string, payload: string): Promise<number>
}

export interface TestApiOptions {
  readonly api?: Partial<ApiOptions>
  readonly log?: MemoryLog
  /** Without it, no device profiles. */
  readonly router?: Router
  readonly windowLimits?: WindowLimits
  readonly stateLimits?: StateLimits
  readonly profiles?: readonly DeviceProfile[]
  /** What the source `broker` does with commands; it takes none where absent. */
  readonly send?: (command: Command) => Promise<void>
}

interface Teardown {
  teardown: (work: () => Promise<void>) => void
}

export const message = (topic: string, payload: string | Buffer): Message => ({
  topic,
  payload: Buffer.from(payload),
  source: 'broker',
  qos: 1,
  retain: false,
})

const silentSource = (send: (command: Command) => Promise<void>): Source => ({
  start: async () => undefined,
  health: () => ({ state: 'ok', since: 0 }),
  close: async () => undefined,
  send,
  publishes: true,
})

export const startApi = async (t: Teardown, options: TestApiOptions = {}): Promise<TestApi> => {
  const log = options.log ?? memoryLog()
  const meter = rememberingMeter()
  const logger = rememberingLogger()
  const clock = {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    bootId: '00000000-0000-4000-8000-000000000001',
    synced: () => true,
  }
  const router = options.router ?? createRouter(options.profiles ?? [])
  const { decode } = router
  const live = new Live({
    decode,
    mayBeDevice: (...about) => router.mayBeDevice(...about),
    clock,
    meter,
    logger,
    reader: () => log.reader(),
    durable: () => log.durable,
    ...(options.windowLimits && { windowLimits: options.windowLimits }),
    ...(options.stateLimits && { stateLimits: options.stateLimits }),
  })
  await live.start(new AbortController().signal)
  const { send } = options
  const commander = new Commander({
    sources: () => (send === undefined ? [] : [{ name: 'broker', source: silentSource(send) }]),
    heard: (device) => live.state.origin(device),
    profiles: options.profiles ?? [],
    intake: log,
    clock,
    logger,
    meter,
  })
  const stop = log.onDurable((entries: readonly Entry[]) => live.feed(entries))
  const server = createServer({
    listen: { host: '127.0.0.1', port: 0 },
    gateway: 'greenhouse',
    version: '0.0.0-test',
    logger,
    meter,
    clock,
    tokens: [],
    origins: [],
    live,
    intake: log,
    decode,
    decoders: new Map(),
    commands: commander,
    status: () => {
      throw new Error('no status in this test')
    },
    metrics: async () => '# HELP tidegate_x x\n',
    readiness: () => ({ ready: true, reasons: [] }),
    webDirectory: new URL('./no-dashboard', import.meta.url).pathname,
    ...options.api,
  })
  const { address } = await server.start()
  t.teardown(async () => {
    await server.close()
    await commander.close()
    stop()
    await live.close()
    await log.close()
  })
  return {
    url: address,
    log,
    live,
    server,
    meter,
    logger,
    publish: (topic, payload) => log.deliver(message(topic, payload)),
  }
}
