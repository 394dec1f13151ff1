import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { SegmentFacts } from '../../src/log/retention.ts'
import { decideRetention, unsettledIn } from '../../src/log/retention.ts'
import { rememberingMeter, turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, lossMarks, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { until } from '../support/until.ts'

const HOUR = 3_600_000

/** A segment of 100 messages and 1,000 bytes that was written during the hour before `endedHours`. */
const facts = (number: number, endedHours: number, more: Partial<SegmentFacts> = {}): SegmentFacts => ({
  first: number * 100 + 1,
  last: number * 100 + 100,
  messages: 100,
  bytes: 1_000,
  bootId: 'now',
  synced: true,
  createdMs: (endedHours - 1) * HOUR,
  createdMonotonicMs: (endedHours - 1) * HOUR,
  endedMs: endedHours * HOUR,
  endedMonotonicMs: endedHours * HOUR,
  ...more,
})
const at = (hours: number) => ({ bootId: 'now', monotonicMs: hours * HOUR })
const limits = (more: object = {}) =>
  ({ bytes: 1e9, maxAgeMs: 1e12, whenFull: 'dropOldest', ...more }) as Parameters<typeof decideRetention>[1]
const numbers = (segments: readonly SegmentFacts[]) => segments.map(({ first }) => (first - 1) / 100)
const ALL = Number.POSITIVE_INFINITY

test('as many of the oldest segments go as are over the size', (t) => {
  const segments = [facts(0, 1), facts(1, 2), facts(2, 3), facts(3, 4)]
  t.strictSame(numbers(decideRetention(segments, limits({ bytes: 4_000 }), ALL, at(4)).remove), [])
  t.strictSame(numbers(decideRetention(segments, limits({ bytes: 2_500 }), ALL, at(4)).remove), [0, 1])
  t.strictSame(numbers(decideRetention(segments, limits({ bytes: 0 }), ALL, at(4)).remove), [0, 1, 2, 3])
  t.end()
})

test('segments go when their newest entry is too old', (t) => {
  const segments = [facts(0, 1), facts(1, 2), facts(2, 3)]
  t.strictSame(numbers(decideRetention(segments, limits({ maxAgeMs: 2 * HOUR }), ALL, at(4.5)).remove), [0, 1])
  t.end()
})

test('a wall clock that jumps deletes nothing, within a boot or between two', (t) => {
  const years = 56 * 365 * 24 * HOUR
  const before = { bootId: 'before' }
  for (const jump of [-years, 0, years]) {
    const within = [facts(0, 1), facts(1, 2, { endedMs: 0 }), facts(2, 3, { createdMs: jump, endedMs: jump })]
    t.strictSame(decideRetention(within, limits({ maxAgeMs: 10 * HOUR }), ALL, at(4)).remove, [])
    const between = [facts(0, 1, before), facts(1, 2, before), facts(2, 3, { createdMs: jump, endedMs: jump })]
    t.strictSame(decideRetention(between, limits({ maxAgeMs: 10 * HOUR }), ALL, at(4)).remove, [])
  }
  t.end()
})

test('age is the time that the machine was running: boots add up, and the time between them does not count', (t) => {
  const before = { bootId: 'before' }
  const segments = [facts(0, 1, before), facts(1, 2, before), facts(2, 1), facts(3, 2)]
  // Of this boot four hours; the boot before ended an hour after its first segment.
  t.strictSame(numbers(decideRetention(segments, limits({ maxAgeMs: 5.5 * HOUR }), ALL, at(5)).remove), [0])
  t.strictSame(numbers(decideRetention(segments, limits({ maxAgeMs: 4.5 * HOUR }), ALL, at(5)).remove), [0, 1])
  t.end()
})

test('a segment whose header is destroyed makes the ones before it no older', (t) => {
  const torn = facts(2, 903, { bootId: '', createdMs: 0, createdMonotonicMs: 0 })
  const segments = [facts(0, 901), facts(1, 902), torn, facts(3, 904)]
  t.strictSame(numbers(decideRetention(segments, limits({ maxAgeMs: 5 * HOUR }), ALL, at(905)).remove), [])
  t.strictSame(numbers(decideRetention(segments, limits({ maxAgeMs: 3.5 * HOUR }), ALL, at(905)).remove), [0])
  t.end()
})

test('for free space the fewest settled segments go, and none when that does not help', (t) => {
  const segments = [facts(0, 1), facts(1, 2), facts(2, 3)]
  const lacking = (lackingBytes: number, settled: number) =>
    numbers(decideRetention(segments, limits({ lackingBytes }), settled, at(4)).remove)
  t.strictSame(lacking(1_500, ALL), [0, 1])
  t.strictSame(lacking(1_000, ALL), [0])
  t.strictSame(lacking(3_000, ALL), [0, 1, 2])
  t.strictSame(lacking(3_001, ALL), [], 'the flood of others does not eat the log')
  t.strictSame(lacking(1_500, 150), [], 'what a sink wants stays')
  t.strictSame(lacking(0, ALL), [])
  t.end()
})

test('old segments are thinned before any goes, the oldest first, and only while they take no more than half', (t) => {
  const segments = [facts(0, 1), facts(1, 2), facts(2, 3), facts(3, 4)]
  const thin = (list: readonly SegmentFacts[], more: object, settled = 0) => {
    const decision = decideRetention(list, limits({ thin: { key: 7, aboveBytes: 3_500 }, ...more }), settled, at(4))
    t.strictSame(decision.remove, [])
    return decision.thin === undefined ? undefined : (decision.thin.first - 1) / 100
  }
  t.equal(thin(segments, { bytes: 4_000 }), 0)
  t.equal(thin(segments.slice(1), { bytes: 4_000 }), undefined, 'there is room')
  t.equal(thin([facts(0, 1, { thinnedBy: 7 }), ...segments.slice(1)], { bytes: 4_000 }), 1)
  t.equal(thin([facts(0, 1, { thinnedBy: 6 }), ...segments.slice(1)], { bytes: 4_000 }), 0, 'by other policies')
  const half = [facts(0, 1, { thinnedBy: 7, bytes: 2_100 }), ...segments.slice(2)]
  t.equal(thin(half, { bytes: 4_200 }), 2)
  t.equal(thin([facts(0, 1, { thinnedBy: 7, bytes: 2_200 }), ...segments.slice(2)], { bytes: 4_200 }), undefined)
  t.equal(thin(segments, { bytes: 4_000, whenFull: 'refuse' }, 99), undefined)
  t.equal(thin(segments, { bytes: 4_000, whenFull: 'refuse' }, 100), 0)
  const over = decideRetention(segments, limits({ bytes: 3_000, thin: { key: 7, aboveBytes: 2_000 } }), 0, at(4))
  t.strictSame(numbers(over.remove), [0], 'beyond the bound there is no time')
  t.equal(over.thin, undefined)
  t.end()
})

test('with refuse, what is not settled stays and the log is full; with dropOldest it goes', (t) => {
  const segments = [facts(0, 1), facts(1, 2), facts(2, 3)]
  const refuse = decideRetention(segments, limits({ bytes: 500, whenFull: 'refuse' }), 150, at(4))
  t.strictSame(numbers(refuse.remove), [0])
  t.equal(refuse.full, true)
  const settled = decideRetention(segments, limits({ bytes: 500, whenFull: 'refuse' }), 300, at(4))
  t.strictSame(numbers(settled.remove), [0, 1, 2])
  t.equal(settled.full, false)
  const drop = decideRetention(segments, limits({ bytes: 500 }), 0, at(4))
  t.strictSame(numbers(drop.remove), [0, 1, 2])
  t.equal(drop.full, false)
  t.end()
})

test('the loss counts exactly what was not settled, without marks', (t) => {
  const segments = [facts(0, 1), facts(1, 2, { messages: 30 }), facts(2, 3)]
  t.equal(unsettledIn(segments, 300), undefined)
  t.strictSame(unsettledIn(segments, 0), { first: 1, last: 300, count: 230 })
  t.strictSame(unsettledIn(segments, 150), { first: 151, last: 300, count: 130 })
  t.strictSame(unsettledIn(segments, 250), { first: 251, last: 300, count: 50 })
  t.end()
})

const SMALL = { segmentBytes: 65_536, maxBytes: 5 * 65_536 }
const sizeOf = async (directory: string) =>
  (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg') || name === 'spare').length * 65_536

test('the log stays within its size, and what sinks had settled goes without a mark', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, SMALL)
  for (let from = 0; from < 2_000; from += 50) {
    await appendAll(log, texts(50, 500, from))
    log.settledUpTo(log.durable)
  }
  await until('it is within its size', () => log.info().bytes <= SMALL.maxBytes)
  t.ok((await sizeOf(directory)) <= SMALL.maxBytes)
  t.ok(log.info().bytes > SMALL.maxBytes / 2)
  const { entries, gaps } = await readAll(log.reader())
  t.strictSame(lossMarks(entries), [])
  t.strictSame(gaps, [{ first: 1, last: log.info().first - 1, reason: 'retention' }])
  t.strictSame(log.info().lost, {})
})

