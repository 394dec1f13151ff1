import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Entry, Seq } from '../../src/core/contract.ts'
import { encodeSegmentHeader, segmentName } from '../../src/log/segment-header.ts'
import { turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { until } from '../support/until.ts'

test('a message is settled only after its bytes are written and synced', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  disk.done.length = 0
  const release = disk.hold('datasync')
  let settled = false
  const seq = log.deliver(message('21.5')).then((value) => {
    settled = true
    return value
  })
  await until('the block is written', () => disk.done.some((call) => call.startsWith('write')))
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(settled, false)
  t.equal(log.durable, 0)
  release()
  t.equal(await seq, 1)
  t.equal(log.durable, 1)
  t.match(disk.done[0], /^write 0+1\.seg/)
  t.match(disk.done[1], /^datasync 0+1\.seg/)
})

test('a new segment is synced, renamed and its directory synced before anything in it is settled', async (t) => {
  const disk = faultyDisk()
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { fileSystem: disk })
  await log.deliver(message('21.5'))
  const order = disk.done.slice(disk.done.findIndex((call) => call.endsWith('.seg.new')))
  t.match(order.slice(0, 5), [
    /^open .*\.new/,
    /^write .*\.new/,
    /^sync .*\.new/,
    /^rename .*\.seg/,
    'syncDirectory log',
  ])
  t.ok(disk.done.indexOf(`syncDirectory ${directory.split('/').at(-1)}`) < disk.done.indexOf(order[0] ?? ''))
})

test('everything that waits shares one sync, and is settled in the order of the appends', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk, commitDelayMs: 5 })
  disk.done.length = 0
  const order: Seq[] = []
  for (const text of texts(500)) {
    log.append(message(text), (error, seq) => {
      t.equal(error, undefined)
      order.push(seq)
    })
  }
  t.equal(await log.deliver(message('last')), 501)
  t.strictSame(
    order,
    Array.from({ length: 500 }, (_, index) => index + 1),
  )
  t.equal(log.info().commits, 1)
  t.equal(disk.done.filter((call) => call.startsWith('datasync')).length, 1)
})

test('what arrives during a commit shares the next one', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  await log.deliver(message('first'))
  const commits = log.info().commits
  const release = disk.hold('datasync')
  const one = log.deliver(message('in flight'))
  await until('the commit is under way', () => disk.done.at(-1)?.startsWith('write'))
  const others = appendAll(log, texts(100))
  release()
  await one
  await others
  t.equal(log.info().commits, commits + 2)
})

test('listeners get what became durable, in order, with everything that was appended', async (t) => {
  const clock = turnableClock()
  const log = await openTestLog(t, await temporaryDirectory(t), { clock })
  const heard: Entry[] = []
  const stop = log.onDurable((entries) => heard.push(...entries))
  const payload = Buffer.from('21.5')
  const origin = { clientHash: 0xdeadbeef, packetId: 65_535 }
  const delivered = log.deliver({ topic: 'a/b', source: 'broker', payload, qos: 2, retain: true, origin })
  payload.fill(0)
  await delivered
  const entry = heard[0]
  t.match(entry, { seq: 1, kind: 'message', topic: 'a/b', source: 'broker', qos: 2, retain: true, origin })
  t.equal(entry?.payload.toString(), '21.5', 'the payload was copied at once')
  t.equal(entry?.receivedAt, clock.wallMs())
  t.equal(entry?.monotonicMs, clock.monotonicMs())
  t.equal(entry?.bootId, clock.bootId)
  t.strictSame((await readAll(log.reader())).entries, heard, 'a reader gives the same')
  stop()
  await log.deliver(message('not heard'))
  t.equal(heard.length, 1)
})

test('an empty payload, a long topic and a large payload come back as they were', async (t) => {
  const log = await openTestLog(t, await temporaryDirectory(t))
  const large = Buffer.alloc(1_500_000, 'x')
  const topic = `${'ü'.repeat(20_000)}/end`
  await Promise.all([
    log.deliver(message('')),
    log.deliver(message('1', topic)),
    log.deliver(message(large)),
    log.deliver(message('2', topic)),
  ])
  const { entries } = await readAll(log.reader())
  t.equal(entries[0]?.payload.length, 0)
  t.equal(entries[1]?.topic, topic)
  t.ok(entries[2]?.payload.equals(large))
  t.equal(entries[3]?.payload.toString(), '2')
})

test('a message that no block can hold is refused, and the ones around it are not disturbed', async (t) => {
  const log = await openTestLog(t, await temporaryDirectory(t))
  const before = log.deliver(message('before'))
  await t.rejects(log.deliver(message(Buffer.alloc(2 * 2 ** 20))), { code: 'TG_MESSAGE_TOO_LARGE' })
  t.equal(await before, 1)
  t.equal(await log.deliver(message('after')), 2)
})

test('senders are told to wait above the high-water mark, and woken below it', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  const release = disk.hold('datasync')
  const big = message(Buffer.alloc(1_000_000))
  let taken = 1
  while (log.append(big)) taken++
  t.equal(taken, 9)
  let ready = false
  const waiting = log.ready().then(() => {
    ready = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(ready, false)
  release()
  await waiting
  t.ok(log.info().pendingBytes < 8 * 2 ** 20)
})

test('senders that do not wait are refused at the limit, and nothing that was taken is lost', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  const release = disk.hold('datasync')
  const results: Promise<number | string>[] = []
  for (let index = 0; index < 50_000; index++)
    results.push(
      log.deliver(message('')).then(
        () => 'taken',
        (error) => error.code,
      ),
    )
  release()
  const outcomes = await Promise.all(results)
  t.equal(outcomes.filter((outcome) => outcome === 'taken').length, 45_056)
  t.equal(outcomes.filter((outcome) => outcome === 'TG_LOG_WRITE').length, 50_000 - 45_056)
  t.equal((await readAll(log.reader(), 0, 10_000)).entries.length, 45_056)
})

