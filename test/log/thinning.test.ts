import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Entry, Gap, LossMark } from '../../src/core/contract.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import type { OfDevice } from '../../src/log/keep.ts'
import { Keep, Thinning } from '../../src/log/keep.ts'
import { openReader } from '../../src/log/reader.ts'
import { SegmentFile } from '../../src/log/segment-file.ts'
import { turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { killedNow, lossMarks, message, openTestLog, readAll } from '../support/durable-log.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { until } from '../support/until.ts'
import { watchedDisk } from '../support/watched-disk.ts'

const SECOND_US = 1_000_000
const NO_DEVICE: OfDevice = (topic, _, matches) => matches(topic)

/** What stays of entries at these seconds. */
const keptOf = (policy: { newest: number; perMs: number }, seconds: readonly number[], settled = 0) => {
  const keep = new Keep([{ topic: '#', ...policy }], NO_DEVICE)
  const thinning = new Thinning({ keep, settled, unsettledToo: settled === 0 })
  const channel = thinning.channel({ source: 'broker', topic: 'a' })
  for (const [index, second] of seconds.entries()) thinning.add(channel, index + 1, second * SECOND_US)
  return seconds.filter((_, ordinal) => !thinning.goes(ordinal))
}

test('of each step of time the newest entries of a channel stay', (t) => {
  t.strictSame(keptOf({ newest: 1, perMs: 10_000 }, [1, 2, 3, 11, 12, 40]), [3, 12, 40])
  t.strictSame(keptOf({ newest: 2, perMs: 10_000 }, [1, 2, 3, 4, 11, 12, 13]), [3, 4, 12, 13])
  t.strictSame(keptOf({ newest: 9, perMs: 10_000 }, [1, 2, 3]), [1, 2, 3])
  t.end()
})

test('what no sink has had yet stays where it must not be dropped', (t) => {
  t.strictSame(keptOf({ newest: 1, perMs: 60_000 }, [1, 2, 3, 4, 5, 6], 3), [4, 5, 6])
  t.end()
})

test('the first policy that matches decides, by topic or by device', (t) => {
  const keep = new Keep(
    [
      { topic: 'vibration/+/raw', newest: 5, perMs: 1_000 },
      { device: 'pump/#', newest: 1, perMs: 60_000 },
      { topic: 'vibration/#', newest: 2, perMs: 1_000 },
    ],
    (topic, _, matches) => matches(topic.slice(topic.indexOf('/') + 1)),
  )
  const newest = (topic: string) => keep.of({ source: 'broker', topic })?.newest
  t.equal(newest('vibration/pump/raw'), 5)
  t.equal(newest('vibration/pump'), 1)
  t.equal(newest('vibration/fan'), 2)
  t.equal(newest('temperature/hall'), undefined)
  t.equal(new Keep([], NO_DEVICE).key, 0)
  t.not(keep.key, new Keep([{ topic: 'a', newest: 1, perMs: 1_000 }], NO_DEVICE).key)
  t.end()
})

const SEGMENT = 65_536
const SMALL = { segmentBytes: SEGMENT, maxBytes: 12 * SEGMENT }
/** With thinning done, there is room for a segment or two. */
const ROOMY = 7.5 * SEGMENT
const KEEP = [{ topic: 'chatty/#', newest: 1, perMs: 60_000 }]

/** Minutes of a device that speaks every second, and one that speaks every minute. Resolves when all are durable. */
const talk = async (
  t: Parameters<typeof openTestLog>[0],
  directory: string,
  minutes: number,
  more: object = {},
  onDurable: (seq: number) => void = () => undefined,
) => {
  const clock = turnableClock()
  const log = await openTestLog(t, directory, { ...SMALL, keep: KEEP, clock, ...more })
  const sent: { topic: string; seq: number; text: string }[] = []
  for (let minute = 0; minute < minutes; minute++) {
    const texts = Array.from({ length: 60 }, (_, second) => `${minute}:${second}`.padEnd(200, '.'))
    const seqs = await Promise.all(
      texts.map((text) => {
        clock.advance(1_000)
        return log.deliver(message(text, 'chatty/a'))
      }),
    )
    for (const [index, seq] of seqs.entries()) sent.push({ topic: 'chatty/a', seq, text: texts[index] ?? '' })
    const seq = await log.deliver(message(`${minute}`, 'rare'))
    sent.push({ topic: 'rare', seq, text: `${minute}` })
    onDurable(seq)
    await until('thinning keeps up', () => log.info().bytes <= ROOMY)
  }
  return { log, sent, clock }
}

const rareOf = (entries: readonly Entry[]) =>
  entries.filter(({ topic }) => topic === 'rare').map(({ payload }) => payload.toString())
const numbersUpTo = (count: number) => Array.from({ length: count }, (_, index) => `${index}`)

interface Checks {
  equal(found: unknown, wanted: unknown, name: string): boolean
  fail(name: string): boolean
}

/** Every seq is there, or in a gap; what a gap calls whole has no entry. */
const checkAccounts = (t: Checks, entries: readonly Entry[], gaps: readonly Gap[], last: number) => {
  const there = new Set(entries.map(({ seq }) => seq))
  t.equal(there.size, entries.length, 'no entry comes twice')
  const told = new Set<number>()
  for (const gap of gaps)
    for (let seq = gap.first; seq <= gap.last; seq++) {
      if (gap.partial === undefined && there.has(seq)) t.fail(`seq ${seq} is in a gap, and there`)
      told.add(seq)
    }
  for (let seq = 1; seq <= last; seq++) if (!there.has(seq) && !told.has(seq)) t.fail(`seq ${seq} is not accounted for`)
}

test('a device that speaks every second does not push out one that speaks every minute', async (t) => {
  const directory = await temporaryDirectory(t)
  const { log, sent } = await talk(t, directory, 240)
  const { entries, gaps, marks } = await until('the marks count what is missing', async () => {
    const found = await readAll(log.reader(), 0, 1_000)
    const told = lossMarks(found.entries) as LossMark[]
    const missing = sent.length - found.entries.filter(({ kind }) => kind === 'message').length
    return told.reduce((sum, { count }) => sum + count, 0) === missing && { ...found, marks: told }
  })
  t.strictSame(rareOf(entries), numbersUpTo(240), 'nothing of the rare one is missing')
  const chatty = entries.filter(({ topic }) => topic === 'chatty/a')
  t.ok(chatty.length < 240 * 30, 'much of the chatty one is')
  const minutes = new Set(chatty.map(({ payload }) => payload.toString().split(':')[0]))
  t.equal(minutes.size, 240, 'one of each minute stays')
  t.strictSame(
    gaps.map(({ reason, partial }) => ({ reason, partial })),
    gaps.map(() => ({ reason: 'thinned', partial: true })),
  )
  checkAccounts(t, entries, gaps, log.info().last)
  const texts = new Map(sent.map(({ seq, text }) => [seq, text]))
  const changed = entries.filter(
    ({ kind, seq, payload }) => kind === 'message' && texts.get(seq) !== payload.toString(),
  )
  t.strictSame(changed, [], 'what stays is as it was')
  const lost = sent.length - entries.filter(({ kind }) => kind === 'message').length
  t.ok(marks.every(({ reason, topics }) => reason === 'thinned' && topics?.['chatty/a'] !== undefined))
  t.strictSame(log.info().lost, { thinned: lost })
})

test('times of entries that were thinned stay as they were', async (t) => {
  const directory = await temporaryDirectory(t)
  const { log } = await talk(t, directory, 200)
  await until('the log is within its bounds', () => log.info().bytes <= SMALL.maxBytes)
  const { entries } = await readAll(log.reader(), 0, 1_000)
  const start = turnableClock()
  const wrong = entries.filter(({ topic, payload, receivedAt, monotonicMs }) => {
    const [minute = 0, second = 0] = payload.toString().split(/[:.]/).map(Number)
    const elapsedMs = (minute * 60 + second + 1) * 1_000
    const isRight = receivedAt - start.wallMs() === elapsedMs && monotonicMs - start.monotonicMs() === elapsedMs
    return topic === 'chatty/a' && !isRight
  })
  t.strictSame(wrong, [])
})

test('what every sink has had is thinned without a mark', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = turnableClock()
  const log = await openTestLog(t, directory, { ...SMALL, keep: KEEP, clock })
  log.settledUpTo(Number.POSITIVE_INFINITY)
  for (let minute = 0; minute < 200; minute++) {
    for (let second = 0; second < 60; second++) {
      clock.advance(1_000)
      log.append(message('x'.repeat(200), 'chatty/a'))
    }
    await log.deliver(message(`${minute}`, 'rare'))
    await until('thinning keeps up', () => log.info().bytes <= ROOMY)
  }
  await until('the log is within its bounds', () => log.info().bytes <= SMALL.maxBytes)
  const { entries } = await readAll(log.reader(), 0, 1_000)
  t.strictSame(rareOf(entries), numbersUpTo(200))
  t.strictSame(lossMarks(entries), [])
  t.strictSame(log.info().lost, {})
})