test('what no sink had settled goes with a loss mark that is durable before the file is removed', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const meter = rememberingMeter()
  const log = await openTestLog(t, directory, { ...SMALL, fileSystem: disk, meter })
  const marks: { first: number; last: number; count: number; reason: string }[] = []
  const removed: number[] = []
  log.onDurable((entries) => {
    marks.push(...(lossMarks(entries) as typeof marks))
    removed.push(disk.done.filter((call) => /^(unlink|rename spare)/.test(call)).length)
    if (removed.at(-1) !== 0 && marks.length === 0) t.fail('removed before the mark was durable')
  })
  log.settledUpTo(10)
  for (let from = 0; from < 1_000; from += 50) await appendAll(log, texts(50, 500, from))
  await until('what the marks name is gone, exactly', () => {
    const { bytes, first, lost } = log.info()
    const told = marks.reduce((sum, { count }) => sum + count, 0)
    // What is counted and has no mark yet is about to go.
    return bytes <= SMALL.maxBytes && marks.at(-1)?.last === first - 1 && lost['retention'] === told
  })
  t.match(marks[0], { first: 11, count: Number, reason: 'retention' })
  const lost = marks.reduce((sum, { count }) => sum + count, 0)
  const last = marks.at(-1)?.last ?? 0
  t.ok(lost > 0 && lost <= last - 10)
  t.strictSame(log.info().lost, { retention: lost })
  t.equal(meter.values.get('lost_messages_total{reason=retention}'), lost)
})

