import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'tap'
import type { Range } from '../../src/core/log-contract.ts'
import { openCursor } from '../../src/log/cursor.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { ALL_UNSETTLED, MAX_RANGES, settleRange } from '../../src/log/ranges.ts'
import { rememberingLogger } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { faultyDisk } from '../support/faulty-disk.ts'

const INFINITY = Number.POSITIVE_INFINITY
const options = (directory: string) => ({ directory, name: 'cloud', fileSystem: nodeFileSystem() })
const fileOf = async (directory: string) =>
  join(directory, (await readdir(directory)).find((name) => name.endsWith('.cursor')) ?? '')

test('a new cursor has settled nothing', async (t) => {
  const cursor = await openCursor(options(await temporaryDirectory(t)))
  t.strictSame(cursor.unsettled, [{ first: 1, last: INFINITY }])
  t.equal(cursor.position, 0)
  await cursor.close()
})

test('what was flushed is there after a restart, holes included; what was not flushed is not', async (t) => {
  const directory = await temporaryDirectory(t)
  const cursor = await openCursor(options(directory))
  cursor.settle(1, 10)
  cursor.settle(20, 30)
  await cursor.flush()
  cursor.settle(11, 12)
  const again = await openCursor(options(directory))
  t.strictSame(again.unsettled, [
    { first: 11, last: 19 },
    { first: 31, last: INFINITY },
  ])
  t.equal(again.position, 10)
  await cursor.close()
  await again.close()
  const closed = await openCursor(options(directory))
  t.equal(closed.position, 12, 'close flushes')
  await closed.close()
})

test('moving a cursor rewrites one slot in place and syncs once; without a change nothing is written', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const cursor = await openCursor({ ...options(directory), fileSystem: disk })
  cursor.settle(1, 1)
  await cursor.flush()
  // The disk names a file by what it was called when it was opened.
  disk.done.length = 0
  for (let seq = 2; seq <= 5; seq++) {
    cursor.settle(seq, seq)
    await cursor.flush()
  }
  await cursor.flush()
  cursor.settle(1, 3)
  await cursor.flush()
  t.strictSame(disk.done, Array(4).fill(['write cloud.cursor.new', 'datasync cloud.cursor.new']).flat())
  t.equal((await stat(await fileOf(directory))).size, 8_192)
  await cursor.close()
})

test('a torn slot gives way to the one before it, wherever it is torn', async (t) => {
  const directory = await temporaryDirectory(t)
  const cursor = await openCursor(options(directory))
  cursor.settle(1, 100)
  await cursor.flush()
  cursor.settle(101, 200)
  await cursor.close()
  const path = await fileOf(directory)
  const bytes = await readFile(path)
  const newest = bytes.readUInt32LE(16) > bytes.readUInt32LE(4_096 + 16) ? 0 : 4_096
  for (let at = 0; at < 40; at++) {
    const torn = Buffer.from(bytes)
    torn[newest + at] = (torn[newest + at] ?? 0) ^ 0x5a
    await writeFile(path, torn)
    const again = await openCursor(options(directory))
    t.equal(again.position, 100, `byte ${at}`)
    await again.close()
  }
})

test('a cursor whose slots are both destroyed begins anew with a warning', async (t) => {
  for (const content of ['', 'x', 'x'.repeat(8_192)]) {
    const directory = await temporaryDirectory(t)
    const cursor = await openCursor(options(directory))
    cursor.settle(1, 100)
    await cursor.close()
    const path = await fileOf(directory)
    const handle = await open(path, 'w')
    await handle.writeFile(content)
    await handle.close()
    const logger = rememberingLogger()
    const again = await openCursor({ ...options(directory), logger })
    t.equal(again.position, 0)
    t.match(logger.lines[0], { level: 'warn', fields: { cursor: 'cloud' } })
    again.settle(1, 50)
    await again.close()
    const repaired = await openCursor(options(directory))
    t.equal(repaired.position, 50)
    await repaired.close()
  }
})

