import { test } from 'tap'
import type { TimeQuality } from '../../src/core/contract.ts'
import { Batch } from '../../src/live/batch.ts'
import { firstNewer, LiveReading, pageLength } from '../../src/live/reading.ts'
import { selectionOf } from '../../src/live/selection.ts'
import { Window } from '../../src/live/window.ts'

const ARRIVAL = Date.UTC(2026, 10, 20, 10, 0, 0, 123)
const everything = selectionOf([], [])
const arrival = (seq: number, receivedAt = ARRIVAL, timeQuality?: TimeQuality) => ({
  seq,
  receivedAt,
  monotonicMs: 5_000,
  bootId: 'boot-1',
  ...(timeQuality === undefined ? {} : { timeQuality }),
})
const reading = (seq: number, value: number | string = seq) =>
  new LiveReading(arrival(seq), { device: 'd', name: 'n', value })

test('a reading is JSON with the payload time where it has one, else the arrival', async (t) => {
  const json = (receivedAt: number, timeMs?: number, timeQuality?: TimeQuality) =>
    JSON.parse(
      new LiveReading(arrival(7, receivedAt, timeQuality), {
        device: 'a"b',
        name: '</script>',
        value: 'x\u2028',
        unit: 'Cel',
        ...(timeMs !== undefined && { timeMs }),
      }).json,
    )
  t.same(json(ARRIVAL), {
    seq: 7,
    device: 'a"b',
    name: '</script>',
    value: 'x\u2028',
    unit: 'Cel',
    time: '2026-11-20T10:00:00.123Z',
  })
  t.equal(json(ARRIVAL, ARRIVAL - 1.5).time, '2026-11-20T10:00:00.121Z')
  t.equal(json(ARRIVAL, 8e15).time, '2026-11-20T10:00:00.123Z', 'a time no calendar holds is not believed')
  t.equal(json(12_345, undefined, 'unsynced').timeQuality, 'unsynced')
  t.equal(json(12_345, undefined, 'unsynced').time, '1970-01-01T00:00:12.345Z')
  t.equal(json(ARRIVAL, undefined, 'corrected').timeQuality, 'corrected')
  t.notOk('timeQuality' in json(12_345, ARRIVAL, 'unsynced'), 'the payload knows better')
  t.equal(json(12_345, 11_345, 'unsynced').timeQuality, 'unsynced', 'a time that was relative to the arrival')
})

test('a reading from before the clock was set is corrected by the monotonic clock of its boot', async (t) => {
  const measured = { device: 'd', name: 'n', value: 1, unit: 'Cel' }
  const early = new LiveReading(arrival(7, 12_345, 'unsynced'), measured)
  t.equal(early.corrected('boot-2', ARRIVAL), undefined, 'another boot')
  const corrected = early.corrected('boot-1', ARRIVAL)
  t.match(corrected, { seq: 7, value: 1, unit: 'Cel', timeMs: ARRIVAL + 5_000, timeQuality: 'corrected' })
  t.equal(corrected?.corrected('boot-1', 0), undefined, 'once')
  const relative = new LiveReading(arrival(7, 12_345, 'unsynced'), { ...measured, timeMs: 11_345 })
  t.match(relative.corrected('boot-1', ARRIVAL), { timeMs: ARRIVAL + 4_000, timeQuality: undefined })
  t.equal(reading(1).corrected('boot-1', ARRIVAL), undefined, 'one that was right all along')
})

test('pages end between messages and hold at least one', async (t) => {
  const readings = [1, 1, 1, 2, 2, 3].map((seq) => reading(seq))
  const length = (entries: number, bytes = 1_000_000) => pageLength(readings, { entries, bytes })
  t.equal(length(1), 3)
  t.equal(length(3), 3)
  t.equal(length(4), 3)
  t.equal(length(5), 5)
  t.equal(length(6), 6)
  t.equal(length(100, 1), 3)
  t.equal(pageLength([], { entries: 1, bytes: 1 }), 0)
  t.equal(firstNewer(readings, 1), 3)
  t.equal(firstNewer(readings, 0), 0)
  t.equal(firstNewer(readings, 3), 6)
})

test('the window holds the newest readings and knows from where on it has all', async (t) => {
  const window = new Window({ readings: 5, bytes: 1_000_000 })
  t.ok(window.covers(0))
  for (let seq = 1; seq <= 12; seq++) window.push([reading(seq)])
  t.equal(window.floor, 7)
  t.notOk(window.covers(6))
  t.same(
    window.since(everything, 9).map(({ seq }) => seq),
    [10, 11, 12],
  )
  t.same(
    window.since(everything, 7, 2).map(({ seq }) => seq),
    [8, 9],
  )
  const older = new Window({ readings: 3, bytes: 1_000_000 })
  older.reset(2)
  older.push([3, 4, 5].map((seq) => reading(seq)))
  const fresh = new Window({ readings: 5, bytes: 1_000_000 })
  fresh.reset(5)
  fresh.push([reading(6)])
  fresh.seed(older)
  t.equal(fresh.floor, 2)
  t.same(
    fresh.since(everything, 2).map(({ seq }) => seq),
    [3, 4, 5, 6],
  )
})

test('the window is bounded in bytes too', async (t) => {
  const window = new Window({ readings: 1_000, bytes: 10_000 })
  for (let seq = 1; seq <= 100; seq++) window.push([reading(seq, 'x'.repeat(1_000))])
  t.equal(window.since(everything, window.floor).length, 4)
  t.equal(window.floor, 96)
})

test('what is prepared for one is shared with all who want the same', async (t) => {
  const batch = new Batch(2, [reading(1), reading(2)])
  t.equal(batch.frame('<', '>'), batch.frame('<', '>'))
  t.not(batch.frame('<', '>'), batch.frame('[', '>'))
  t.equal(JSON.parse(batch.text).length, 2)
  t.equal(batch.newerThan(0), batch)
  t.same(
    batch.newerThan(1).readings.map(({ seq }) => seq),
    [2],
  )
})

test('selections match filters and names; equal ones have equal keys', async (t) => {
  t.equal(selectionOf(['b', 'a'], ['y', 'x', 'x']).key, selectionOf(['a', 'b', 'a'], ['x', 'y']).key)
  t.not(selectionOf(['a'], []).key, selectionOf([], ['a']).key)
  t.ok(selectionOf(['a/+', 'b'], []).matches('a/1', 'n'))
  t.notOk(selectionOf(['a/+', 'b'], []).matches('a', 'n'))
  t.notOk(selectionOf(['b'], ['x']).matches('b', 'n'))
  t.same(selectionOf(['b', 'a'], []).exactDevices, ['a', 'b'])
  t.equal(selectionOf(['b', 'a/#'], []).exactDevices, undefined)
  t.throws(() => selectionOf(['a/#/b'], []), { code: 'TG_FILTER_INVALID' })
})
