import { test } from 'tap'
import { COMMAND_SOURCE } from '../../src/core/command.ts'
import type { Decode, Entry } from '../../src/core/contract.ts'
import type { DeviceProfile } from '../../src/core/profile.ts'
import { createRouter } from '../../src/decode/router.ts'
import { createShaping } from '../../src/decode/shaping.ts'
import { Live } from '../../src/live/live.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { profileOf } from '../support/decoding.ts'
import { memoryLog } from '../support/memory-log.ts'
import { until } from '../support/until.ts'

test('what a profile says about the shape of its readings holds for live values, not for others', async (t) => {
  const quiet = profileOf('quiet', [{ topics: ['quiet/{device}'], decoder: 'json' }], {
    shape: [{ names: ['t'], deadband: 1 }],
  })
  const log = memoryLog()
  const shaping = createShaping([quiet])
  const live = new Live({
    decode: createRouter([quiet]).decode,
    ...(shaping && { shaping }),
    reader: () => log.reader(),
    durable: () => log.durable,
    clock: turnableClock(),
    meter: rememberingMeter(),
    logger: rememberingLogger(),
  })
  t.teardown(() => live.close())
  await live.start(new AbortController().signal)
  let seq = 0
  const say = (topic: string, value: number): void => {
    const message = { topic, payload: Buffer.from(`{"t":${value}}`), source: 'b', qos: 1 as const, retain: false }
    const entry: Entry = { ...message, seq: ++seq, kind: 'message', receivedAt: seq, monotonicMs: seq, bootId: 'x' }
    live.feed([entry])
  }
  for (const value of [20, 20.5, 22, 22.9]) for (const topic of ['quiet/a', 'loud/a']) say(topic, value)
  t.match(live.state.readingsOf('a'), [{ name: 't', seq: 5 }])
  t.match(live.state.readingsOf('loud/a'), [{ name: 't', seq: 8 }])
})

const shapedLive = (profiles: readonly DeviceProfile[], decode: Decode = createRouter(profiles).decode) => {
  const log = memoryLog()
  const shaping = createShaping(profiles)
  const live = new Live({
    decode,
    ...(shaping && { shaping }),
    reader: () => log.reader(),
    durable: () => log.durable,
    clock: turnableClock(),
    meter: rememberingMeter(),
    logger: rememberingLogger(),
  })
  return { live, log }
}

const entryOf = (seq: number, topic: string, payload: string, atMs: number, source: string): Entry => ({
  topic,
  payload: Buffer.from(payload),
  source,
  qos: 1,
  retain: false,
  seq,
  kind: 'message',
  receivedAt: atMs,
  monotonicMs: atMs,
  bootId: 'x',
})

test('the arrival that ends the window of a silent device makes it neither heard nor moved to another source', async (t) => {
  const mean = profileOf('mean', [{ topics: ['mean/{device}'], decoder: 'json' }], {
    shape: [{ names: ['t'], window: { per: 60_000, of: ['mean'] } }],
  })
  const { live } = shapedLive([mean])
  t.teardown(() => live.close())
  await live.start(new AbortController().signal)
  live.feed([entryOf(1, 'mean/a', '{"t":1}', 1_000, 'house')])
  live.feed([entryOf(2, 'other/b', '{"t":2}', 70_000, 'stranger')])
  t.match(live.state.origin('a'), { source: 'house', profile: 'mean', lastSeq: 1 })
  t.match(live.state.readingsOf('a'), [{ name: 't.mean', value: 1, seq: 2 }])
  live.feed([entryOf(3, 'mean/a', '{"t":3}', 71_000, 'house')])
  live.feed([entryOf(4, '$tidegate/commands/a', '{}', 130_000, COMMAND_SOURCE)])
  t.match(live.state.readingsOf('a'), [{ value: 3, seq: 4 }], 'also where a command ends it')
  t.equal(live.state.origin(''), undefined)
})

test('a device whose value does not pass has been heard all the same', async (t) => {
  const quiet = profileOf('quiet', [{ topics: ['pack'], decoder: 'json' }], { shape: [{ changeOnly: true }] })
  const { live } = shapedLive([quiet], ({ payload }) => ({
    profile: 'quiet',
    device: 'bridge',
    readings: [
      { device: 'a', name: 't', value: Number(payload.toString()) },
      { device: 'b', name: 't', value: 1 },
    ],
  }))
  t.teardown(() => live.close())
  await live.start(new AbortController().signal)
  live.feed([entryOf(1, 'pack', '1', 1_000, 'house'), entryOf(2, 'pack', '2', 2_000, 'house')])
  t.match(live.state.origin('b'), { lastSeq: 2 })
  t.match(live.state.readingsOf('b'), [{ seq: 1 }])
})

test('what a profile drops or renames does not come back with the rebuild after a restart', async (t) => {
  const tidy = profileOf('tidy', [{ topics: ['tidy/{device}'], decoder: 'json' }], {
    shape: [
      { names: ['noise'], drop: true },
      { names: ['t'], rename: 'temperature' },
    ],
  })
  const { live, log } = shapedLive([tidy])
  t.teardown(() => live.close())
  await log.deliver(entryOf(1, 'tidy/a', '{"t":1,"noise":2}', 1_000, 'house'))
  await live.start(new AbortController().signal)
  await until('rebuilt', () => live.state.origin('a') !== undefined)
  t.same(
    live.state.readingsOf('a').map(({ name }) => name),
    ['temperature'],
  )
})

test('a good value takes the mark of doubt away, also where it does not pass', async (t) => {
  const ranged = profileOf(
    'ranged',
    [{ topics: ['ranged/{device}'], decoder: 'json', fields: [{ match: ['t'], range: [0, 80] }] }],
    { shape: [{ names: ['t'], changeOnly: true }] },
  )
  const { live } = shapedLive([ranged])
  t.teardown(() => live.close())
  await live.start(new AbortController().signal)
  const quality = () => JSON.parse(live.state.readingsOf('a')[0]?.json ?? '{}').quality
  for (const [seq, value] of [20, 120].entries())
    live.feed([entryOf(seq + 1, 'ranged/a', `{"t":${value}}`, seq, 'house')])
  t.equal(quality(), 'out-of-range')
  const { epoch } = live.state
  live.feed([entryOf(3, 'ranged/a', '{"t":20}', 3, 'house')])
  t.equal(quality(), undefined)
  t.not(live.state.epoch, epoch, 'so that a client with an entity tag hears of it')
  t.match(live.state.readingsOf('a'), [{ seq: 1 }])
})
