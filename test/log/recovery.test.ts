import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { BLOCK_HEADER_BYTES } from '../../src/log/block.ts'
import { openCursor } from '../../src/log/cursor.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { SEGMENT_HEADER_BYTES, segmentName } from '../../src/log/segment-header.ts'
import { rememberingLogger } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, lossMarks, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { blockOffsets } from '../support/segments.ts'
import { until } from '../support/until.ts'

const SKIP = 65_536
const first = (directory: string) => join(directory, 'log', segmentName(1))

/** A killed gateway's directory with three blocks of two messages each. */
const threeBlocks = async (t: Parameters<typeof temporaryDirectory>[0]): Promise<string> => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  await appendAll(log, ['1', '2'])
  await appendAll(log, ['3', '4'])
  await appendAll(log, ['5', '6'])
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  return killed
}

test('after a kill everything durable is there, the seq skips ahead, and a loss mark says so', async (t) => {
  const killed = await threeBlocks(t)
  const log = await openTestLog(t, killed)
  const { texts: found, entries, gaps } = await readAll(log.reader())
  t.strictSame(found, ['1', '2', '3', '4', '5', '6'])
  t.match(lossMarks(entries), [{ first: 7, last: 6 + SKIP, count: 0, reason: 'unclean-stop' }])
  t.strictSame(gaps, [{ first: 7, last: 6 + SKIP, reason: 'unclean-stop' }])
  t.equal(await log.deliver(message('7')), 8 + SKIP)
  t.equal(log.info().first, 1)
})

test('a kill while the log is empty, and another one right after, never give a seq twice', async (t) => {
  const directory = await temporaryDirectory(t)
  await openTestLog(t, directory)
  const once = await killedNow(directory)
  t.teardown(() => rm(once, { recursive: true, force: true }))
  const log = await openTestLog(t, once)
  const seq = await log.deliver(message('a'))
  t.equal(seq, SKIP + 2)
  const twice = await killedNow(once)
  t.teardown(() => rm(twice, { recursive: true, force: true }))
  const again = await openTestLog(t, twice)
  t.equal(await again.deliver(message('b')), 2 * SKIP + 4)
  const { texts: found, gaps } = await readAll(again.reader())
  t.strictSame(found, ['a', 'b'])
  t.strictSame(
    gaps.map(({ reason }) => reason),
    ['unclean-stop', 'unclean-stop'],
  )
})

test('a tail torn at any byte of the last block is cut at the last whole one', async (t) => {
  const killed = await threeBlocks(t)
  const bytes = await readFile(first(killed))
  const [, , third = 0, end = 0] = blockOffsets(bytes)
  for (let size = third; size < end; size++) {
    await rm(join(killed, 'log'), { recursive: true })
    await nodeFileSystem().makeDirectory(join(killed, 'log'))
    await writeFile(first(killed), bytes.subarray(0, size))
    const log = await openTestLog(t, killed)
    const { texts: found } = await readAll(log.reader())
    if (found.join('') !== '1234' || (await log.deliver(message('new'))) !== 4 + SKIP + 2)
      t.fail(`torn at byte ${size}: ${found.join()}`)
    await log.close()
  }
  t.ok(end - third > 60)
})

test('garbage behind the last block, and zeros, are no messages and no damage', async (t) => {
  const killed = await threeBlocks(t)
  const bytes = await readFile(first(killed))
  const end = blockOffsets(bytes).at(-1) ?? 0
  const magic = Buffer.alloc(2_000, 'TGbk')
  for (const tail of [Buffer.alloc(5_000), Buffer.alloc(5_000, 0xff), magic]) {
    await rm(join(killed, 'log'), { recursive: true })
    await nodeFileSystem().makeDirectory(join(killed, 'log'))
    await writeFile(first(killed), Buffer.concat([bytes.subarray(0, end), tail]))
    const log = await openTestLog(t, killed)
    const { texts: found, entries } = await readAll(log.reader())
    t.equal(found.join(''), '123456')
    t.equal(lossMarks(entries).length, 1)
    await log.close()
  }
})

