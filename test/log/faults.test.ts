import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { FileSystem } from '../../src/log/file-system.ts'
import { FILL_STEP_BYTES } from '../../src/log/limits.ts'
import { segmentName } from '../../src/log/segment-header.ts'
import { rememberingLogger } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import type { DiskCall } from '../support/faulty-disk.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { until } from '../support/until.ts'

const CREATING: readonly DiskCall[] = ['open', 'write', 'sync', 'rename', 'syncDirectory']

test('short writes are completed', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk, segmentBytes: 4_096 })
  disk.limitWrites(7)
  for (let from = 0; from < 100; from += 20) await appendAll(log, texts(20, 40, from))
  t.strictSame((await readAll(log.reader())).texts, texts(100, 40))
})

test('after a failed write or sync the same messages with the same seqs go to a new segment, and the old file is left alone', async (t) => {
  for (const call of ['write', 'datasync'] as const) {
    for (const code of ['EIO', 'ENOSPC']) {
      const directory = await temporaryDirectory(t)
      const disk = faultyDisk()
      const log = await openTestLog(t, directory, { fileSystem: disk })
      await appendAll(log, ['1', '2'])
      disk.fail(call, code)
      disk.done.length = 0
      t.strictSame(await appendAll(log, ['3', '4']), [3, 4])
      t.strictSame(
        disk.done.filter((done) => done === `datasync ${segmentName(1)}`),
        [],
        'the sync is not tried again on that file',
      )
      t.equal(log.info().state, 'ok')
      t.strictSame((await readAll(log.reader())).texts, ['1', '2', '3', '4'])
      await log.close()
      const again = await openTestLog(t, directory)
      const { texts: found, gaps } = await readAll(again.reader())
      t.strictSame(found, ['1', '2', '3', '4'])
      t.strictSame(gaps, [])
      t.equal(await again.deliver(message('5')), 5, 'the end was clean all the same')
    }
  }
})

test('while no file takes them, messages are neither acknowledged nor forgotten, and the log goes on by itself', async (t) => {
  for (const call of CREATING) {
    for (const code of ['EIO', 'ENOSPC']) {
      const directory = await temporaryDirectory(t)
      const disk = faultyDisk()
      const log = await openTestLog(t, directory, { fileSystem: disk })
      await appendAll(log, ['1'])
      disk.fail('datasync', 'EIO')
      disk.fail(call, code, { part: call === 'syncDirectory' ? '' : '2.', times: Number.POSITIVE_INFINITY })
      let settled = 0
      const waiting = appendAll(log, ['2', '3']).then((seqs) => {
        settled = seqs.length
        return seqs
      })
      await until(`${call} ${code} is refused`, () => log.info().state === 'refusing')
      t.match(log.info().reason, code)
      t.equal(settled, 0)
      t.equal(log.durable, 1)
      const late = log.deliver(message('4'))
      disk.heal()
      // Whatever may have changed makes it look again at once; without that it does after a few seconds.
      log.settledUpTo(1)
      t.strictSame(await waiting, [2, 3])
      t.equal(await late, 4)
      t.equal(log.info().state, 'ok')
      t.equal(log.info().reason, undefined)
      const { texts: found, gaps } = await readAll(log.reader())
      t.strictSame(found, ['1', '2', '3', '4'])
      t.strictSame(gaps, [])
      t.notOk((await readdir(join(directory, 'log'))).some((name) => name.endsWith('.new')))
    }
  }
})

test('a log opens on a disk that takes nothing, refuses, and works once it does', async (t) => {
  const disk = faultyDisk()
  disk.fail('write', 'ENOSPC', { part: '.seg', times: Number.POSITIVE_INFINITY })
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  const waiting = log.deliver(message('1'))
  await until('it refuses', () => log.info().state === 'refusing')
  disk.heal()
  t.equal(await waiting, 1)
})

test('closing while the disk takes nothing settles what waits with an error, and keeps what was durable', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk })
  await appendAll(log, ['1'])
  for (const call of ['write', 'open'] as const)
    disk.fail(call, 'ENOSPC', { part: '.seg', times: Number.POSITIVE_INFINITY })
  const waiting = log.deliver(message('2'))
  waiting.catch(() => undefined)
  await until('it refuses', () => log.info().state === 'refusing')
  await log.close()
  await t.rejects(waiting, { code: 'TG_LOG_WRITE' })
  const again = await openTestLog(t, directory)
  t.strictSame((await readAll(again.reader())).texts, ['1'])
  t.ok((await again.deliver(message('3'))) > 65_536, 'a seq that was given is not given again')
})

test('below the free space that must stay, nothing is acknowledged until there is room', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), {
    fileSystem: disk,
    segmentBytes: 4_096,
    minFreeBytes: 1_000,
  })
  await appendAll(log, ['1'])
  t.equal(log.info().state, 'ok')
  disk.setFree(999)
  // Free space is measured at each roll-over, and every few seconds.
  await until('it refuses', () => {
    for (const text of texts(10, 100)) log.append(message(text))
    return log.info().state === 'refusing'
  })
  t.match(log.info().reason, /999 bytes are free.*minFree is 1000/)
  const late = log.deliver(message('late'))
  disk.setFree(1_000)
  await late
  t.equal(log.info().state, 'ok')
})

