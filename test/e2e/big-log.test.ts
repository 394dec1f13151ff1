// A start on a large log, none of it settled: what opening it reads and takes in memory does not grow with the log. Two starts
// in one run are compared in bytes; times on a shared machine say little. Then the gateway itself on the larger one.

import t from 'tap'
import { message, openTestLog } from '../support/durable-log.ts'
import { prepareGateway } from '../support/gateway.ts'
import { occupyPort } from '../support/port.ts'
import { bundled, runTraced } from '../support/strace.ts'
import { until } from '../support/until.ts'

const MIB = 2 ** 20
/** The larger log; the smaller one is a quarter of it. The long run has the 4 GiB of the largest logs that are sensible. */
const LARGE_BYTES = process.env['TIDEGATE_LONG'] === '1' ? 4_096 * MIB : 320 * MIB
const PAYLOAD_BYTES = 4_096
/** Of what the log grew: what is read of a sealed segment of 16 MiB is its header and its footer. */
const MAX_READ_SHARE = 0.002
/** Garbage that happened not to be collected yet. */
const MAX_GROWTH_BYTES = 16 * MIB
/** A gateway with an upstream, whatever its log is like. */
const MAX_GATEWAY_BYTES = 400 * MIB

t.setTimeout(900_000)

/** Until the log has so many bytes; then it is killed, so to speak. */
const fill = async (data: string, bytes: number): Promise<void> => {
  const log = await openTestLog(t, data, { maxBytes: 8_192 * MIB })
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x')
  for (let n = 0; log.info().bytes < bytes; ) {
    for (let more = 0; more < 256; more++) {
      payload.write(`{"n":${n++},"text":"`)
      payload.write('"}', PAYLOAD_BYTES - 2)
      log.append(message(payload, `sensors/${n % 100}`))
    }
    await log.ready()
  }
  await log.close()
}

interface Start {
  readonly logBytes: number
  readonly segments: number
  readonly readBytes: number
  readonly peakBytes: number
  readonly tookMs: number
}

const figures = ({ logBytes, segments, readBytes, peakBytes, tookMs }: Start): string =>
  `${Math.round(logBytes / MIB)} MiB in ${segments} segments: ${Math.round(readBytes / 1_024)} KiB read, ${Math.round(peakBytes / MIB)} MiB resident, ${Math.round(tookMs)} ms`

t.test('opening the log reads and takes no more, however large it is', async (t) => {
  const away = await occupyPort()
  t.teardown(() => away.close())
  const sinks = [{ name: 'hub', type: 'amqp1', url: `amqp://127.0.0.1:${away.port}` }]
  const gateway = await prepareGateway(t, { log: { maxBytes: '8GiB' }, sinks })
  const program = await bundled(t, new URL('../support/log-start.ts', import.meta.url))
  const start = async (): Promise<Start> => {
    const { lines, errors } = await runTraced(program, [gateway.data])
    const [line] = lines
    if (line === undefined) throw new Error(errors)
    return JSON.parse(line) as Start
  }
  await fill(gateway.data, LARGE_BYTES / 4)
  // The first start finds a clean stop, the second what the first one left.
  const clean = [await start()]
  const unclean = [await start()]
  await fill(gateway.data, LARGE_BYTES)
  clean.push(await start())
  unclean.push(await start())
  for (const [what, [small, large]] of Object.entries({ clean, unclean })) {
    if (small === undefined || large === undefined) throw new Error('not measured')
    const grown = large.logBytes - small.logBytes
    t.ok(grown > 0.7 * LARGE_BYTES, `the log grew by ${Math.round(grown / MIB)} MiB`)
    t.ok(large.readBytes - small.readBytes < MAX_READ_SHARE * grown, `${what}: what is read does not grow with it`)
    t.ok(large.peakBytes - small.peakBytes < MAX_GROWTH_BYTES, `${what}: nor does memory`)
    t.comment(`after ${what === 'clean' ? 'a clean' : 'an unclean'} stop, log of ${figures(small)}; ${figures(large)}`)
  }

  const startedAt = performance.now()
  await gateway.start()
  const tookMs = performance.now() - startedAt
  await until('all of it is owed', async () => {
    const status = await gateway.status()
    return status.sinks[0]?.backlogMessages === status.seq
  })
  const { peakBytes } = await gateway.memory()
  t.ok(peakBytes < MAX_GATEWAY_BYTES, `the gateway takes ${Math.round(peakBytes / MIB)} MiB at most`)
  t.comment(
    `the gateway started on it in ${Math.round(tookMs)} ms, at most ${Math.round(peakBytes / MIB)} MiB resident`,
  )
})