test('a flipped bit anywhere in a killed log costs at most the block it is in, and never a start', async (t) => {
  const killed = await threeBlocks(t)
  const bytes = await readFile(first(killed))
  const [one = 0, two = 0, three = 0, end = 0] = blockOffsets(bytes)
  const left = (at: number) => {
    if (at < one) return ['123456']
    // The channel is defined in the first block: without it the others cannot be told either.
    if (at < two) return ['', '3456']
    return at < three ? ['1256'] : ['1234']
  }
  // Of the header every 37th byte: both of its copies are hit, in all fields.
  for (let at = 0; at < end; at += at < one ? 37 : 2) {
    await rm(join(killed, 'log'), { recursive: true })
    await nodeFileSystem().makeDirectory(join(killed, 'log'))
    const damaged = Buffer.from(bytes.subarray(0, end))
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 7))
    await writeFile(first(killed), damaged)
    const log = await openTestLog(t, killed)
    const { texts: found } = await readAll(log.reader())
    if (!left(at).includes(found.join(''))) t.fail(`bit at ${at}: ${found.join('')}`)
    await log.close()
  }
})

test('a corrupt block in the middle is set aside with a loss mark, and the blocks behind it stay', async (t) => {
  const killed = await threeBlocks(t)
  const path = first(killed)
  const bytes = await readFile(path)
  const [, two = 0, three = 0] = blockOffsets(bytes)
  bytes[two + BLOCK_HEADER_BYTES + 3] = 0xff
  await writeFile(path, bytes)
  const log = await openTestLog(t, killed)
  const { texts: found, entries, gaps } = await readAll(log.reader())
  t.strictSame(found, ['1', '2', '5', '6'])
  t.match(lossMarks(entries), [{ reason: 'unclean-stop' }, { first: 3, last: 4, count: 2, reason: 'corrupt' }])
  t.match(gaps, [
    { first: 3, last: 4, reason: 'corrupt' },
    { first: 7, reason: 'unclean-stop' },
  ])
  t.equal(log.info().lost['corrupt'], 2)
  const kept = `${segmentName(1)}.${two}-${three}`
  const names = () => readdir(join(killed, 'quarantine'))
  await until('the note is settled', async () => (await names()).sort().join() === `${kept},${kept}.json`)
  await log.close()
  const again = await openTestLog(t, killed)
  t.equal(lossMarks((await readAll(again.reader())).entries).length, 2, 'the loss is told once')
})

test('an empty, a torn and a foreign segment at the end are set aside, and the log starts', async (t) => {
  for (const content of ['', 'tidegate', 'x'.repeat(5_000)]) {
    const directory = await temporaryDirectory(t)
    const log = await openTestLog(t, directory)
    await appendAll(log, ['1', '2'])
    await log.close()
    await writeFile(join(directory, 'log', segmentName(3)), content)
    const again = await openTestLog(t, directory)
    t.ok((await again.deliver(message('3'))) > 2 + SKIP)
    t.strictSame((await readAll(again.reader())).texts, ['1', '2', '3'])
    t.equal(again.info().quarantined, 1)
  }
})

test('a segment in the middle that is gone or unreadable is a gap, and what is behind it is read', async (t) => {
  for (const spoil of [(path: string) => rm(path), (path: string) => writeFile(path, 'x'.repeat(2_000))]) {
    const directory = await temporaryDirectory(t)
    for (const text of ['1', '2', '3']) {
      const log = await openTestLog(t, directory)
      await log.deliver(message(text))
      await log.close()
    }
    await spoil(join(directory, 'log', segmentName(2)))
    const log = await openTestLog(t, directory)
    const { texts: found, gaps } = await readAll(log.reader())
    t.strictSame(found, ['1', '3'])
    t.match(gaps, [{ first: 2, last: 2, reason: 'corrupt' }])
  }
})

