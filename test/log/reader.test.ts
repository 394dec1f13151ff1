import { readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openReader } from '../../src/log/reader.ts'
import { segmentName } from '../../src/log/segment-header.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { until } from '../support/until.ts'

const SMALL = { segmentBytes: 4_096 }
const segmentsOf = async (directory: string) =>
  (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg')).sort()

test('a log of many segments is read in order from any seq, in batches of any size', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, SMALL)
  const all = texts(300, 50)
  for (let from = 0; from < 300; from += 30) await appendAll(log, all.slice(from, from + 30))
  t.ok((await segmentsOf(directory)).length > 3)
  for (const entries of [1, 7, 1_000]) t.strictSame((await readAll(log.reader(), 0, entries)).texts, all)
  const reader = log.reader()
  for (const after of [299, 0, 150, 1, 298, 31, 30, 29])
    t.strictSame((await readAll(reader, after)).texts, all.slice(after), `after ${after}`)
  t.strictSame(await reader.read(300, { entries: 1, bytes: 1 }), { entries: [], gaps: [], next: 300 })
  t.strictSame(await reader.read(1_000, { entries: 1, bytes: 1 }), { entries: [], gaps: [], next: 1_000 })
})

test('a batch holds at most so many payload bytes, and one entry even if it is larger', async (t) => {
  const log = await openTestLog(t, await temporaryDirectory(t))
  await appendAll(log, texts(10, 100))
  const reader = log.reader()
  t.equal((await reader.read(0, { entries: 100, bytes: 250 })).entries.length, 2)
  t.equal((await reader.read(2, { entries: 100, bytes: 200 })).entries.length, 2)
  t.equal((await reader.read(4, { entries: 100, bytes: 1 })).entries.length, 1)
  t.equal((await reader.read(5, { entries: 100, bytes: 1_000 })).entries.length, 5)
})

test('a reader follows a log that is being written, over roll-overs, and never passes what is durable', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { ...SMALL, fileSystem: disk })
  const reader = log.reader()
  const found: string[] = []
  let after = 0
  const readMore = async () => {
    const { entries, gaps, next } = await reader.read(after, { entries: 50, bytes: 10_000 })
    t.strictSame(gaps, [])
    found.push(...entries.map(({ payload }) => payload.toString()))
    after = next
  }
  for (let round = 0; round < 40; round++) {
    await appendAll(log, texts(5, 60, round * 5))
    await readMore()
  }
  t.strictSame(found, texts(200, 60))
  const release = disk.hold('datasync')
  const late = log.deliver(message('late'))
  await until('the block is written', () => disk.done.at(-1)?.startsWith('write'))
  await readMore()
  t.equal(found.length, 200, 'written, but not durable')
  release()
  await late
  await readMore()
  t.equal(found.at(-1), 'late')
})

test('a reader that needs only the directory follows the log of another process', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, SMALL)
  const reader = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => Number.POSITIVE_INFINITY })
  t.teardown(() => reader.close())
  let after = 0
  const found: string[] = []
  for (let round = 0; round < 30; round++) {
    await appendAll(log, texts(5, 60, round * 5))
    const result = await readAll(reader, after)
    t.strictSame(result.gaps, [])
    found.push(...result.texts)
    after = result.next
  }
  t.strictSame(found, texts(150, 60))
})

test('removed segments are one gap of reason retention, also for a reader that stood in them', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, SMALL)
  const all = texts(300, 50)
  for (let from = 0; from < 300; from += 30) await appendAll(log, all.slice(from, from + 30))
  const reader = log.reader()
  t.equal((await reader.read(0, { entries: 10, bytes: 10_000 })).next, 10)
  const names = await segmentsOf(directory)
  const oldest = Number(names[3]?.slice(0, 16))
  for (const name of names.slice(0, 3)) await unlink(join(directory, 'log', name))
  const fresh = await readAll(log.reader(), 5)
  t.strictSame(fresh.gaps, [{ first: 6, last: oldest - 1, reason: 'retention' }])
  t.strictSame(fresh.texts, all.slice(oldest - 1))
  const stood = await readAll(reader, 10)
  t.equal(stood.next, 300)
  t.ok(stood.gaps.every(({ reason }) => reason === 'retention'))
  t.strictSame(stood.texts.at(-1), all.at(-1))
})

test('a file that is recycled under a reader is never read as what it was', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { segmentBytes: 65_536, maxBytes: 65_536 * 4 })
  log.settledUpTo(Number.POSITIVE_INFINITY)
  const reader = log.reader()
  await appendAll(log, texts(50, 500))
  t.equal((await reader.read(0, { entries: 10, bytes: 100_000 })).entries.length, 10)
  let recycled = false
  let written = 50
  while (!recycled && written < 20_000) {
    await appendAll(log, texts(50, 500, written))
    written += 50
    await new Promise((resolve) => setTimeout(resolve, 1))
    recycled ||= (await readdir(join(directory, 'log'))).includes('spare')
  }
  t.ok(recycled)
  // The spare file is taken by the next roll-over, and written over.
  await appendAll(log, texts(300, 500, written))
  written += 300
  const { entries, gaps, next } = await readAll(reader, 10)
  t.equal(next, log.durable)
  for (const { seq, kind, payload } of entries)
    if (kind === 'message' && Number(payload.toString().replaceAll('.', '')) !== seq - 1)
      t.fail(`seq ${seq} is another`)
  let expected = 11
  for (const part of [...entries.map(({ seq }) => ({ first: seq, last: seq })), ...gaps].sort(
    (a, b) => a.first - b.first,
  )) {
    if (part.first !== expected) t.fail(`${expected} is missing before ${part.first}`)
    expected = part.last + 1
  }
  t.equal(expected, next + 1)
})

