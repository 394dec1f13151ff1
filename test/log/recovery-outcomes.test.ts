// One test for each thing that can be wrong with a data directory at a start, and what comes of it.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'
import { test } from 'tap'
import type { LossMark } from '../../src/core/contract.ts'
import { openCursor } from '../../src/log/cursor.ts'
import { cursorPath } from '../../src/log/cursor-file.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openReader } from '../../src/log/reader.ts'
import { SEGMENT_HEADER_BYTES, segmentName } from '../../src/log/segment-header.ts'
import { tryLock } from '../../src/ops/libc.ts'
import { rememberingLogger } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { killedNow, lossMarks, message, openTestLog, readAll } from '../support/durable-log.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { blockOffsets, closedSegments, segmentPath, spoil, spoilBlock } from '../support/segments.ts'
import { until } from '../support/until.ts'

const SKIP = 65_536
const PROCESS = fileURLToPath(new URL('../support/log-process.ts', import.meta.url))

/** Segments 1–4, 5–8, 9–12, each closed. */
const threeSegments = async (t: Parameters<typeof temporaryDirectory>[0]): Promise<string> => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 3)
  return directory
}

/** What a start makes of it. */
const opened = async (t: Parameters<typeof temporaryDirectory>[0], directory: string, options = {}) => {
  const log = await openTestLog(t, directory, options)
  const { texts, gaps, entries } = await readAll(log.reader())
  const marks = lossMarks(entries) as LossMark[]
  return { log, texts: texts.join(' '), gaps, marks, corrupt: marks.filter(({ reason }) => reason === 'corrupt') }
}

const quarantined = async (directory: string): Promise<string[]> =>
  (await readdir(join(directory, 'quarantine')).catch(() => [])).filter((name) => !name.endsWith('.json'))

/** Every file below a directory with its content. */
const contents = async (directory: string): Promise<Record<string, string>> => {
  const files: Record<string, string> = {}
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && entry.name !== 'lock')
      files[entry.name] = await readFile(join(entry.parentPath, entry.name), 'hex')
  return files
}

const ALL = '1 2 3 4 5 6 7 8 9 10 11 12'

test('a missing segment in the middle is a gap with reason corrupt', async (t) => {
  const directory = await threeSegments(t)
  await rm(segmentPath(directory, 5))
  const { texts, gaps, log } = await opened(t, directory)
  t.equal(texts, '1 2 3 4 9 10 11 12')
  t.strictSame(gaps, [{ first: 5, last: 8, reason: 'corrupt' }])
  t.equal(await log.deliver(message('13')), 13)
})

test('a missing first segment is what retention leaves, too: it is a gap with that reason', async (t) => {
  const directory = await threeSegments(t)
  await rm(segmentPath(directory, 1))
  const { texts, gaps, log } = await opened(t, directory)
  t.equal(texts, '5 6 7 8 9 10 11 12')
  t.strictSame(gaps, [{ first: 1, last: 4, reason: 'retention' }])
  t.equal(await log.deliver(message('13')), 13)
})

test('a missing last segment gives no seq again that a cursor has seen', async (t) => {
  const directory = await threeSegments(t)
  const cursor = await openCursor({ directory: join(directory, 'cursors'), name: 'a', fileSystem: nodeFileSystem() })
  cursor.settle(1, 12)
  await cursor.close()
  await rm(segmentPath(directory, 9))
  const { texts, marks, log } = await opened(t, directory)
  t.equal(texts, '1 2 3 4 5 6 7 8')
  t.match(marks, [{ first: 9, last: 12, count: 0, reason: 'corrupt', detail: 'the log is older than its cursors' }])
  t.equal(await log.deliver(message('14')), 14)
  log.damageFound(9, 12)
  await log.close()
  t.strictSame(await quarantined(directory), [], 'what a mark explains is not told again')
})

test('a segment of zero length in the middle is set aside and marked, and what is behind it is read', async (t) => {
  const directory = await threeSegments(t)
  await truncate(segmentPath(directory, 5), 0)
  const { texts, gaps, corrupt } = await opened(t, directory)
  t.equal(texts, '1 2 3 4 9 10 11 12')
  t.match(gaps, [{ first: 5, last: 8, reason: 'corrupt' }])
  t.match(corrupt, [{ first: 5, last: 8, count: 4, detail: /the most/ }])
  t.notOk((await readdir(join(directory, 'log'))).includes(segmentName(5)))
})