test('a sealed segment that lost its footer or its header is read all the same', async (t) => {
  for (const place of ['footer', 'header'] as const) {
    const directory = await temporaryDirectory(t)
    const log = await openTestLog(t, directory)
    await appendAll(log, ['1', '2'])
    await log.close()
    const path = join(directory, 'log', segmentName(1))
    if (place === 'footer') await truncate(path, (await stat(path)).size - 10)
    else {
      const bytes = await readFile(path)
      bytes.fill(0, 0, SEGMENT_HEADER_BYTES)
      await writeFile(path, bytes)
    }
    const again = await openTestLog(t, directory)
    t.strictSame((await readAll(again.reader())).texts, ['1', '2'])
  }
})

test('foreign files are left alone with a warning, unfinished ones are removed', async (t) => {
  const directory = await temporaryDirectory(t)
  await (await openTestLog(t, directory)).close()
  await writeFile(join(directory, 'log', 'notes.txt'), 'mine')
  await writeFile(join(directory, 'log', `${segmentName(9)}.new`), 'half')
  const logger = rememberingLogger()
  await openTestLog(t, directory, { logger })
  const names = await readdir(join(directory, 'log'))
  t.ok(names.includes('notes.txt'))
  t.notOk(names.some((name) => name.endsWith('.new')))
  t.match(logger.lines.filter(({ level }) => level === 'warn')[0], { fields: { file: 'notes.txt' } })
})

test('a tail that cannot be written anew is read as it is', async (t) => {
  const killed = await threeBlocks(t)
  const disk = faultyDisk()
  disk.fail('sync', 'EIO', { part: `${segmentName(1)}.new` })
  const log = await openTestLog(t, killed, { fileSystem: disk })
  await log.deliver(message('7'))
  t.strictSame((await readAll(log.reader())).texts, ['1', '2', '3', '4', '5', '6', '7'])
  await log.close()
  const again = await openTestLog(t, killed)
  t.strictSame((await readAll(again.reader())).texts, ['1', '2', '3', '4', '5', '6', '7'])
})

test('a log that was taken away does not give the seqs again that its cursors have seen', async (t) => {
  const directory = await temporaryDirectory(t)
  const options = { directory: join(directory, 'cursors'), name: 'cloud', fileSystem: nodeFileSystem() }
  const cursor = await openCursor(options)
  cursor.settle(1, 5_000)
  await cursor.close()
  const log = await openTestLog(t, directory)
  t.ok((await log.deliver(message('1'))) > 5_000)
})

test('the log keeps its identity over restarts and kills', async (t) => {
  const ids = new Set<string>()
  let directory = await temporaryDirectory(t)
  for (let round = 0; round < 3; round++) {
    const log = await openTestLog(t, directory)
    await appendAll(log, texts(3))
    const killed = await killedNow(directory)
    t.teardown(() => rm(killed, { recursive: true, force: true }))
    directory = killed
    const names = await readdir(join(directory, 'log'))
    for (const name of names.filter((one) => one.endsWith('.seg')))
      ids.add((await readFile(join(directory, 'log', name))).toString('hex', 16, 32))
  }
  t.equal(ids.size, 1)
})

test('kills between a start and its first commit leave skipped seqs, never a hole that looks like damage', async (t) => {
  const killed = await threeBlocks(t)
  for (let kill = 0; kill < 3; kill++) {
    const log = await openTestLog(t, killed)
    await log.close()
    // As a kill leaves it that comes when the new segment has its name and the mark is not written yet.
    const newest = (await readdir(join(killed, 'log'))).filter((name) => name.endsWith('.seg')).sort()
    await truncate(join(killed, 'log', newest.at(-1) ?? ''), SEGMENT_HEADER_BYTES)
  }
  const log = await openTestLog(t, killed)
  const { texts: found, entries, gaps } = await readAll(log.reader())
  t.strictSame(found, ['1', '2', '3', '4', '5', '6'])
  const last = entries.at(-1)?.seq ?? 0
  t.ok(last > 6 + 3 * SKIP, 'no seq is given twice')
  t.match(lossMarks(entries), [{ first: 7, last: last - 1, count: 0, reason: 'unclean-stop' }])
  t.strictSame(gaps, [{ first: 7, last: last - 1, reason: 'unclean-stop' }])
})
