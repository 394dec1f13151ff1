import { test } from 'tap'
import type { Entry, Gap } from '../../src/core/contract.ts'
import { createRouter } from '../../src/decode/router.ts'
import type { Batch } from '../../src/live/batch.ts'
import { Follower } from '../../src/live/follower.ts'
import { Live } from '../../src/live/live.ts'
import { selectionOf } from '../../src/live/selection.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { memoryLog } from '../support/memory-log.ts'
import { until } from '../support/until.ts'

const message = (value: number) =>
  ({ topic: 'device/1', payload: Buffer.from(`${value}`), source: 'broker', qos: 0, retain: false }) as const

test('what is not durable is live once, and can be resumed as far as the window goes; beyond that a gap says so', async (t) => {
  const log = memoryLog()
  const live = new Live({
    decode: createRouter([]).decode,
    reader: () => log.reader(),
    durable: () => log.durable,
    clock: turnableClock(),
    meter: rememberingMeter(),
    logger: rememberingLogger(),
    windowLimits: { readings: 3, bytes: 2 ** 20 },
  })
  log.onDurable((entries) => live.feed(entries))
  await live.start(new AbortController().signal)
  t.teardown(() => live.close())
  const follow = async (after: number) => {
    const told: unknown[] = []
    const readings = (batch: Batch) => batch.readings.map(({ value }) => value)
    const follower = new Follower({
      live,
      selection: selectionOf([], []),
      everyMs: 0,
      outlet: {
        ready: () => true,
        pageBytes: () => 65_536,
        snapshotBytes: () => 65_536,
        snapshot: (batch) => told.push({ snapshot: readings(batch), seq: batch.seq }),
        readings: (batch) => told.push(...readings(batch)),
        gap: (gap: Gap) => told.push(gap),
      },
    })
    t.teardown(async () => follower.close())
    await follower.start(after)
    return told
  }

  await log.deliver(message(1))
  log.hold()
  for (const value of [2, 3, 4, 5, 6]) log.append(message(value))
  const undurable: readonly Entry[] = log.entries.slice(1)
  live.feed(undurable)
  t.equal(live.seq, 6)
  const follower = await follow(4)
  t.strictSame(follower, [5, 6], 'from the window')
  t.strictSame(
    await follow(1),
    [{ first: 2, last: 3, reason: 'refused' }, 4, 5, 6, { snapshot: [6], seq: 6 }],
    'the window has forgotten 2 and 3, and the log does not have them yet',
  )

  log.release()
  await until('all is durable', () => log.durable === 6)
  await log.deliver(message(7))
  await until('only what is new is told', () => follower.length === 3)
  t.strictSame(follower, [5, 6, 7])
  t.strictSame((await follow(1)).slice(0, 6), [2, 3, 4, 5, 6, 7], 'the log has everything now')
})