test('with refuse the log stops when it is full, and goes on when sinks have settled', async (t) => {
  const log = await openTestLog(t, await temporaryDirectory(t), { ...SMALL, whenFull: 'refuse' })
  const errors: unknown[] = []
  await until('it refuses', () => {
    for (const text of texts(20, 500)) log.append(message(text), (error) => error && errors.push(error))
    return log.info().state === 'refusing'
  })
  t.match(log.info().reason, /maxBytes.*refuse/)
  const { durable } = log
  t.equal((await readAll(log.reader(), 0, 1_000)).entries.length, durable, 'nothing is lost')
  const late = log.deliver(message('late'))
  log.settledUpTo(durable)
  await late
  t.equal(log.info().state, 'ok')
  t.strictSame(errors, [])
})

test('segments go by age while nothing is written', async (t) => {
  const clock = turnableClock()
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { clock, segmentBytes: 4_096, maxAgeMs: 10 * HOUR })
  log.settledUpTo(Number.POSITIVE_INFINITY)
  for (let from = 0; from < 100; from += 10) await appendAll(log, texts(10, 200, from))
  const before = log.info().segments
  clock.advance(11 * HOUR)
  await until('only the segment in use is left', () => log.info().segments === 1, 15_000)
  t.ok(before > 3)
})

test('until it is said what is settled, retention waits, so that nothing settled is called lost', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = turnableClock()
  const small = { clock, maxBytes: 1, segmentBytes: 64 * 1024, settledWithinMs: 30_000 }
  const log = await openTestLog(t, directory, small)
  const payloads = Array.from({ length: 300 }, (_, index) => `${index}`.padEnd(1_000, '.'))
  await appendAll(log, payloads)
  const before = log.info()
  t.ok(before.segments > 3, 'the log is far beyond its size')
  t.equal(before.first, 1)
  log.settledUpTo(Number.POSITIVE_INFINITY)
  await appendAll(log, payloads)
  await until('what is settled has gone', () => log.info().first > 100)
  t.strictSame(log.info().lost, {})
})
