import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { segmentsToMerge } from '../../src/log/merging.ts'
import { openReader } from '../../src/log/reader.ts'
import type { SegmentFacts } from '../../src/log/retention.ts'
import { turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, openTestLog, readAll, texts } from '../support/durable-log.ts'
import { until } from '../support/until.ts'
import { watchedDisk } from '../support/watched-disk.ts'

const small = (number: number, bytes = 1_000, more: Partial<SegmentFacts> = {}): SegmentFacts => ({
  ...{ first: number, last: number, messages: 1, bytes, bootId: 'now', synced: true },
  ...{ createdMs: 0, createdMonotonicMs: 0, endedMs: 0, endedMonotonicMs: 0 },
  ...more,
})
const range = (count: number, bytes?: number, more?: Partial<SegmentFacts>) =>
  Array.from({ length: count }, (_, index) => small(index + 1, bytes, more))
const merged = (segments: readonly SegmentFacts[], segmentBytes = 10_000, mayMerge = (_: SegmentFacts) => true) =>
  segmentsToMerge(segments, segmentBytes, mayMerge)?.map(({ first }) => first)

test('small neighbours of one boot become one, up to the size of a segment', (t) => {
  t.strictSame(merged(range(12)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  t.equal(merged(range(7)), undefined, 'too few to be worth it')
  t.equal(merged(range(20, 5_000)), undefined, 'too large')
  const boots = range(12).map((segment, index) => ({ ...segment, bootId: index < 4 ? 'one' : 'two' }))
  t.strictSame(merged(boots), [5, 6, 7, 8, 9, 10, 11, 12])
  const policies = range(12).map((segment, index) => ({ ...segment, thinnedBy: index < 4 ? 7 : 0 }))
  t.strictSame(merged(policies), [5, 6, 7, 8, 9, 10, 11, 12])
  t.strictSame(
    merged(range(20), 10_000, ({ first }) => first !== 3),
    [4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
  )
  t.end()
})

test('an entry is written again only into a file of at least twice the size', (t) => {
  t.strictSame(merged([small(99, 8_000), ...range(9, 100)]), [1, 2, 3, 4, 5, 6, 7, 8, 9])
  // A crash loop of 10,000 starts: what merging writes stays a small multiple of what was there.
  let segments: SegmentFacts[] = []
  let written = 0
  for (let start = 0; start < 2_000; start++) {
    segments.push(small(start + 1, 1_000))
    const run = segmentsToMerge(segments, 1_000_000, () => true)
    if (run === undefined) continue
    const bytes = run.reduce((sum, segment) => sum + segment.bytes, 0)
    written += bytes
    const firsts = new Set(run.map(({ first }) => first))
    const [oldest] = run
    segments = segments.flatMap((one) =>
      one.first === oldest?.first ? [{ ...one, bytes }] : firsts.has(one.first) ? [] : [one],
    )
  }
  t.ok(written <= 2_000_000 * 5, `written ${written}`)
  t.ok(segments.length < 40, `${segments.length} segments`)
  t.end()
})

const KIND = { segmentBytes: 65_536, maxBytes: 64 * 65_536 }
const filesIn = async (directory: string) =>
  (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg')).sort()

/** A log after so many starts that each wrote a little, and were too short for more. */
const manyStarts = async (t: Parameters<typeof openTestLog>[0], directory: string, starts: number) => {
  const clock = turnableClock()
  for (let start = 0; start < starts; start++) {
    const log = await openTestLog(t, directory, { ...KIND, clock, settledWithinMs: 60_000 })
    await appendAll(log, texts(5, 50, start * 5))
    await log.close()
  }
  return clock
}

test('starts that each wrote a little leave few segments, and every entry with its time', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = await manyStarts(t, directory, 30)
  const before = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => Number.POSITIVE_INFINITY })
  const wanted = await readAll(before)
  await before.close()
  t.equal((await filesIn(directory)).length, 30)
  const log = await openTestLog(t, directory, { ...KIND, clock })
  log.settledUpTo(0)
  await until('neighbours became one', async () => (await filesIn(directory)).length < 10, 15_000)
  const { entries, gaps } = await readAll(log.reader())
  t.strictSame(gaps, [])
  t.strictSame(entries, wanted.entries)
  await until('all is counted', async () => log.info().segments === (await filesIn(directory)).length)
  await log.close()
  const again = await openTestLog(t, directory, { ...KIND, clock })
  t.strictSame((await readAll(again.reader())).texts, wanted.texts)
})

test('a reader in the middle goes on while its segment and those behind it become one', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = await manyStarts(t, directory, 30)
  for (const at of [2, 5, 23]) {
    const reader = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => 150 })
    t.teardown(() => reader.close())
    await reader.read(0, { entries: at, bytes: 2 ** 20 })
    const log = await openTestLog(t, directory, { ...KIND, clock })
    log.settledUpTo(0)
    await until('neighbours became one', async () => (await filesIn(directory)).length < 10, 15_000)
    await log.close()
    const { texts: rest, gaps } = await readAll(reader, at)
    t.strictSame(gaps, [])
    t.strictSame(rest, texts(150, 50).slice(at))
  }
})

test('a stop between any two steps of merging leaves a log that has every entry once', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = await manyStarts(t, directory, 12)
  const oldest = (await filesIn(directory))[0] ?? ''
  const stops: { readonly call: string; readonly copy: string }[] = []
  let merging = false
  const disk = watchedDisk(async (call) => {
    merging ||= call.includes(`${oldest}.new`)
    if (merging) stops.push({ call, copy: await killedNow(directory) })
  })
  const log = await openTestLog(t, directory, { ...KIND, clock, fileSystem: disk })
  log.settledUpTo(0)
  await until('neighbours became one', async () => (await filesIn(directory)).length < 4, 15_000)
  await log.close()
  t.ok(stops.filter(({ call }) => call.startsWith('unlink')).length > 5)
  for (const { call, copy } of stops) {
    const again = await openTestLog(t, copy, { ...KIND, clock })
    const { texts: found, gaps } = await readAll(again.reader())
    t.strictSame(found, texts(60, 50), `stopped before ${call}`)
    t.ok(gaps.every(({ reason }) => reason === 'unclean-stop'))
    await again.close()
  }
})

test('when the new file has its name and the others still have theirs, each entry comes once', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = await manyStarts(t, directory, 12)
  const before = await killedNow(directory)
  const log = await openTestLog(t, directory, { ...KIND, clock })
  log.settledUpTo(0)
  await until('neighbours became one', async () => (await filesIn(directory)).length < 6, 15_000)
  await log.close()
  const [first = ''] = await filesIn(directory)
  // The new file among the old ones, as between the rename and the removals.
  await rename(join(directory, 'log', first), join(before, 'log', first))
  const reader = openReader({ directory: before, fileSystem: nodeFileSystem(), durable: () => 60 })
  t.teardown(() => reader.close())
  const live = await readAll(reader)
  t.strictSame(live.texts, texts(60, 50))
  t.strictSame(live.gaps, [])
  const again = await openTestLog(t, before, { ...KIND, clock })
  t.strictSame((await readAll(again.reader())).texts, texts(60, 50))
})
