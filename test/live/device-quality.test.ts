import { test } from 'tap'
import { BodyCache } from '../../src/api/body-cache.ts'
import type { Decoding, Doubt } from '../../src/core/contract.ts'
import type { Live } from '../../src/live/live.ts'
import { selectionOf } from '../../src/live/selection.ts'
import { LiveState, STATE_LIMITS } from '../../src/live/state.ts'
import { startApi } from '../support/api-server.ts'
import { turnableClock } from '../support/context.ts'
import { profileOf } from '../support/decoding.ts'
import { BOOT_ID, decodingOf, entryOf } from '../support/entries.ts'

const everything = selectionOf([], [])
const doubting = (name: string, reason: Doubt['reason']): Decoding => ({
  ...decodingOf('a', {}),
  fault: 'wrong',
  doubtful: [{ device: 'a', name, reason }],
})
const shown = (state: LiveState) =>
  state.since(everything, 0).map(({ name, value, doubt }) => `${name}=${value} ${doubt?.quality} ${doubt?.since.seq}`)

test('a wrong value marks the last good one, a good one clears the mark', async (t) => {
  const state = new LiveState(STATE_LIMITS)
  const clock = turnableClock()
  state.apply(entryOf(1), decodingOf('a', { t: 20, h: 50 }))
  const { epoch } = state
  state.apply(entryOf(2), doubting('t', 'out-of-range'))
  t.same(shown(state), ['t=20 out-of-range 2', 'h=50 undefined undefined'])
  t.not(state.epoch, epoch, 'what was prepared is void')
  const marked = state.epoch
  state.apply(entryOf(3), doubting('t', 'out-of-range'))
  t.equal(state.epoch, marked, 'the same again changes nothing')
  t.same(shown(state)[0], 't=20 out-of-range 2')
  state.apply(entryOf(4), doubting('t', 'faulty'))
  t.same(shown(state)[0], 't=20 faulty 4')
  t.match(state.device('a', clock)?.doubtful, [{ name: 't', quality: 'faulty', seq: 4, time: String }])
  t.match(JSON.parse(state.readingsOf('a')[0]?.json ?? ''), {
    value: 20,
    seq: 1,
    quality: 'faulty',
    qualitySince: { seq: 4 },
  })
  state.apply(entryOf(5), decodingOf('a', { t: 21 }))
  t.same(shown(state), ['h=50 undefined undefined', 't=21 undefined undefined'])
  t.equal(state.device('a', clock)?.doubtful, undefined)
})

test('a mark is found again after a restart, also where the log is cut between value and doubt', async (t) => {
  const part = (...messages: readonly (readonly [number, Decoding])[]) => {
    const state = new LiveState(STATE_LIMITS)
    for (const [seq, decoding] of messages) state.apply(entryOf(seq), decoding)
    return state
  }
  const value = [1, decodingOf('a', { t: 20 })] as const
  const doubt = [2, doubting('t', 'faulty')] as const
  const good = [3, decodingOf('a', { t: 21 })] as const
  for (const [newer, older, expected] of [
    [part(doubt), part(value), 't=20 faulty 2'],
    [part(), part(value, doubt), 't=20 faulty 2'],
    [part(doubt, good), part(value), 't=21 undefined undefined'],
    [part(good), part(value, doubt), 't=21 undefined undefined'],
  ] as const) {
    newer.adopt(older)
    t.same(shown(newer), [expected])
  }
})

test('strange names in doubt cost little', async (t) => {
  const state = new LiveState(STATE_LIMITS)
  for (let seq = 1; seq <= 1_000; seq++) state.apply(entryOf(seq), doubting(`n${seq}`, 'faulty'))
  t.equal(state.valueCount, 0)
  t.equal(state.device('a', turnableClock())?.doubtful, undefined)
})

test('times of marks are corrected with the clock', async (t) => {
  const state = new LiveState(STATE_LIMITS)
  const early = { receivedAt: 10_000, timeQuality: 'unsynced', monotonicMs: 5_000, bootId: BOOT_ID } as const
  state.apply(entryOf(1, early), decodingOf('a', { t: 20 }))
  state.apply(entryOf(2, early), doubting('t', 'faulty'))
  const right = Date.UTC(2026, 10, 20, 12)
  state.correct(BOOT_ID, right - 5_000)
  t.match(JSON.parse(state.readingsOf('a')[0]?.json ?? ''), {
    time: '2026-11-20T12:00:00.000Z',
    timeQuality: 'corrected',
    quality: 'faulty',
    qualitySince: { seq: 2, time: '2026-11-20T12:00:00.000Z' },
  })
})

test('what a device sends late is no last value, and still told to who asks for what is newer', async (t) => {
  const state = new LiveState(STATE_LIMITS)
  state.apply(entryOf(1), decodingOf('a', { t: 20 }))
  const late = { device: 'a', name: 't', value: 3, timeMs: 1_000, historical: true as const }
  const readings = state.apply(entryOf(2), { profile: 'sparkplug', device: 'a', readings: [late] })
  t.match(JSON.parse(readings[0]?.json ?? ''), { value: 3, historical: true })
  t.same(shown(state), ['t=20 undefined undefined'])
  t.ok(state.mayHaveSince(everything, 1), 'the log has to be asked')
})

test('over HTTP a range that the profile states marks the value, changes the entity tag, and a good value clears it', async (t) => {
  const profile = profileOf('probe', [
    { topics: ['probes/{device}'], decoder: 'json', fields: [{ match: ['t'], range: [-40, 85] }] },
  ])
  const { publish, url } = await startApi(t, { profiles: [profile] })
  let tag = ''
  const poll = async () => {
    const response = await fetch(`${url}/api/v1/readings`, { headers: { 'if-none-match': tag } })
    tag = response.headers.get('etag') ?? ''
    return response.status === 304 ? 304 : (await response.json()).readings
  }
  await publish('probes/one', '{"t":20.5}')
  t.match(await poll(), [{ value: 20.5 }])
  t.equal(await poll(), 304)
  await publish('probes/one', '{"t":125}')
  t.match(await poll(), [{ seq: 1, value: 20.5, quality: 'out-of-range', qualitySince: { seq: 2 } }])
  t.equal(await poll(), 304)
  await publish('probes/one', '{"t":130}')
  t.equal(await poll(), 304, 'nothing that is shown has changed')
  const device = await (await fetch(`${url}/api/v1/devices/one`)).json()
  t.match(device, {
    faults: 2,
    doubtful: [{ name: 't', quality: 'out-of-range' }],
    readings: [{ quality: 'out-of-range' }],
  })
  await publish('probes/one', '{"t":21}')
  const [cleared] = await poll()
  t.match(cleared, { seq: 4, value: 21 })
  t.notOk('quality' in cleared)
})

test('a prepared answer for others is not written again without need', async (t) => {
  const state = new LiveState(STATE_LIMITS)
  state.apply(entryOf(1), decodingOf('a', { t: 20 }))
  const cache = new BodyCache({ seq: 1, state } as Live)
  t.equal(cache.get(everything).body, cache.get(everything).body)
})
