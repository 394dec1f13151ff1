import fc from 'fast-check'
import { test } from 'tap'
import type { Batch, Entry, LossMark, Reading } from '../../src/core/contract.ts'
import { packLosses } from '../../src/sinks/loss-note.ts'
import { packReadings } from '../../src/sinks/outgoing.ts'

const entry = (seq: number, kind: Entry['kind'] = 'message', payload = ''): Entry => ({
  seq,
  kind,
  topic: 't',
  payload: Buffer.from(payload),
  source: 's',
  qos: 1,
  retain: false,
  receivedAt: Date.UTC(2026, 10, 20) + seq,
  monotonicMs: seq,
  bootId: 'b',
})

const batchOf = (items: readonly (readonly [seq: number, readings: readonly Reading[], fault?: string])[]): Batch => ({
  lane: 'fresh',
  first: items[0]?.[0] ?? 1,
  last: items.at(-1)?.[0] ?? 1,
  gaps: [],
  deliveries: items.map(([seq, readings, fault]) => ({
    entry: entry(seq),
    decoding: { profile: 'p', device: 'd', readings, ...(fault === undefined ? {} : { fault }) },
  })),
})

const reading = (device: string, name = 'v', value: Reading['value'] = 1): Reading => ({ device, name, value })
const limits = { maxReadings: 500, maxBodyBytes: 100_000 }

test('one message holds one device, in seq order, with the seqs it stands for', async (t) => {
  const packed = packReadings(
    batchOf([
      [10, [reading('a')]],
      [11, [reading('b')]],
      [12, [reading('a', 'x', 'text'), reading('a', 'y', true)]],
    ]),
    limits,
  )
  t.match(packed, [
    { device: 'a', first: 10, last: 12, seqs: [10, 12], count: 3, part: 0, timeMs: Date.UTC(2026, 10, 20) + 12 },
    { device: 'b', first: 11, last: 11, seqs: [11], count: 1 },
  ])
  t.match(JSON.parse(String(packed[0]?.body)), [
    { bn: 'a/', n: 'v', v: 1, seq: 10 },
    { n: 'x', vs: 'text', seq: 12 },
    { n: 'y', vb: true, seq: 12 },
  ])
})

test('a seq whose readings do not fit into one message is spread over numbered parts', async (t) => {
  const many = Array.from({ length: 7 }, (_, index) => reading('a', `n${index}`))
  const packed = packReadings(
    batchOf([
      [1, [reading('a')]],
      [2, many],
      [3, [reading('a')]],
    ]),
    { ...limits, maxReadings: 3 },
  )
  t.same(
    packed.map(({ first, last, part, count }) => [first, last, part, count]),
    [
      [1, 1, 0, 1],
      [2, 2, 0, 3],
      [2, 2, 1, 3],
      [2, 3, 2, 2],
    ],
  )
})

test('whatever comes, nothing is lost, order holds and limits are kept', async (t) => {
  const text = fc.oneof(fc.string({ maxLength: 30 }), fc.constant('\u0000"\\ü€😀'), fc.constant('x'.repeat(400)))
  const readings = fc.array(
    fc.record({
      device: fc.constantFrom('a', 'b/c', 'ü"'),
      name: text,
      value: fc.oneof(fc.integer(), text, fc.boolean()),
    }),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(
      fc.array(readings, { maxLength: 30 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 200, max: 3_000 }),
      (list, maxReadings, maxBodyBytes) => {
        const batch = batchOf(list.map((some, index) => [index + 1, some] as const))
        const packed = packReadings(batch, { maxReadings, maxBodyBytes })
        const sent = new Map<string, string[]>()
        let before = 0
        for (const message of packed) {
          if (message.first < before) throw new Error('not ascending')
          before = message.first
          if (message.count > maxReadings) throw new Error('too many readings')
          if (message.body.length > maxBodyBytes && message.count > 1)
            throw new Error(`too large: ${message.body.length}`)
          const of = sent.get(message.device) ?? []
          for (const record of JSON.parse(message.body.toString()))
            of.push(`${record.seq} ${record.n} ${record.v ?? record.vs ?? record.vb}`)
          sent.set(message.device, of)
        }
        const wanted = new Map<string, string[]>()
        for (const {
          entry: { seq },
          decoding,
        } of batch.deliveries)
          for (const { device, name, value } of decoding.readings)
            wanted.set(device, [...(wanted.get(device) ?? []), `${seq} ${name} ${value}`])
        for (const [device, records] of wanted)
          if (JSON.stringify(sent.get(device)) !== JSON.stringify(records)) throw new Error('readings differ')
        const ids = packed.map(({ device, first, last, part }) => `${device} ${first} ${last} ${part}`)
        return new Set(ids).size === ids.length
      },
    ),
  )
  t.pass('held for all')
})

