import { test } from 'tap'
import { Rhythm } from '../../src/live/rhythm.ts'
import { LiveState, STATE_LIMITS } from '../../src/live/state.ts'
import { turnableClock } from '../support/context.ts'
import { BOOT_ID, decodingOf, entryOf } from '../support/entries.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const learnt = (intervals: readonly number[]) => {
  const rhythm = new Rhythm()
  let now = 5
  rhythm.note(now, BOOT_ID)
  for (const interval of intervals) {
    now += interval
    rhythm.note(now, BOOT_ID)
  }
  return rhythm.expectation
}

const repeated = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))

/** The same numbers on every run. */
const random = (seed: number) => {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648
  }
}

test('a rhythm is learnt from three intervals that agree, or from most of many', async (t) => {
  t.equal(learnt([MINUTE, MINUTE]), undefined)
  t.match(learnt([MINUTE, MINUTE, MINUTE]), { intervalMs: MINUTE, limitMs: 3 * MINUTE })
  t.equal(learnt([MINUTE, MINUTE, 3 * MINUTE]), undefined)
  const jitter = random(1)
  const expected = learnt(repeated(30, () => MINUTE + 6_000 * (jitter() - 0.5)))
  t.ok(Math.abs((expected?.intervalMs ?? 0) - MINUTE) < 4_000)
})

test('an outage neither hides the rhythm nor the next outage', async (t) => {
  const expected = learnt([...repeated(10, () => MINUTE), 5 * HOUR, ...repeated(4, () => MINUTE)])
  t.match(expected, { intervalMs: MINUTE, limitMs: 3 * MINUTE })
})

test('a changed rhythm is learnt: a slower one soon, a faster one later', async (t) => {
  t.equal(learnt([...repeated(32, () => MINUTE), ...repeated(9, () => 10 * MINUTE)])?.intervalMs, 10 * MINUTE)
  t.equal(learnt([...repeated(32, () => 10 * MINUTE), ...repeated(30, () => MINUTE)])?.intervalMs, MINUTE)
})

test('a radio that loses reports is given more time', async (t) => {
  const lost = random(7)
  const intervals = repeated(32, () => 50_000 * (1 + Math.floor(lost() * 1.15) + Math.floor(lost() * 1.03)))
  const expected = learnt(intervals)
  t.equal(expected?.intervalMs, 50_000)
  t.ok((expected?.limitMs ?? 0) >= 150_000)
})

test('a report of several topics that is spread over seconds is one rhythm', async (t) => {
  t.equal(learnt(repeated(40, (index) => [1_200, 1_500, 2_000, 25_300][index % 4] ?? 0))?.intervalMs, 25_300)
})

test('a door contact has no rhythm, whatever the day was like', async (t) => {
  for (let seed = 1; seed <= 200; seed++) {
    const next = random(seed)
    // Opened and closed within seconds, then long or short pauses up to a night.
    const intervals = repeated(40, (index) =>
      index % 2 === 0 ? 3_000 + 20_000 * next() : 30_000 * ((10 * HOUR) / 30_000) ** next(),
    )
    const expected = learnt(intervals)
    const limit = expected?.limitMs ?? Number.POSITIVE_INFINITY
    // Where chance looks like a rhythm, it is a long one.
    if (limit < 12 * HOUR) t.fail(`seed ${seed}: stale after ${limit / MINUTE} minutes`)
  }
  t.equal(learnt([8_000, 2 * HOUR, 12_000, 20 * MINUTE, 5_000, 7 * HOUR]), undefined)
})

test('a silent door contact is not stale, a silent thermometer is, and says why', async (t) => {
  const clock = turnableClock()
  const state = new LiveState(STATE_LIMITS)
  let seq = 0
  const hear = (device: string) =>
    state.apply(entryOf(++seq, { monotonicMs: clock.monotonicMs() }), decodingOf(device, { x: seq }))
  const pauses = [8_000, 2 * HOUR, 12_000, 20 * MINUTE, 5_000, 7 * HOUR, 9_000, 90_000]
  for (const pause of pauses) {
    hear('door')
    clock.advance(pause)
  }
  for (let report = 0; report < 10; report++) {
    hear('thermometer')
    clock.advance(MINUTE)
  }
  t.match(state.device('door', clock), { stale: false, expectedIntervalMs: undefined })
  t.match(state.device('thermometer', clock), { stale: false, expectedIntervalMs: MINUTE })
  t.equal(state.staleCount(clock), 0)
  clock.advance(30 * HOUR)
  t.match(state.device('door', clock), { stale: false })
  t.match(state.device('thermometer', clock), { stale: true, staleReason: 'overdue' })
  t.equal(state.staleCount(clock), 1)
})

test('what a profile states counts instead of what was learnt', async (t) => {
  const clock = turnableClock()
  const state = new LiveState(STATE_LIMITS, undefined, (profile) => (profile === 'generic' ? HOUR : undefined))
  state.apply(entryOf(1, { monotonicMs: clock.monotonicMs() }), decodingOf('a', { x: 1 }))
  clock.advance(3 * HOUR)
  t.match(state.device('a', clock), { stale: false, expectedIntervalMs: HOUR })
  clock.advance(1)
  t.match(state.device('a', clock), { stale: true, staleReason: 'overdue' })
})

test('the rhythm survives a restart, wherever the log is cut', async (t) => {
  const clock = turnableClock()
  const part = (from: number, to: number) => {
    const state = new LiveState(STATE_LIMITS)
    for (let seq = from; seq <= to; seq++)
      state.apply(entryOf(seq, { monotonicMs: seq * MINUTE }), decodingOf('a', { x: seq }))
    return state
  }
  for (let cut = 1; cut < 8; cut++) {
    const state = part(cut + 1, 8)
    state.adopt(part(1, cut))
    t.equal(state.device('a', clock)?.expectedIntervalMs, MINUTE, `cut after ${cut}`)
  }
})