test('with refuse nothing is thinned that a sink has not had, and what it has had makes room', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = turnableClock()
  const log = await openTestLog(t, directory, { ...SMALL, keep: KEEP, clock, whenFull: 'refuse' })
  const seqs: number[] = []
  await until('it refuses', () => {
    for (let count = 0; count < 50; count++) {
      clock.advance(1_000)
      log.append(message('x'.repeat(200), 'chatty/a'), (error, seq) => error ?? seqs.push(seq))
    }
    return log.info().state === 'refusing'
  })
  const { durable } = log
  t.equal((await readAll(log.reader(), 0, 1_000)).entries.length, durable, 'nothing was thinned')
  log.settledUpTo(durable)
  await log.deliver(message('late', 'rare'))
  t.equal(log.info().state, 'ok')
  const { entries } = await readAll(log.reader(), 0, 1_000)
  t.strictSame(lossMarks(entries), [])
  t.strictSame(rareOf(entries), ['late'])
})

test('a segment is thinned once, also when the log is opened again, and anew by other policies', async (t) => {
  const directory = await temporaryDirectory(t)
  const { log } = await talk(t, directory, 60)
  await until('thinning rests', () => log.info().bytes <= ROOMY)
  await log.close()
  const thinned = await thinnedIn(directory)
  t.ok(thinned.length > 2 && thinned.length < 8)
  /** Names of thinned segments that are written anew while a segment more comes in. */
  const writtenAnew = async (keep: typeof KEEP) => {
    const disk = faultyDisk()
    const again = await openTestLog(t, directory, { ...SMALL, keep, fileSystem: disk })
    for (let count = 0; count < 10; count++)
      await Promise.all(Array.from({ length: 40 }, () => again.deliver(message('x'.repeat(200), 'other'))))
    await until('there is room', () => again.info().bytes <= ROOMY)
    await again.close()
    return thinned.filter((name) => disk.done.includes(`rename ${name}`))
  }
  t.strictSame(await writtenAnew(KEEP), [])
  t.not((await writtenAnew([{ topic: '#', newest: 1, perMs: 120_000 }])).length, 0)
})

