import { test } from 'tap'
import type { ClockMark } from '../../src/core/contract.ts'
import { ClockWatch } from '../../src/ops/clock-watch.ts'
import { settableClock } from '../support/clock.ts'
import { until } from '../support/until.ts'

const RIGHT = Date.UTC(2026, 10, 20, 12)

const watched = (synced: boolean, wallMs: number) => {
  const clock = settableClock({ synced, wallMs, monotonicMs: 10_000 })
  const marks: ClockMark[] = []
  const watch = new ClockWatch({ clock, onMark: (mark) => void marks.push(mark), lookMs: 5 })
  const second = () => {
    clock.advance(1_000)
    watch.look()
  }
  return { clock, marks, watch, second }
}

test('the first time that the clock is set is told with how far it had been off', async (t) => {
  const { clock, marks, second } = watched(false, 10_000)
  second()
  t.strictSame(marks, [])
  clock.set(RIGHT)
  clock.syncs()
  second()
  const bootId = clock.bootId
  t.strictSame(marks, [{ reason: 'set', bootId, monotonicMs: 12_000, offsetMs: RIGHT - 11_000, time: RIGHT + 1_000 }])
  second()
  t.equal(marks.length, 1, 'once')
})

test('a clock that was right when it was set is told too, and what it drifted meanwhile', async (t) => {
  const { clock, marks, second } = watched(false, RIGHT)
  for (let round = 0; round < 10; round++) {
    clock.set(clock.wallMs() + 1)
    second()
  }
  clock.syncs()
  second()
  t.match(marks, [{ reason: 'set', offsetMs: 10 }])
})

test('steps of a set clock are told, forward and backward; drift and steps before it was set are not', async (t) => {
  const { clock, marks, second } = watched(true, RIGHT)
  for (let round = 0; round < 5_000; round++) {
    clock.set(clock.wallMs() + 1)
    second()
  }
  t.strictSame(marks, [])
  clock.set(clock.wallMs() + 3_000)
  second()
  clock.set(clock.wallMs() - 3_600_000)
  second()
  t.match(marks, [
    { reason: 'step', offsetMs: 3_000 },
    { reason: 'step', offsetMs: -3_600_000 },
  ])
  const never = watched(false, 10_000)
  never.clock.set(900_000)
  never.second()
  t.strictSame(never.marks, [])
  never.clock.set(RIGHT)
  never.clock.syncs()
  never.second()
  t.match(never.marks, [{ reason: 'set', offsetMs: RIGHT - 901_000 }], 'from the last time before the mark')
})

test('times that were noted before the clock was set are brought to the new time, and later ones left alone', async (t) => {
  const { clock, watch, second } = watched(false, 10_000)
  const since = clock.wallMs()
  second()
  clock.set(RIGHT)
  clock.syncs()
  second()
  t.equal(watch.corrected(since), RIGHT - 1_000)
  t.equal(watch.corrected(RIGHT + 5), RIGHT + 5)
  clock.set(RIGHT - 3_600_000)
  second()
  t.equal(watch.corrected(RIGHT + 5), RIGHT + 5, 'what a backward step overlaps cannot be told apart')
})

test('it looks by itself until it is closed', async (t) => {
  const { clock, marks, watch } = watched(true, RIGHT)
  watch.start()
  t.teardown(() => watch.close())
  clock.set(RIGHT + 60_000)
  await until('the step is seen', () => marks.length === 1)
  watch.close()
  watch.close()
})
