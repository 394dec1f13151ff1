import { test } from 'tap'
import type { Entry } from '../../src/core/contract.ts'
import { createRouter } from '../../src/decode/router.ts'
import { createShaping } from '../../src/decode/shaping.ts'
import { Live } from '../../src/live/live.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { profileOf } from '../support/decoding.ts'
import { memoryLog } from '../support/memory-log.ts'

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
