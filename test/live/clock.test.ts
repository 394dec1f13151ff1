import { test } from 'tap'
import type { Entry } from '../../src/core/contract.ts'
import { selectionOf } from '../../src/live/selection.ts'
import { LiveState } from '../../src/live/state.ts'
import { Window } from '../../src/live/window.ts'
import { settableClock } from '../support/clock.ts'
import { BOOT_ID, decodingOf, entryOf } from '../support/entries.ts'

const RIGHT = Date.UTC(2026, 10, 20, 12)
const everything = selectionOf([], [])
const early = (seq: number, fields: Partial<Entry> = {}) =>
  entryOf(seq, { receivedAt: 10_000 + seq * 1_000, timeQuality: 'unsynced', ...fields })

test('values, their devices and the window get their right times at once when the clock is set', async (t) => {
  const state = new LiveState()
  const window = new Window()
  window.push(state.apply(early(1), decodingOf('a', { x: 1 })))
  window.push(state.apply(early(2), { ...decodingOf('b', {}), fault: 'no JSON' }))
  window.push(state.apply(early(3, { bootId: 'another' }), decodingOf('c', { x: 1 })))
  window.push(state.apply(entryOf(4), decodingOf('d', { x: 1 })))
  const { epoch } = state
  state.correct(BOOT_ID, RIGHT)
  window.correct(BOOT_ID, RIGHT)
  t.not(state.epoch, epoch, 'answers prepared before are void')
  for (const source of [state.since(everything, 0), window.since(everything, 0)])
    t.match(source, [
      { device: 'a', seq: 1, timeMs: RIGHT + 1_000, timeQuality: 'corrected' },
      { device: 'c', seq: 3, timeMs: 13_000, timeQuality: 'unsynced' },
      { device: 'd', seq: 4, timeMs: entryOf(4).receivedAt, timeQuality: undefined },
    ])
  const clock = settableClock({ synced: true, wallMs: RIGHT, monotonicMs: 10_000 })
  const iso = (ms: number) => new Date(ms).toISOString()
  t.match(state.device('a', clock), { lastHeard: iso(RIGHT + 1_000), timeQuality: 'corrected' })
  t.match(state.device('b', clock), { lastFault: { seq: 2, time: iso(RIGHT + 2_000) } })
  t.match(state.device('c', clock), { lastHeard: iso(13_000), timeQuality: 'unsynced' })
})

test('a device of an earlier boot is overdue by the wall clock only where that was set both times', async (t) => {
  const stale = (timeQuality: Entry['timeQuality'], synced: boolean, monotonicMs: number) => {
    const state = new LiveState()
    for (let seq = 1; seq <= 9; seq++) {
      const fields = timeQuality === undefined ? {} : { timeQuality }
      state.apply(entryOf(seq, { ...fields, monotonicMs: seq * 10_000 }), decodingOf('a', { x: 1 }))
    }
    const wallMs = synced ? entryOf(9).receivedAt + 3_600_000 : 10_000
    const clock = settableClock({ synced, wallMs, monotonicMs, bootId: 'the next boot' })
    return state.device('a', clock)?.stale
  }
  t.equal(stale(undefined, true, 1_000), true, 'an hour ago, by a clock that was right')
  t.equal(stale('corrected', true, 1_000), true)
  t.equal(stale('unsynced', true, 1_000), false, 'nobody knows; the machine has just started')
  t.equal(stale(undefined, false, 1_000), false)
  t.equal(stale('unsynced', true, 3_600_000), true, 'silent since the machine started')
})