test('a filling that fails hurts nobody: for want of room the file goes on, after anything else it is given up', async (t) => {
  const healthy = faultyDisk()
  await openTestLog(t, await temporaryDirectory(t), { fileSystem: healthy })
  const [header, filling, sync] = healthy.done.filter((done) => /^(write|datasync) .*seg/.test(done))
  t.match([header, filling, sync], [/^write/, /^write/, /^datasync/], 'a new segment is filled ahead')
  for (const [call, code, files] of [
    ['write', 'ENOSPC', 1],
    ['write', 'EDQUOT', 1],
    ['write', 'EIO', 2],
    ['datasync', 'EIO', 2],
    ['datasync', 'ENOSPC', 2],
  ] as const) {
    const directory = await temporaryDirectory(t)
    const disk = faultyDisk()
    disk.fail(call, code, { part: '.seg', spared: call === 'write' ? 1 : 0 })
    const log = await openTestLog(t, directory, { fileSystem: disk })
    t.strictSame(await appendAll(log, ['1', '2']), [1, 2])
    t.strictSame((await readAll(log.reader())).texts, ['1', '2'])
    const made = disk.done.filter((done) => /^open .*seg\.new/.test(done)).length
    t.equal(made, files, `${call} ${code}`)
    await log.close()
    const again = await openTestLog(t, directory)
    t.strictSame((await readAll(again.reader())).texts, ['1', '2'])
    t.equal(await again.deliver(message('3')), 3, 'the end was clean')
  }
})

test('a disk that fails at each filling does not cost a file and a log line at each commit', async (t) => {
  const disk = faultyDisk()
  const logger = rememberingLogger()
  const eio = () => Promise.reject(Object.assign(new Error('EIO: injected'), { code: 'EIO' }))
  const fileSystem: FileSystem = {
    ...disk,
    async open(path, mode) {
      const handle = await disk.open(path, mode)
      return { ...handle, write: (...args) => (args[2] === FILL_STEP_BYTES ? eio() : handle.write(...args)) }
    },
  }
  const options = { fileSystem, logger, segmentBytes: 4 * FILL_STEP_BYTES }
  const log = await openTestLog(t, await temporaryDirectory(t), options)
  for (const text of texts(20)) await appendAll(log, [text])
  t.equal(disk.done.filter((done) => /^open .*seg\.new/.test(done)).length, 2)
  t.equal(logger.lines.length, 1)
  t.equal((await readAll(log.reader())).texts.length, 20)
})

test('a footer that cannot be written costs nothing but the clean close', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk })
  await appendAll(log, ['1', '2'])
  disk.fail('write', 'EIO')
  await log.close()
  const again = await openTestLog(t, directory)
  t.strictSame((await readAll(again.reader())).texts, ['1', '2'])
  t.ok((await again.deliver(message('3'))) > 65_536)
})

test('a disk that refuses is told once when it begins and once when it ends', async (t) => {
  const logger = rememberingLogger()
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk, logger })
  await appendAll(log, ['1'])
  disk.fail('datasync', 'EIO')
  disk.fail('sync', 'EIO', { times: 2 })
  await appendAll(log, ['2'])
  const told = logger.lines.map(({ message: text }) => text)
  t.equal(told.filter((text) => text.startsWith('the log cannot be written')).length, 1)
  t.equal(told.filter((text) => text === 'the log can be written again').length, 1)
})

test('what was acknowledged around failed syncs is there after a kill', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk, segmentBytes: 4_096 })
  const expected: string[] = []
  for (let round = 0; round < 30; round++) {
    if (round % 3 === 1) disk.fail('datasync', 'EIO')
    if (round % 7 === 2) disk.fail('write', 'ENOSPC')
    const batch = texts(5, 100, round * 5)
    await appendAll(log, batch)
    expected.push(...batch)
  }
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  for (const place of [directory, killed]) {
    if (place === directory) await log.close()
    const again = await openTestLog(t, place)
    t.strictSame((await readAll(again.reader())).texts, expected)
    await again.close()
  }
  t.ok((await readFile(join(directory, 'log', segmentName(1)))).length > 0)
})

test('a log that opens on a full disk after a kill, and closes before there is room, ends without a fault', async (t) => {
  const directory = await temporaryDirectory(t)
  const killed = await openTestLog(t, directory)
  await appendAll(killed, ['1', '2'])
  const copy = await killedNow(directory)
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  const faults: unknown[] = []
  const onFault = (fault: unknown) => faults.push(fault)
  process.on('unhandledRejection', onFault)
  t.teardown(async () => void process.off('unhandledRejection', onFault))
  const disk = faultyDisk()
  disk.fail('write', 'ENOSPC', { times: Number.POSITIVE_INFINITY })
  const log = await openTestLog(t, copy, { fileSystem: disk })
  t.equal(log.info().state, 'refusing')
  await log.close()
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(faults, [])
  disk.heal()
  const again = await openTestLog(t, copy)
  t.strictSame((await readAll(again.reader())).texts, ['1', '2'])
})