test('a last segment of zero length costs skipped seqs, also when the start after it is killed at once', async (t) => {
  const directory = await threeSegments(t)
  await writeFile(segmentPath(directory, 13), '')
  const disk = faultyDisk()
  disk.fail('rename', 'EIO', { part: '.seg', times: Number.POSITIVE_INFINITY })
  disk.fail('open', 'ENOSPC', { part: '.new', times: Number.POSITIVE_INFINITY })
  await openTestLog(t, directory, { fileSystem: disk })
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  const { texts, log } = await opened(t, killed)
  t.equal(texts, ALL)
  t.ok((await log.deliver(message('x'))) > 12 + SKIP)
})

test('a segment of a newer format refuses the start and changes nothing on the disk', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  await log.deliver(message('1'))
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  await spoilBlock(segmentPath(killed, 1), 0)
  await writeFile(join(killed, 'log', `${segmentName(7)}.new`), 'half')
  await writeFile(segmentPath(killed, 5), '')
  await copyFile(segmentPath(directory, 1), segmentPath(killed, 9))
  await spoil(segmentPath(killed, 9), (bytes) => newer(bytes))
  const before = await contents(killed)
  await t.rejects(openTestLog(t, killed), { code: 'TG_LOG_NEWER', message: /format version 99.*up to version/ })
  t.strictSame(await contents(killed), before)
})

