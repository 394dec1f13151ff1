import { test } from 'tap'
import type { Batch, Entry, Reading } from '../../src/core/contract.ts'
import { packReadings } from '../../src/sinks/outgoing.ts'
import { headersOf } from '../../src/sinks/properties.ts'
import { entryOf } from '../support/entries.ts'

const limits = { maxReadings: 500, maxBodyBytes: 100_000 }
const OWN = Date.UTC(2026, 10, 20, 9)

const batchOf = (...items: readonly (readonly [Partial<Entry>, Partial<Reading>?])[]): Batch => ({
  lane: 'fresh',
  first: 1,
  last: items.length,
  gaps: [],
  deliveries: items.map(([fields, reading]) => ({
    entry: entryOf((fields.seq ?? 0) + 1, fields),
    decoding: { profile: 'p', device: 'd', readings: [{ device: 'd', name: 'n', value: 1, ...reading }] },
  })),
})
const recordsOf = (batch: Batch) => packReadings(batch, limits).flatMap(({ body }) => JSON.parse(body.toString()))
const headerOf = (batch: Batch) =>
  packReadings(batch, limits).map((message) => headersOf(message, 'g')['tidegate-time-quality'])

const unsynced = { receivedAt: 12_000, timeQuality: 'unsynced' } as const
const plausible = { timeQuality: 'unsynced' } as const
const corrected = { timeQuality: 'corrected' } as const

test('an arrival by a clock that was never set has no time upstream, however plausible it looks, and says so', async (t) => {
  for (const fields of [unsynced, plausible]) {
    const [record] = recordsOf(batchOf([fields]))
    t.notOk('t' in record)
    t.equal(record.timeQuality, 'unsynced')
    t.strictSame(headerOf(batchOf([fields])), ['unsynced'])
  }
})

test('a corrected arrival is a time like any other, and says so', async (t) => {
  const [record] = recordsOf(batchOf([corrected]))
  t.match(record, { t: entryOf(1).receivedAt / 1_000, timeQuality: 'corrected' })
})

test("a payload's own date needs no remark; its distance from an arrival is worth what that is", async (t) => {
  const [own] = recordsOf(batchOf([unsynced, { timeMs: OWN }]))
  t.equal(own.t, OWN / 1_000)
  t.notOk('timeQuality' in own)
  const [relative] = recordsOf(batchOf([unsynced, { timeMs: 11_000 }]))
  t.notOk('t' in relative)
  t.equal(relative.timeQuality, 'unsynced')
})

test('the header tells the worst of a message, and a message with nothing to tell has none', async (t) => {
  const time = { seq: 0 }
  t.strictSame(headerOf(batchOf([time])), [undefined])
  t.strictSame(headerOf(batchOf([{}], [corrected])), ['corrected'])
  t.strictSame(headerOf(batchOf([{}], [unsynced], [corrected])), ['unsynced'])
  t.strictSame(
    packReadings(batchOf([unsynced], [corrected], [{}]), { ...limits, maxReadings: 1 }).map(
      ({ timeQuality }) => timeQuality,
    ),
    ['unsynced', 'corrected', undefined],
    'each for itself',
  )
})

test('no message outgrows its limit for what it says about time', async (t) => {
  const batch = batchOf(...Array.from({ length: 100 }, () => [unsynced] as const))
  for (const { body } of packReadings(batch, { maxReadings: 500, maxBodyBytes: 1_000 })) t.ok(body.length <= 1_000)
})