const thinnedIn = async (directory: string): Promise<string[]> => {
  const names = (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg'))
  const thinned: string[] = []
  for (const name of names) {
    const file = await SegmentFile.open(nodeFileSystem(), join(directory, 'log'), Number.parseInt(name, 10))
    if ((file?.summary?.thinnedBy ?? 0) !== 0) thinned.push(name)
    await file?.close()
  }
  return thinned
}

test('a stop at any moment of thinning leaves the old file or the new one, and the mark is there first', async (t) => {
  const directory = await temporaryDirectory(t)
  const stops: { readonly call: string; readonly copy: string; readonly durable: number }[] = []
  let durable = 0
  let thinning = false
  const disk = watchedDisk(async (call) => {
    // Of the first two segments that are thinned; the one in use gets its name by itself.
    if (/^open .*0001\.seg\.new$/.test(call)) thinning = durable > 0
    if (!thinning || stops.length >= 16 || !/\.new|syncDirectory/.test(call)) return
    const before = durable
    const copy = await killedNow(directory).catch(() => undefined)
    if (copy !== undefined) stops.push({ call, copy, durable: before })
  })
  const { log, sent } = await talk(t, directory, 60, { fileSystem: disk }, (seq) => {
    durable = seq
  })
  await log.close()
  t.ok(stops.some(({ call }) => call.startsWith('rename')))
  t.ok(stops.some(({ call }) => call.startsWith('syncDirectory')))
  for (const { call, copy, durable: last } of stops) {
    const again = await openTestLog(t, copy, { ...SMALL, keep: KEEP, settledWithinMs: 60_000 })
    const { entries } = await readAll(again.reader(), 0, 1_000)
    const kept = new Set(entries.map(({ seq }) => seq))
    const missing = sent.filter(({ seq }) => seq <= last && !kept.has(seq))
    const told = (lossMarks(entries) as LossMark[]).reduce((sum, { count }) => sum + count, 0)
    t.ok(missing.length <= told, `${missing.length} are missing, ${told} are told of: ${call}`)
    t.ok(
      missing.every(({ topic }) => topic !== 'rare'),
      call,
    )
    await again.close()
  }
})

test('a reader that stands in a segment while it is thinned goes on without a hole', async (t) => {
  const directory = await temporaryDirectory(t)
  const { log, clock } = await talk(t, directory, 20)
  const inside = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => log.durable })
  t.teardown(() => inside.close())
  const before = await inside.read(0, { entries: 100, bytes: 2 ** 20 })
  t.equal(before.next, 100)
  for (let minute = 0; minute < 200; minute++) {
    for (let second = 0; second < 60; second++) {
      clock.advance(1_000)
      log.append(message('x'.repeat(200), 'chatty/a'))
    }
    await log.deliver(message(`${20 + minute}`, 'rare'))
    await until('thinning keeps up', () => log.info().bytes <= ROOMY)
  }
  await until('the log is within its bounds', () => log.info().bytes <= SMALL.maxBytes)
  const { entries, gaps } = await readAll(inside, 100, 1_000)
  t.ok(gaps.every(({ reason, partial }) => reason === 'thinned' && partial === true))
  checkAccounts(t, [...before.entries, ...entries], gaps, log.info().last)
})