test('after a clean close the seq goes on without a hole, however often the log is opened', async (t) => {
  const directory = await temporaryDirectory(t)
  for (let round = 0; round < 3; round++) {
    const log = await openTestLog(t, directory)
    t.equal(log.durable, round)
    t.equal(await log.deliver(message(`round ${round}`)), round + 1)
    await log.close()
    await (await openTestLog(t, directory)).close()
  }
  const log = await openTestLog(t, directory)
  const { texts: found, gaps } = await readAll(log.reader())
  t.strictSame(found, ['round 0', 'round 1', 'round 2'])
  t.strictSame(gaps, [])
  const segments = (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg'))
  t.equal(segments.length, 4, 'opening without appending leaves no files behind')
})

test('close makes durable what waits, refuses what comes later, and may be called again', async (t) => {
  const log = await openTestLog(t, await temporaryDirectory(t), { commitDelayMs: 60_000 })
  const waiting = log.deliver(message('waiting'))
  await log.close()
  t.equal(await waiting, 1)
  await t.rejects(log.deliver(message('late')), { code: 'TG_LOG_CLOSED' })
  await log.close()
})

test('a second gateway on the same data directory is refused with the process that holds it', async (t) => {
  const directory = await temporaryDirectory(t)
  await openTestLog(t, directory)
  await t.rejects(openTestLog(t, directory, { tryLock: () => false }), {
    code: 'TG_DATA_LOCKED',
    message: new RegExp(`process ${process.pid}`),
  })
})

test('a segment of a newer format is refused with its name and both versions', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  await log.deliver(message('1'))
  await log.close()
  const path = join(directory, 'log', segmentName(1))
  const bytes = await readFile(path)
  const newer = encodeSegmentHeader({
    version: 2,
    logId: '00000000-0000-4000-8000-000000000000',
    identity: Buffer.alloc(8),
    first: 1,
    createdMs: 0,
    monotonicMs: 0,
    synced: true,
    bootId: '',
    gateway: '',
  })
  newer.copy(bytes)
  await writeFile(path, bytes)
  await t.rejects(openTestLog(t, directory), { code: 'TG_LOG_NEWER', message: /0+1\.seg.*version 2.*version 1/ })
  // A bit that flips in the version is damage, not a newer format.
  bytes[8] = 3
  bytes[512 + 8] = 3
  await writeFile(path, bytes)
  await openTestLog(t, directory)
})

test('a data directory that cannot be made is refused with its path', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'file'), '')
  await t.rejects(openTestLog(t, join(directory, 'file')), { code: 'TG_DATA_UNUSABLE', message: /file/ })
})

test('a lone message does not wait for company that is not to be expected, a dense stream does', async (t) => {
  const clock = turnableClock()
  const log = await openTestLog(t, await temporaryDirectory(t), { clock, commitDelayMs: 60_000 })
  for (let index = 0; index < 5; index++) {
    clock.advance(3_600_000)
    await log.deliver(message('lone'))
  }
  t.equal(log.info().commits, 5)
  for (let index = 0; index < 100; index++) {
    clock.advance(1)
    log.append(message('dense'))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(log.info().pendingMessages > 50, 'in the end they wait')
})

test('messages of a minute that the disk was away keep the times they arrived at, also over a step of the clock', async (t) => {
  let wallMs = 1_000_000
  let monotonicMs = 5_000
  const clock = { wallMs: () => wallMs, monotonicMs: () => monotonicMs, bootId: 'boot', synced: () => true }
  const log = await openTestLog(t, await temporaryDirectory(t), { clock, commitDelayMs: 30 })
  const first = log.deliver(message('before'))
  wallMs = 1_700_000_000_000
  monotonicMs += 2_000
  const second = log.deliver(message('after'))
  await Promise.all([first, second])
  const { entries } = await readAll(log.reader())
  t.strictSame(
    entries.map(({ receivedAt, monotonicMs: at }) => [receivedAt, at]),
    [
      [1_000_000, 5_000],
      [1_700_000_000_000, 7_000],
    ],
  )
})

test('a close right after a roll-over is a clean one', async (t) => {
  const directory = await temporaryDirectory(t)
  let next = 1
  for (let round = 1; round <= 8; round++) {
    const log = await openTestLog(t, directory, { segmentBytes: 4_096 })
    // Closing while this is under way, or right after it, fills and rolls the segment.
    const seqs = appendAll(log, texts(round * 10, 100))
    if (round % 2 === 0) await seqs
    await log.close()
    t.equal((await seqs)[0], next)
    next += round * 10
  }
  const log = await openTestLog(t, directory, { segmentBytes: 4_096 })
  t.strictSame((await readAll(log.reader())).gaps, [])
  t.equal(await log.deliver(message('next')), next)
})

test('a flood of topics, each used once, keeps the table, the segments and their footers small', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  const long = 'x'.repeat(1_000)
  let settled = 0
  for (let number = 0; number < 5_000; number++)
    if (!log.append(message('1', `${number}/${long}`), () => settled++)) await log.ready()
  await until('all are durable', () => settled === 5_000)
  const { entries } = await readAll(log.reader(), 0, 1_000)
  t.equal(new Set(entries.map(({ topic }) => topic)).size, 5_000)
  t.ok(log.info().segments >= 2, 'rolled by the size of the dictionary')
})
