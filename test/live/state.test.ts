import { test } from 'tap'
import type { Decoding } from '../../src/core/contract.ts'
import { selectionOf } from '../../src/live/selection.ts'
import { LiveState, STATE_LIMITS } from '../../src/live/state.ts'
import { rememberingMeter, turnableClock } from '../support/context.ts'
import { BOOT_ID, decodingOf, entryOf } from '../support/entries.ts'

const everything = selectionOf([], [])
const limits = { devices: 100, values: 100, bytes: 1_000_000 }
const shown = (state: LiveState, after = 0) =>
  state.since(everything, after).map(({ seq, device, name, value }) => `${seq} ${device}/${name}=${value}`)

test('the newest value of each device and name stands, ordered by seq', async (t) => {
  const state = new LiveState(limits)
  state.apply(entryOf(1), decodingOf('a', { x: 1, y: 1 }))
  state.apply(entryOf(2), decodingOf('b', { x: 2 }))
  state.apply(entryOf(3), decodingOf('a', { x: 3 }))
  t.same(shown(state), ['1 a/y=1', '2 b/x=2', '3 a/x=3'])
  t.same(shown(state, 1), ['2 b/x=2', '3 a/x=3'])
  t.equal(state.valueCount, 3)
  t.equal(state.deviceCount, 2)
  t.ok(state.changedSince(selectionOf(['b'], []), 1))
  t.notOk(state.changedSince(selectionOf(['b'], []), 2))
})

test('of several records of the same name in one message the last one stands', async (t) => {
  const state = new LiveState(limits)
  const readings = [1, 2, 3].map((value) => ({ device: 'a', name: 'x', value }))
  t.equal(state.apply(entryOf(1), { profile: 'senml', device: 'a', readings }).length, 3)
  t.same(shown(state), ['1 a/x=3'])
})

test('a pack of several devices is heard by each of them, not by its topic', async (t) => {
  const state = new LiveState(limits)
  const readings = ['a', 'b'].map((device) => ({ device, name: 'x', value: 1 }))
  state.apply(entryOf(1), { profile: 'senml', device: 'http', readings })
  t.same(
    state.devices(turnableClock()).map(({ device }) => device),
    ['a', 'b'],
  )
})

test('beyond the limits what was heard least recently goes, and is counted', async (t) => {
  const meter = rememberingMeter()
  const state = new LiveState({ devices: 10, values: 50, bytes: 1_000_000 }, meter)
  for (let seq = 1; seq <= 60; seq++) state.apply(entryOf(seq), decodingOf('a', { [`n${seq}`]: seq }))
  t.equal(state.valueCount, 50)
  t.equal(meter.values.get('live_evicted_total{reason=values}'), 10)
  t.equal(shown(state)[0], '11 a/n11=11')
  for (let seq = 61; seq <= 75; seq++) state.apply(entryOf(seq), decodingOf(`d${seq}`, { x: seq }))
  t.equal(state.deviceCount, 10)
  t.equal(state.device('a', turnableClock()), undefined)
  t.equal(state.valueCount, 10)
  t.same(
    state.since(everything, 0).map(({ device }) => device),
    Array.from({ length: 10 }, (_, index) => `d${index + 66}`),
  )
})

test('long texts count as bytes: a few of them fill the state', async (t) => {
  const state = new LiveState({ devices: 10, values: 1_000, bytes: 100_000 })
  for (let seq = 1; seq <= 100; seq++) state.apply(entryOf(seq), decodingOf('a', { [`n${seq}`]: 'x'.repeat(10_000) }))
  t.equal(state.valueCount, 4)
  state.apply(entryOf(101), decodingOf('a', { n100: 1, n99: 2, n98: 3, n97: 4 }))
  t.equal(state.valueCount, 4)
  for (let seq = 102; seq <= 200; seq++) state.apply(entryOf(seq), decodingOf('a', { [`n${seq}`]: seq }))
  t.equal(state.valueCount, 103, 'what was replaced no longer counts')
})

test('long device names count too, with values or without', async (t) => {
  const state = new LiveState({ devices: 10_000, values: 10_000, bytes: 1_000_000 })
  const clock = turnableClock()
  for (let seq = 1; seq <= 200; seq++) {
    const device = `${'x'.repeat(50_000)}${seq}`
    state.apply(entryOf(seq), { profile: 'generic', device, readings: [], fault: 'not JSON' })
  }
  t.ok(state.deviceCount <= 20)
  t.equal(state.devices(clock).at(-1)?.lastSeq, 200)
  t.equal(state.faultCount, 200)
})

test('nothing newer is certain only where nothing was evicted or is still to be read', async (t) => {
  const state = new LiveState({ devices: 10, values: 2, bytes: 1_000_000 })
  const b = selectionOf(['b'], [])
  state.completeAfter = 10
  state.apply(entryOf(11), decodingOf('a', { x: 1 }))
  t.ok(state.mayHaveSince(b, 5), 'not rebuilt that far')
  t.notOk(state.mayHaveSince(b, 10))
  state.apply(entryOf(12), decodingOf('a', { y: 1, z: 1 }))
  t.ok(state.mayHaveSince(b, 10), 'something with seq 11 was evicted')
  t.notOk(state.mayHaveSince(b, 11))
})