test('directories, links and garbage with the names of segments are set aside, and cost nothing else', async (t) => {
  const directory = await threeSegments(t)
  await mkdir(segmentPath(directory, 2))
  await writeFile(join(segmentPath(directory, 2), 'kept'), 'mine')
  await symlink('nowhere', segmentPath(directory, 6))
  await symlink(segmentName(7), segmentPath(directory, 7))
  await writeFile(segmentPath(directory, 13), 'x'.repeat(3_000))
  const { log, texts } = await opened(t, directory)
  t.equal(texts, ALL)
  t.ok((await log.deliver(message('x'))) > 13 + SKIP)
  t.equal((await quarantined(directory)).length, 4)
  const names = (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg'))
  t.notOk([2, 6, 7, 13].some((first) => names.includes(segmentName(first))))
  const aside = (await quarantined(directory)).find((name) => name.startsWith(segmentName(2))) ?? ''
  t.equal(await readFile(join(directory, 'quarantine', aside, 'kept'), 'utf8'), 'mine')
})

test('a file whose name is a seq that no log can come to is left alone, and is not followed', async (t) => {
  const directory = await threeSegments(t)
  for (const name of ['9007199254740990.seg', '0000000000000000.seg', '5.seg', 'x.seg'])
    await writeFile(join(directory, 'log', name), 'garbage')
  const logger = rememberingLogger()
  const { log, texts } = await opened(t, directory, { logger })
  t.equal(texts, ALL)
  t.equal(await log.deliver(message('13')), 13)
  t.ok((await readdir(join(directory, 'log'))).includes('9007199254740990.seg'))
  t.equal(logger.lines.filter(({ message: text }) => text.includes('is not of the log')).length, 4)
})

test('a segment that is a link to a file elsewhere is a segment', async (t) => {
  const directory = await threeSegments(t)
  await rename(segmentPath(directory, 5), join(directory, 'elsewhere'))
  await symlink(join(directory, 'elsewhere'), segmentPath(directory, 5))
  t.equal((await opened(t, directory)).texts, ALL)
})

test('a segment that may not be opened stays where it is: a gap that is marked, until it may be', async (t) => {
  const directory = await threeSegments(t)
  const disk = faultyDisk()
  disk.fail('open', 'EACCES', { part: segmentName(5), times: Number.POSITIVE_INFINITY })
  const { log, texts, corrupt } = await opened(t, directory, { fileSystem: disk })
  t.equal(texts, '1 2 3 4 9 10 11 12')
  t.match(corrupt, [{ first: 5, last: 8, detail: /EACCES/ }])
  await log.close()
  t.equal((await opened(t, directory)).texts, ALL)
})

test('a segment that the disk does not give back is set aside, and what is behind it is read', async (t) => {
  const directory = await threeSegments(t)
  const disk = faultyDisk()
  disk.fail('open', 'EIO', { part: `log/${segmentName(5)}`, times: Number.POSITIVE_INFINITY })
  const { texts, corrupt } = await opened(t, directory, { fileSystem: disk })
  t.equal(texts, '1 2 3 4 9 10 11 12')
  t.match(corrupt, [{ first: 5, last: 8, detail: /EIO/ }])
  t.equal((await quarantined(directory)).length, 1)
})

test('a disk that does not answer once at a start costs nothing', async (t) => {
  const directory = await threeSegments(t)
  const disk = faultyDisk()
  disk.fail('open', 'EIO', { part: segmentName(5) })
  t.equal((await opened(t, directory, { fileSystem: disk })).texts, ALL)
  disk.fail('open', 'EMFILE', { part: segmentName(5) })
  const again = await killedNow(directory)
  t.teardown(() => rm(again, { recursive: true, force: true }))
  await t.rejects(openTestLog(t, again, { fileSystem: disk }), { code: 'TG_DATA_UNUSABLE' })
  t.strictSame(await quarantined(again), [], 'trouble of the machine is none of the file')
})

test('a directory that cannot be read refuses the start, and says which', async (t) => {
  const directory = await threeSegments(t)
  const disk = { ...faultyDisk(), list: () => Promise.reject(Object.assign(new Error('EIO: list'), { code: 'EIO' })) }
  const error = await openTestLog(t, directory, { fileSystem: disk }).catch((thrown: unknown) => thrown)
  t.match(error, { code: 'TG_DATA_UNUSABLE', message: new RegExp(directory) })
})

test('a bad sector in a sealed segment costs the blocks on it, and nothing behind it', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (let number = 0; number < 12; number++) await log.deliver(message(`${number} ${'x'.repeat(2_000)}`))
  await log.close()
  const disk = nodeFileSystem()
  const bad = 3 * 4_096
  const sick = {
    ...disk,
    open: async (path: string, mode: Parameters<typeof disk.open>[1]) => {
      const handle = await disk.open(path, mode)
      if (!path.endsWith(segmentName(1))) return handle
      const read: typeof handle.read = (buffer, offset, length, position) =>
        position < bad + 4_096 && position + length > bad
          ? Promise.reject(Object.assign(new Error('EIO: sector'), { code: 'EIO' }))
          : handle.read(buffer, offset, length, position)
      return { ...handle, read }
    },
  }
  const again = await openTestLog(t, directory, { fileSystem: sick })
  const { texts, gaps } = await readAll(again.reader())
  const numbers = texts.map((text) => Number(text.split(' ')[0]))
  t.ok(numbers.length >= 9 && numbers.length < 12, numbers.join())
  t.equal(numbers.at(-1), 11)
  t.equal(gaps.length, 1)
})

test('a sealed segment in the middle without footer, trailer or headers is repaired, read or set aside', async (t) => {
  const size = async (directory: string) => (await stat(segmentPath(directory, 5))).size
  const footer = (bytes: Buffer) => blockOffsets(bytes).at(-1) ?? 0
  const cases: [string, (bytes: Buffer) => Buffer | undefined, string][] = [
    ['the footer', (bytes) => bytes.fill(0, footer(bytes) + 60, footer(bytes) + 90), ALL],
    ['the trailer', (bytes) => bytes.fill(0, bytes.length - 48), ALL],
    ['footer and trailer', (bytes) => bytes.subarray(0, footer(bytes)), ALL],
    ['the first header', (bytes) => bytes.fill(0, 0, 512), ALL],
    ['the second header', (bytes) => bytes.fill(0, 512, 1_024), ALL],
    ['both headers', (bytes) => bytes.fill(0, 0, 1_024), ALL],
    ['headers and trailer', (bytes) => bytes.fill(0, 0, 1_024).fill(0, bytes.length - 48), '1 2 3 4 9 10 11 12'],
    ['all blocks', (bytes) => bytes.fill(7, SEGMENT_HEADER_BYTES, footer(bytes)), '1 2 3 4 9 10 11 12'],
    ['blocks and footer', (bytes) => bytes.fill(7, SEGMENT_HEADER_BYTES), '1 2 3 4 9 10 11 12'],
  ]
  for (const [what, change, expected] of cases) {
    const directory = await threeSegments(t)
    await spoil(segmentPath(directory, 5), change)
    const { log, texts } = await opened(t, directory)
    t.equal(texts, expected, what)
    t.ok((await log.deliver(message('13'))) < 20, `${what}: the last segment was closed`)
    if (expected !== ALL) {
      await until(`${what} is marked`, () => log.info().lost['corrupt'] === 4)
      t.ok((await quarantined(directory)).length <= 1)
    }
    await log.close()
    t.equal((await opened(t, directory)).texts, `${expected} 13`, `${what}: again`)
    t.ok(expected !== ALL || (await size(directory)) > 0)
  }
})