test('after a failed sync the file is replaced; while that fails too, flush rejects and later works', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const cursor = await openCursor({ ...options(directory), fileSystem: disk })
  cursor.settle(1, 1)
  await cursor.flush()
  disk.done.length = 0
  disk.fail('datasync', 'EIO')
  cursor.settle(2, 2)
  await cursor.flush()
  const [parent, name] = directory.split('/').slice(-2)
  t.strictSame(disk.done.slice(-3), ['rename cloud.cursor', `syncDirectory ${name}`, `syncDirectory ${parent}`])
  disk.fail('datasync', 'EIO', { times: 10 })
  disk.fail('open', 'ENOSPC')
  cursor.settle(3, 3)
  await t.rejects(cursor.flush(), { code: 'TG_LOG_WRITE', message: /cloud.*ENOSPC/ })
  disk.heal()
  await cursor.flush()
  await cursor.close()
  const again = await openCursor(options(directory))
  t.equal(again.position, 3)
  await again.close()
})

test('flushes at the same time are durable when they resolve, each for what was settled before it', async (t) => {
  const directory = await temporaryDirectory(t)
  const cursor = await openCursor(options(directory))
  const flushes: Promise<void>[] = []
  for (let seq = 1; seq <= 50; seq++) {
    cursor.settle(seq, seq)
    flushes.push(
      cursor.flush().then(async () => {
        const now = await openCursor(options(directory))
        if (now.position < seq) t.fail(`${now.position} after the flush of ${seq}`)
        await now.close()
      }),
    )
  }
  await Promise.all(flushes)
  await cursor.close()
})

test('any name makes a file of its own inside the directory', async (t) => {
  const directory = await temporaryDirectory(t)
  for (const [index, name] of ['a/b', '..', 'ü', 'a b', 'A'].entries()) {
    const cursor = await openCursor({ ...options(directory), name })
    cursor.settle(1, index + 1)
    await cursor.close()
  }
  t.equal((await readdir(directory)).length, 5)
})

test('a directory that cannot be used is refused', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'file'), '')
  await t.rejects(openCursor(options(join(directory, 'file'))), { code: 'TG_DATA_UNUSABLE', message: /cloud/ })
})

const settledBy = (ranges: readonly Range[], seq: number) =>
  !ranges.some(({ first, last }) => seq >= first && seq <= last)

test('settling agrees with a set of seqs, stays ascending and disjoint, and the end stays open', (t) => {
  const call = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 15 }))
  fc.assert(
    fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
      let ranges = ALL_UNSETTLED
      const settled = new Set<number>()
      for (const [first, length] of calls) {
        ranges = settleRange(ranges, first, first + length)
        for (let seq = first; seq <= first + length; seq++) settled.add(seq)
      }
      for (let seq = 1; seq <= 80; seq++) if (settledBy(ranges, seq) !== settled.has(seq)) return false
      return isOrdered(ranges)
    }),
  )
  t.end()
})

test('beyond the bound of ranges seqs become unsettled again, never settled by mistake', (t) => {
  let ranges = ALL_UNSETTLED
  const settled = new Set<number>()
  for (let seq = 2; seq < 1_000; seq += 2 + (seq % 7)) {
    ranges = settleRange(ranges, seq, seq)
    settled.add(seq)
    t.ok(ranges.length <= MAX_RANGES && isOrdered(ranges))
  }
  for (let seq = 1; seq <= 1_100; seq++) if (settledBy(ranges, seq) && !settled.has(seq)) t.fail(`${seq}`)
  t.end()
})

const isOrdered = (ranges: readonly Range[]): boolean =>
  ranges.at(-1)?.last === INFINITY &&
  ranges.every(
    ({ first, last }, index) => first <= last && first > (ranges[index - 1]?.last ?? -1) + (index === 0 ? 0 : 1),
  )