test('an older stretch of the log fills in only what is not known', async (t) => {
  const state = new LiveState(limits)
  state.apply(entryOf(10), decodingOf('a', { x: 10 }))
  const older = new LiveState(limits)
  older.apply(entryOf(5), decodingOf('a', { x: 5, y: 5 }))
  older.apply(entryOf(6), decodingOf('b', { x: 6 }))
  older.apply(entryOf(7), { profile: 'tasmota', device: 'c', readings: [], fault: 'not JSON' })
  const { epoch } = state
  t.ok(state.adopt(older))
  t.not(state.epoch, epoch, 'prepared answers are void')
  t.same(shown(state), ['5 a/y=5', '6 b/x=6', '10 a/x=10'])
  state.apply(entryOf(11), decodingOf('a', { y: 11 }))
  t.same(shown(state), ['6 b/x=6', '10 a/x=10', '11 a/y=11'])
  const clock = turnableClock()
  t.match(state.device('a', clock), { lastSeq: 11, values: 2 })
  t.match(state.device('c', clock), { faults: 1, profile: 'tasmota', lastFault: { seq: 7, reason: 'not JSON' } })
  t.equal(state.faultCount, 1)
})

test('adopting stops when there is no room', async (t) => {
  const state = new LiveState({ devices: 100, values: 3, bytes: 1_000_000 })
  state.apply(entryOf(10), decodingOf('a', { x: 10, y: 10 }))
  const older = new LiveState(limits)
  for (let seq = 1; seq <= 5; seq++) older.apply(entryOf(seq), decodingOf(`d${seq}`, { x: seq }))
  t.notOk(state.adopt(older))
  t.same(shown(state), ['5 d5/x=5', '10 a/x=10', '10 a/y=10'])
  t.ok(state.mayHaveSince(selectionOf(['d4'], []), 3))
})

test('a device is stale when it is overdue by several of its usual intervals', async (t) => {
  const state = new LiveState(limits)
  const clock = turnableClock()
  const hear = (seq: number, ms: number) =>
    state.apply(entryOf(seq, { monotonicMs: ms, receivedAt: clock.wallMs() }), decodingOf('a', { x: seq }))
  for (let seq = 1; seq <= 3; seq++) hear(seq, seq * 10_000)
  t.equal(state.device('a', clock)?.expectedIntervalMs, undefined, 'not learnt yet')
  // Each report is a burst of two messages.
  for (let seq = 4; seq <= 20; seq += 2) {
    hear(seq, seq * 5_000 + 20_000)
    hear(seq + 1, seq * 5_000 + 20_005)
  }
  t.equal(state.device('a', clock)?.expectedIntervalMs, 10_000)
  const lastMs = 20 * 5_000 + 20_005
  clock.advance(lastMs - clock.monotonicMs() + 29_000)
  t.equal(state.device('a', clock)?.stale, false)
  clock.advance(2_000)
  t.equal(state.device('a', clock)?.stale, true)
  hear(22, clock.monotonicMs())
  t.equal(state.device('a', clock)?.stale, false)
  t.ok((state.device('a', clock)?.expectedIntervalMs ?? 0) < 20_000, 'one outage changes little')
})

test('a wall clock that is set while the gateway runs makes nothing stale', async (t) => {
  const state = new LiveState(limits)
  const wall = { ms: 10_000 }
  const clock = { wallMs: () => wall.ms, monotonicMs: () => 31_000, bootId: BOOT_ID, synced: () => true }
  for (let seq = 1; seq <= 30; seq++)
    state.apply(entryOf(seq, { monotonicMs: seq * 1_000, receivedAt: seq }), decodingOf('a', { x: seq }))
  wall.ms = Date.UTC(2026, 10, 20)
  t.match(state.device('a', clock), { stale: false, expectedIntervalMs: 1_000 })
})

test('ten thousand inventive topics cost little time', async (t) => {
  const state = new LiveState({ devices: 1_000, values: 2_000, bytes: 1_000_000 })
  const startedMs = performance.now()
  for (let seq = 1; seq <= 20_000; seq++) {
    const decoding: Decoding = decodingOf(`device/${seq}`, { x: seq, y: seq })
    state.apply(entryOf(seq), decoding)
  }
  t.ok(performance.now() - startedMs < 3_000)
  t.ok(state.deviceCount <= 1_000 && state.valueCount <= 2_000)
})

test('several topics within a moment are one report, also before the rhythm is known', async (t) => {
  const clock = turnableClock()
  const state = new LiveState(STATE_LIMITS)
  let seq = 0
  for (let report = 0; report < 4; report++) {
    for (let topic = 0; topic < 5; topic++) {
      const entry = entryOf(++seq, { monotonicMs: clock.monotonicMs() + topic * 0.01, bootId: clock.bootId })
      state.apply(entry, decodingOf('node', { [`value${topic}`]: report }))
    }
    clock.advance(60_000)
  }
  t.equal(state.device('node', clock)?.expectedIntervalMs, 60_000)
  t.equal(state.device('node', clock)?.stale, false)
})