test('a block that goes back in seq is set aside, and the others stay', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (const text of ['1', '2', '3']) await log.deliver(message(text))
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  await spoil(segmentPath(killed, 1), (bytes) => {
    const [one = 0, two = 0, three = 0, end = 0] = blockOffsets(bytes)
    const [first, second, third] = [bytes.subarray(one, two), bytes.subarray(two, three), bytes.subarray(three, end)]
    return Buffer.concat([bytes.subarray(0, one), first, second, first, third])
  })
  const { texts, corrupt } = await opened(t, killed)
  t.equal(texts, '1 2 3')
  t.strictSame(corrupt, [], 'no seq is lost with it')
  t.equal((await quarantined(killed)).length, 1)
})

test('a sealed segment that goes on into the one behind it is read up to there, and nothing of it is removed', async (t) => {
  const directory = await threeSegments(t)
  const other = await temporaryDirectory(t)
  const log = await openTestLog(t, other)
  for (let number = 1; number <= 6; number++) await log.deliver(message(`${number}`))
  await log.close()
  await copyFile(segmentPath(other, 1), segmentPath(directory, 1))
  const before = await readFile(segmentPath(directory, 1), 'hex')
  const { texts, log: again } = await opened(t, directory)
  t.equal(texts, ALL)
  t.equal(await again.deliver(message('13')), 13)
  t.equal(await readFile(segmentPath(directory, 1), 'hex'), before)
})

test('a cursor file that is torn, empty, garbage or of another log is no reason not to start', async (t) => {
  const fileSystem = nodeFileSystem()
  const cursors = async (directory: string) => {
    const cursor = await openCursor({ directory: join(directory, 'cursors'), name: 'a', fileSystem })
    const { position } = cursor
    await cursor.close()
    return position
  }
  const garbage = (bytes: Buffer) => bytes.fill(0x5a)
  const cases: [string, (bytes: Buffer) => Buffer, number, number][] = [
    // The newest slot is torn: the one before it counts.
    ['torn', (bytes) => bytes.fill(0xff, 0, 64), 3, 13],
    ['cut', (bytes) => bytes.subarray(0, 10), 0, 13],
    ['empty', () => Buffer.alloc(0), 0, 13],
    ['garbage', garbage, 0, 13],
  ]
  for (const [what, change, position, next] of cases) {
    const directory = await threeSegments(t)
    const path = cursorPath(join(directory, 'cursors'), 'a')
    const cursor = await openCursor({ directory: join(directory, 'cursors'), name: 'a', fileSystem })
    cursor.settle(1, 3)
    await cursor.flush()
    cursor.settle(1, 7)
    await cursor.flush()
    await cursor.close()
    await spoil(path, change)
    const { log, texts } = await opened(t, directory)
    t.equal(texts, ALL, what)
    t.equal(await log.deliver(message('13')), next, what)
    t.equal(await cursors(directory), position, `${what}: what is not known to be settled is delivered again`)
  }
})

test('a cursor that cannot be read, and a directory with its name, do not hide the others', async (t) => {
  const directory = await threeSegments(t)
  const cursor = await openCursor({ directory: join(directory, 'cursors'), name: 'z', fileSystem: nodeFileSystem() })
  cursor.settle(1, 5_000)
  await cursor.close()
  await mkdir(cursorPath(join(directory, 'cursors'), 'a'))
  const { log } = await opened(t, directory)
  t.equal(await log.deliver(message('x')), 5_002, 'behind the one that is ahead, and its mark')
})

