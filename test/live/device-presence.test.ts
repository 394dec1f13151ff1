import { test } from 'tap'
import type { Decoding, Entry, Presence } from '../../src/core/contract.ts'
import { LiveState, STATE_LIMITS } from '../../src/live/state.ts'
import { turnableClock } from '../support/context.ts'
import { BOOT_ID, decodingOf, entryOf } from '../support/entries.ts'

const saying = (device: string, online: boolean, more: Partial<Presence> = {}): Decoding => ({
  ...decodingOf(device, {}),
  presence: [{ device, online, ...more }],
})

const state = () => {
  const live = new LiveState(STATE_LIMITS)
  const clock = turnableClock()
  const at = (seq: number, fields: Partial<Entry> = {}) => entryOf(seq, { monotonicMs: clock.monotonicMs(), ...fields })
  const brief = (device: string) => {
    const { presence, presenceSince, stale, staleReason } = live.device(device, clock) ?? {}
    return [presence, presenceSince?.seq, stale, staleReason]
  }
  return { live, clock, at, brief }
}

test('a will makes a device offline and stale at once, a birth or any live message brings it back', async (t) => {
  const { live, at, brief } = state()
  live.apply(at(1), decodingOf('plug', { power: 1 }))
  t.same(brief('plug'), ['unknown', undefined, false, undefined])
  live.apply(at(2), saying('plug', true))
  t.same(brief('plug'), ['online', 2, false, undefined])
  live.apply(at(3), decodingOf('plug', { power: 2 }))
  live.apply(at(4), saying('plug', true))
  t.same(brief('plug'), ['online', 2, false, undefined], 'since it came')
  live.apply(at(5), { ...decodingOf('plug', { online: false }), presence: [{ device: 'plug', online: false }] })
  t.same(brief('plug'), ['offline', 5, true, 'offline'], 'its own reading in the same message is no sign of life')
  live.apply(at(6, { retain: true }), decodingOf('plug', { power: 3 }))
  t.same(brief('plug'), ['offline', 5, true, 'offline'], 'a retained value may be years old')
  live.apply(at(7), decodingOf('plug', { power: 4 }))
  t.same(brief('plug'), ['online', 7, false, undefined])
})

test('a will is not when the device was heard', async (t) => {
  const { live, clock, at } = state()
  live.apply(at(1), decodingOf('plug', { power: 1 }))
  const heard = live.device('plug', clock)?.lastHeard
  clock.advance(60_000)
  live.apply(at(2, { receivedAt: clock.wallMs() }), saying('plug', false))
  t.equal(live.device('plug', clock)?.lastHeard, heard)
  t.equal(live.device('plug', clock)?.lastSeq, 2)
  live.apply(at(3), saying('stranger', false))
  t.match(live.device('stranger', clock), { presence: 'offline', stale: true })
})

test('a bridge takes what is below it along, and its return gives back what it took', async (t) => {
  const { live, at, brief } = state()
  live.apply(at(1), decodingOf('zigbee/lamp', { on: true }))
  live.apply(at(2), decodingOf('zigbee/door', { open: true }))
  live.apply(at(3), saying('zigbee/door', true))
  live.apply(at(4), decodingOf('zigbees', { x: 1 }))
  live.apply(at(5), saying('zigbee', false, { below: true }))
  t.same(brief('zigbee/lamp'), ['offline', 5, true, 'offline'])
  t.same(brief('zigbee/door'), ['offline', 5, true, 'offline'])
  t.same(brief('zigbees'), ['unknown', undefined, false, undefined], 'whole levels only')
  live.apply(at(6), decodingOf('zigbee/lamp', { on: false }))
  t.same(brief('zigbee/lamp'), ['unknown', undefined, false, undefined], 'it was heard, so it is there')
  live.apply(at(7), saying('zigbee', true, { below: true }))
  t.same(brief('zigbee/door'), ['online', 3, false, undefined])
})

test('presence is the same after a restart, wherever the log is cut', async (t) => {
  const messages: readonly (readonly [Decoding, Partial<Entry>])[] = [
    [saying('a/x', true), {}],
    [decodingOf('a/x', { v: 1 }), {}],
    [saying('a', false, { below: true }), {}],
    [saying('b/x', false), {}],
    [decodingOf('b/x', { v: 1 }), { retain: true }],
    [decodingOf('c/x', { v: 1 }), {}],
    [saying('c/x', false), {}],
    [decodingOf('c/x', { v: 2 }), {}],
    [saying('d/x', false), {}],
  ]
  const clock = turnableClock()
  const apply = (from: number, to: number) => {
    const live = new LiveState(STATE_LIMITS)
    messages.slice(from, to).forEach(([decoding, fields], index) => {
      live.apply(entryOf(from + index + 1, { monotonicMs: 1_000, bootId: BOOT_ID, ...fields }), decoding)
    })
    return live
  }
  const shown = (live: LiveState) =>
    ['a/x', 'b/x', 'c/x', 'd/x'].map((device) => {
      const { presence, presenceSince } = live.device(device, clock) ?? {}
      return `${device} ${presence} ${presenceSince?.seq}`
    })
  const whole = shown(apply(0, messages.length))
  t.same(whole, ['a/x offline 3', 'b/x offline 4', 'c/x online 8', 'd/x offline 9'])
  for (let cut = 1; cut < messages.length; cut++) {
    const newer = apply(cut, messages.length)
    newer.adopt(apply(0, cut))
    t.same(shown(newer), whole, `cut after ${cut}`)
  }
})