test('what a segment that was given up holds beyond the next one is not read twice', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk })
  const reader = log.reader()
  await appendAll(log, ['1', '2'])
  t.equal((await reader.read(0, { entries: 10, bytes: 100 })).next, 2)
  disk.fail('datasync', 'EIO')
  await appendAll(log, ['3', '4'])
  await appendAll(log, ['5'])
  t.strictSame(await segmentsOf(directory), [segmentName(1), segmentName(3)])
  t.strictSame((await readAll(reader, 2)).texts, ['3', '4', '5'])
  t.strictSame((await readAll(log.reader())).texts, ['1', '2', '3', '4', '5'])
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  const again = await openTestLog(t, killed)
  const { texts: found, gaps } = await readAll(again.reader())
  t.strictSame(found, ['1', '2', '3', '4', '5'])
  t.strictSame(
    gaps.map(({ reason }) => reason),
    ['unclean-stop'],
  )
})

test('a segment that is replaced under its name before anything in it was durable is read anew', async (t) => {
  const disk = faultyDisk()
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { fileSystem: disk })
  const outside = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => log.durable })
  t.teardown(() => outside.close())
  const early = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => Number.POSITIVE_INFINITY })
  t.teardown(() => early.close())
  t.equal((await early.read(0, { entries: 1, bytes: 1 })).next, 0)
  disk.fail('datasync', 'EIO')
  await appendAll(log, ['1', '2'])
  t.strictSame(await segmentsOf(directory), [segmentName(1)])
  t.strictSame((await readAll(early)).texts, ['1', '2'])
  t.strictSame((await readAll(outside)).texts, ['1', '2'])
})

test('damage in the middle of a sealed segment is a gap of exactly the seqs of the block', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (let round = 0; round < 5; round++) await appendAll(log, texts(10, 20, round * 10))
  await log.close()
  const path = join(directory, 'log', segmentName(1))
  const bytes = await readFile(path)
  const third = [...Array(3)].reduce((at: number) => bytes.indexOf('TGbk', at + 1), 1_000)
  for (const offset of [third + 8, third + 30, third + 100]) {
    const damaged = Buffer.from(bytes)
    damaged[offset] = (damaged[offset] ?? 0) ^ 1
    await writeFile(path, damaged)
    const again = await openTestLog(t, directory)
    const { texts: found, gaps } = await readAll(again.reader())
    t.strictSame(gaps, [{ first: 21, last: 30, reason: 'corrupt' }])
    t.strictSame(found, [...texts(20, 20), ...texts(20, 20, 30)])
    await again.close()
  }
})

test('an entry that is kept does not keep the buffer that a whole block was read into', async (t) => {
  const log = await openTestLog(t, await temporaryDirectory(t))
  await appendAll(log, texts(2_000, 100))
  const { entries } = await log.reader().read(0, { entries: 2_000, bytes: 2 ** 20 })
  t.equal(entries.length, 2_000)
  for (const { payload } of entries) if (payload.buffer.byteLength > 8_192) t.fail(`${payload.buffer.byteLength} bytes`)
})

test('reads that are asked for at the same time take turns', async (t) => {
  const log = await openTestLog(t, await temporaryDirectory(t), SMALL)
  for (let round = 0; round < 10; round++) await appendAll(log, texts(30, 50, round * 30))
  const reader = log.reader()
  const results = await Promise.all(
    [0, 250, 3, 120, 0].map((after) => reader.read(after, { entries: 2, bytes: 1_000 })),
  )
  t.strictSame(
    results.map(({ entries }) => entries.map(({ seq }) => seq)),
    [
      [1, 2],
      [251, 252],
      [4, 5],
      [121, 122],
      [1, 2],
    ],
  )
  await reader.close()
  await t.rejects(reader.read(0, { entries: 1, bytes: 1 }), { code: 'TG_LOG_CLOSED' })
})

test('a disk that cannot be read rejects the read, and the next one works', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  await appendAll(log, ['1', '2'])
  const reader = log.reader()
  disk.fail('read', 'EIO', { times: Number.POSITIVE_INFINITY })
  await t.rejects(reader.read(0, { entries: 1, bytes: 1 }), { code: 'TG_DATA_UNUSABLE', message: /EIO/ })
  disk.heal()
  t.strictSame((await readAll(reader)).texts, ['1', '2'])
})