test('a cursor that is ahead by more than any log can be is garbage, and is not followed', async (t) => {
  const directory = await threeSegments(t)
  const cursor = await openCursor({ directory: join(directory, 'cursors'), name: 'z', fileSystem: nodeFileSystem() })
  cursor.settle(1, Number.MAX_SAFE_INTEGER)
  await cursor.close()
  t.equal(await (await opened(t, directory)).log.deliver(message('x')), 13)
})

test('a second process on the same data directory is refused, and told which process has it', async (t) => {
  const directory = await temporaryDirectory(t)
  const child = fork(PROCESS, [directory, 'x'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  if (child.stdout === null) throw new Error('the process has no output')
  await once(createInterface(child.stdout), 'line')
  await t.rejects(openTestLog(t, directory, { tryLock }), {
    code: 'TG_DATA_LOCKED',
    message: `${directory} is in use by process ${child.pid}`,
  })
  child.kill('SIGKILL')
  await exited
  t.ok((await opened(t, directory, { tryLock, segmentBytes: 65_536 })).texts.length > 0, 'the kernel drops the lock')
})

test('a data directory that is read-only for now is opened: what is there is read, nothing is acknowledged', async (t) => {
  const directory = await threeSegments(t)
  const disk = faultyDisk()
  const readOnly = { part: directory, times: Number.POSITIVE_INFINITY }
  for (const call of ['write', 'truncate', 'rename', 'unlink'] as const) disk.fail(call, 'EROFS', readOnly)
  const refusing = {
    ...disk,
    open: (path: string, mode: Parameters<typeof disk.open>[1]) =>
      mode === 'read' ? disk.open(path, mode) : Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' })),
  }
  const log = await openTestLog(t, directory, { fileSystem: refusing })
  t.equal((await readAll(log.reader())).texts.join(' '), ALL)
  const undelivered = t.rejects(log.deliver(message('13')), { code: 'TG_LOG_WRITE' })
  await until('it refuses', () => log.info().state === 'refusing')
  await log.close()
  await undelivered
})

test('a crash loop of fifty starts gives no seq twice, stays fast, and leaves few files', async (t) => {
  const directory = await temporaryDirectory(t)
  const seqs = new Set<number>()
  let slowestMs = 0
  for (let start = 0; start < 50; start++) {
    const startedMs = performance.now()
    const disk = faultyDisk()
    const log = await openTestLog({ teardown: () => undefined }, directory, { fileSystem: disk })
    slowestMs = Math.max(slowestMs, performance.now() - startedMs)
    const seq = await log.deliver(message(`${start}`))
    if (seqs.has(seq)) t.fail(`seq ${seq} was given twice`)
    seqs.add(seq)
    // What a kill leaves: the directory as it is now, no footer in the last segment.
    const thaw = await disk.freeze()
    const killed = await killedNow(directory)
    thaw()
    await log.close()
    await rm(directory, { recursive: true })
    await rename(killed, directory)
  }
  t.ok(slowestMs < 2_000, `${slowestMs} ms`)
  const { texts, gaps } = await opened(t, directory)
  t.equal(texts.split(' ').length, 50)
  t.ok(gaps.every(({ reason }) => reason === 'unclean-stop'))
})

test('starts that are killed before their first commit leave no files behind but the last one', async (t) => {
  const directory = await temporaryDirectory(t)
  const first = await openTestLog(t, directory)
  await first.deliver(message('1'))
  await first.close()
  for (let start = 0; start < 20; start++) {
    const log = await openTestLog(t, directory)
    await log.close()
    const newest = (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg')).sort()
    await truncate(join(directory, 'log', newest.at(-1) ?? ''), SEGMENT_HEADER_BYTES)
  }
  t.ok((await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg')).length <= 3)
  const { log, texts, gaps } = await opened(t, directory)
  t.equal(texts, '1')
  t.match(gaps, [{ first: 2, reason: 'unclean-stop' }])
  t.ok((await log.deliver(message('2'))) > 20 * SKIP)
  const reader = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => log.durable })
  t.strictSame((await readAll(reader)).texts, ['1', '2'])
})

/** A header that says that its format is newer, with a right CRC. */
const newer = (bytes: Buffer): Buffer => {
  const changed = Buffer.from(bytes)
  changed.writeUInt16LE(99, 8)
  changed.writeUInt32LE(crc32(changed.subarray(16, 512), crc32(changed.subarray(0, 12))), 12)
  return changed
}