test('gaps, faults, silence and the marks of the log account for every seq without readings', async (t) => {
  const mark: LossMark = {
    first: 3,
    last: 4,
    count: 2,
    reason: 'corrupt',
    time: Date.UTC(2026, 10, 20),
    detail: 'bad block',
    topics: { 'a/b': 2 },
    devices: { a: 2 },
  }
  const silent = batchOf([
    [6, [], 'broken'],
    [7, [], 'broken'],
    [8, [reading('a')]],
    [9, []],
  ])
  const batch: Batch = {
    ...silent,
    first: 1,
    last: 11,
    gaps: [
      { first: 1, last: 2, reason: 'retention' },
      { first: 3, last: 4, reason: 'unclean-stop' },
    ],
    deliveries: [
      { entry: entry(5, 'loss', JSON.stringify(mark)), decoding: { profile: '', device: '', readings: [] }, mark },
      ...silent.deliveries,
      { entry: entry(10, 'clock', '{}'), decoding: { profile: '', device: '', readings: [] } },
      { entry: entry(11, 'loss', 'no JSON'), decoding: { profile: '', device: '', readings: [] } },
    ],
  }
  const notes = packLosses(batch, 'g', 100_000, 0)
  t.match(notes, [{ kind: 'loss', first: 1, contentType: 'application/json' }])
  const { gateway, marks } = JSON.parse(String(notes[0]?.body))
  t.equal(gateway, 'g')
  t.same(
    marks.map(({ first, last, count, reason }: LossMark) => [first, last, count, reason]),
    [
      [1, 2, 2, 'retention'],
      [3, 4, 0, 'unclean-stop'],
      [3, 4, 2, 'corrupt'],
      [5, 5, 0, 'mark'],
      [6, 7, 2, 'undecodable'],
      [9, 9, 1, 'filtered'],
      [10, 11, 0, 'mark'],
    ],
  )
  t.match(marks[2], { seq: 5, time: '2026-11-20T00:00:00.000Z', detail: 'bad block', devices: { a: 2 } })
  t.notOk('topics' in marks[2], 'upstream, things are called by their devices')
  t.match(marks[4], { devices: { d: 2 } })
})

test('of a thinned stretch, exactly what is gone is told', async (t) => {
  const batch = batchOf([
    [3, [reading('a')]],
    [7, [reading('a')]],
    [10, [reading('a')]],
  ])
  const gaps: Batch['gaps'] = [{ first: 2, last: 9, reason: 'thinned', partial: true }]
  const [note] = packLosses({ ...batch, gaps }, 'g', 100_000, 0)
  t.match(JSON.parse(String(note?.body)).marks, [{ first: 2, last: 9, count: 6, reason: 'thinned' }])
})

test('a batch full of holes is told in several bounded notes', async (t) => {
  const items = Array.from({ length: 2_400 }, (_, index) => [index + 1, index % 2 ? [reading('a')] : []] as const)
  const notes = packLosses(batchOf(items), 'g', 20_000, 0)
  t.ok(notes.length > 4 && notes.length < 20, `${notes.length} notes`)
  t.equal(
    notes.reduce((sum, { count }) => sum + count, 0),
    1_200,
  )
  t.ok(notes.every(({ body }) => body.length < 20_000))
  t.same(
    notes.flatMap(({ body }) => JSON.parse(String(body)).marks.map(({ first }: LossMark) => first)),
    items.filter((_, index) => index % 2 === 0).map(([seq]) => seq),
    'in order',
  )
  t.ok(packLosses(batchOf(items), 'g', 100_000, 0).every(({ count }) => count <= 500))
})

test('names of devices do not blow up a note: the most affected one is left, or none', async (t) => {
  const told = (devices: Record<string, number>, maxBytes: number) => {
    const mark: LossMark = { first: 1, last: 9, count: 9, reason: 'retention', time: 0, devices, detail: 'because' }
    const delivery = { entry: entry(10, 'loss', ''), decoding: { profile: '', device: '', readings: [] }, mark }
    const [note] = packLosses({ ...batchOf([]), first: 10, last: 10, deliveries: [delivery] }, 'g', maxBytes, 0)
    return JSON.parse(String(note?.body)).marks[0]
  }
  const many = Object.fromEntries(
    Array.from({ length: 100 }, (_, index) => [`${index}`.padStart(200, 'd'), 200 - index]),
  )
  t.equal(Object.keys(told(many, 100_000).devices).length, 1)
  t.match(told({ ['d'.repeat(60_000)]: 9 }, 100_000), { devices: undefined, detail: 'because', count: 9 })
  t.match(told({ a: 9 }, 600), { devices: undefined, count: 9 })
})
