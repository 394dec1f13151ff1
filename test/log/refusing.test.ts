import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Entry, Message, Settled } from '../../src/core/contract.ts'
import type { Log } from '../../src/core/log-contract.ts'
import { HIGH_WATER_MESSAGES, RESERVE_STEP } from '../../src/log/limits.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, lossMarks, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import type { FaultyDisk } from '../support/faulty-disk.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { until } from '../support/until.ts'

const unacknowledged = (payload: string, topic = 'sensors/fast'): Message => ({ ...message(payload, topic), qos: 0 })

/** No segment can be written or made; what exists beside them can still be overwritten, as on a full disk. */
const fill = (disk: FaultyDisk): void => {
  disk.fail('write', 'ENOSPC', { part: '.seg', times: Number.POSITIVE_INFINITY })
  disk.fail('open', 'ENOSPC', { part: '.seg.new', times: Number.POSITIVE_INFINITY })
}

/** Appends QoS 0 messages until the log keeps no more of them; returns how many it took. */
const crowd = async (log: Log): Promise<number> => {
  log.append(unacknowledged('0'))
  await until('it refuses', () => log.info().state === 'refusing')
  let count = 1
  while (log.info().pendingMessages < HIGH_WATER_MESSAGES) log.append(unacknowledged(`${count++}`))
  await log.ready(0)
  return count
}

const seqsOf = (entries: readonly Entry[]): number[] => entries.map(({ seq }) => seq)
const from1To = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1)

test('while the disk takes nothing, what waits is shown once and in order, and becomes durable when there is room', async (t) => {
  const disk = faultyDisk()
  const meter = rememberingMeter()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk, meter })
  const shown: Entry[] = []
  const durable: Entry[] = []
  const stop = log.onUndurable((entries) => shown.push(...entries))
  log.onDurable((entries) => durable.push(...entries))
  await appendAll(log, ['1', '2'])
  t.equal(shown.length, 0, 'nobody needs it while all is well')
  t.equal(log.refusal, undefined)
  fill(disk)
  const waiting = appendAll(log, ['3', '4'])
  await until('what waits is shown', () => shown.length === 2)
  t.match(log.refusal, 'ENOSPC')
  t.equal(meter.values.get('log_refusing'), 1)
  const later = appendAll(log, ['5'])
  await until('and what comes later', () => shown.length === 3)
  t.equal(log.durable, 2)
  t.equal((await readAll(log.reader())).entries.length, 2, 'readers do not see it')
  disk.heal()
  const healedAt = performance.now()
  t.strictSame([...(await waiting), ...(await later)], [3, 4, 5])
  t.ok(performance.now() - healedAt < 2_000, 'soon and by itself')
  t.strictSame(shown, durable.slice(2), 'the same entries')
  t.strictSame(seqsOf(durable), [1, 2, 3, 4, 5])
  t.equal(meter.values.get('log_refusing'), 0)
  stop()
})

test('QoS 0 for which there is no room gets seqs, is shown, and is named by a loss mark right behind it', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const meter = rememberingMeter()
  const log = await openTestLog(t, directory, { fileSystem: disk, meter })
  const shown: Entry[] = []
  log.onUndurable((entries) => shown.push(...entries))
  fill(disk)
  const kept = await crowd(log)
  const outcomes: unknown[] = []
  const settled: Settled = (error) => outcomes.push(error?.code)
  t.ok(log.append(unacknowledged('a'), settled), 'more of it may come')
  log.append(unacknowledged('b', 'sensors/other'), settled)
  log.append(unacknowledged('c'), settled)
  t.notOk(log.append(message('held back')), 'of what is to be acknowledged, no more')
  log.append(unacknowledged('d'), settled)
  const ready = log.ready().then(() => 'ready')
  await until('everything is shown', () => shown.length >= kept + 6)
  t.strictSame(seqsOf(shown.filter(({ kind }) => kind === 'message')).length, kept + 5)
  t.strictSame(seqsOf(shown), from1To(kept + 6), 'in order, without a hole; the mark of the first three among them')
  t.strictSame(outcomes, Array(4).fill('TG_LOG_WRITE'))
  t.equal(log.info().unkeptMessages, 4)
  t.equal(log.info().lost['refused'], 4)
  t.equal(meter.values.get('lost_messages_total{reason=refused}'), 4, 'counted at once')
  disk.heal()
  t.equal(await ready, 'ready')
  await until('all is durable', () => log.durable === kept + 7)
  const { entries, gaps } = await readAll(log.reader())
  t.strictSame(gaps, [
    { first: kept + 1, last: kept + 3, reason: 'refused' },
    { first: kept + 6, last: kept + 6, reason: 'refused' },
  ])
  t.match(lossMarks(entries), [
    { first: kept + 1, last: kept + 3, count: 3, reason: 'refused', topics: { 'sensors/fast': 2, 'sensors/other': 1 } },
    { first: kept + 6, last: kept + 6, count: 1, reason: 'refused', topics: { 'sensors/fast': 1 } },
  ])
  t.equal(log.info().lost['refused'], 4, 'and not counted twice')
  await log.close()
  const again = await openTestLog(t, directory)
  t.equal(await again.deliver(message('next')), kept + 8, 'the end was clean')
})

test('QoS 0 is told to go on as soon as it may be lost, QoS 1 when there is room', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  const release = disk.hold('datasync')
  log.append(unacknowledged('0'))
  await until('the commit is under way', () => disk.done.at(-1)?.startsWith('write'))
  let hasRoom = true
  while (hasRoom) hasRoom = log.append(unacknowledged('more'))
  t.notOk(log.append(message('1')), 'while all is well, QoS 0 waits for the disk like everybody')
  const woken: number[] = []
  const sender = (qos: 0 | 1) => log.ready(qos).then(() => void woken.push(qos))
  const senders = [sender(1), sender(0)]
  disk.fail('datasync', 'EIO', { times: Number.POSITIVE_INFINITY })
  disk.fail('open', 'ENOSPC', { part: '.seg.new', times: Number.POSITIVE_INFINITY })
  release()
  await until('it refuses', () => log.info().state === 'refusing')
  await until('QoS 0 may go on', () => woken.length > 0)
  t.strictSame(woken, [0])
  disk.heal()
  await Promise.all(senders)
  t.strictSame(woken, [0, 1])
})

test('what was shown and lost in a kill is never given again, and its count survives', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const clock = turnableClock()
  const log = await openTestLog(t, directory, { fileSystem: disk, clock })
  await appendAll(log, ['1'])
  fill(disk)
  const kept = await crowd(log)
  let shown = 0
  log.onUndurable((entries) => {
    shown = entries.at(-1)?.seq ?? 0
  })
  for (const text of texts(100_000)) log.append(unacknowledged(text))
  await until('all is shown', () => shown === 1 + kept + 100_000)
  const written = disk.done.filter((call) => call.startsWith('datasync given')).length
  clock.advance(10_000)
  await until(
    'the count is on the disk',
    () => disk.done.filter((call) => call.startsWith('datasync given')).length > written,
  )
  const thaw = await disk.freeze()
  const copy = await killedNow(directory)
  thaw()
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  for (let round = 0; round < 2; round++) {
    const again = await openTestLog(t, copy)
    const { entries } = await readAll(again.reader(), 0, 10_000)
    const marks = lossMarks(entries) as { first: number; last: number; count: number; reason: string }[]
    t.strictSame(
      marks.map(({ reason }) => reason),
      ['unclean-stop', 'refused'],
      'each told once',
    )
    t.match(marks[1], { first: kept + 2, last: shown, count: 100_000 })
    t.ok((marks[0]?.last ?? 0) >= shown)
    t.ok((await again.deliver(message('new'))) > shown)
    t.equal(again.info().lost['refused'] ?? 0, marks[1]?.count)
    await again.close()
  }
})

test('where no seqs can be reserved none are given: such messages are counted, and not shown', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const logger = rememberingLogger()
  const log = await openTestLog(t, directory, { fileSystem: disk, logger })
  const shown: Entry[] = []
  log.onUndurable((entries) => shown.push(...entries))
  fill(disk)
  disk.fail('write', 'EROFS', { part: 'given', times: Number.POSITIVE_INFINITY })
  disk.fail('open', 'EROFS', { part: 'given', times: Number.POSITIVE_INFINITY })
  const kept = await crowd(log)
  const outcomes: unknown[] = []
  const told = texts(1_000).map((text) => log.append(unacknowledged(text), (error) => outcomes.push(error?.code)))
  t.notOk(told.includes(false), 'nobody is held back for them')
  await until('they fail', () => outcomes.length === 1_000)
  await until('what is kept is shown', () => shown.length === kept)
  t.equal(logger.lines.filter(({ message: text }) => text.startsWith('seqs cannot be reserved')).length, 1)
  const thaw = await disk.freeze()
  const copy = await killedNow(directory)
  thaw()
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  disk.heal()
  await until('all is durable', () => log.durable === kept + 1)
  const { entries, gaps } = await readAll(log.reader(), 0, 10_000)
  t.strictSame(gaps, [])
  t.match(lossMarks(entries), [
    { first: kept + 1, last: kept, count: 1_000, reason: 'refused', detail: /1000 .* no seq/ },
  ])
  t.equal(shown.length, kept)
  const killed = await openTestLog(t, copy)
  t.ok((await killed.deliver(message('new'))) > kept)
})

test('a log that closes on a full disk leaves the count for the next start', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk })
  fill(disk)
  const kept = await crowd(log)
  for (const text of texts(10)) log.append(unacknowledged(text))
  await log.close()
  const again = await openTestLog(t, directory)
  const { entries } = await readAll(again.reader(), 0, 10_000)
  t.match(lossMarks(entries), [
    { reason: 'unclean-stop' },
    { reason: 'refused', first: kept + 1, last: kept + 10, count: 10 },
  ])
  t.ok((await again.deliver(message('new'))) > kept + 10)
})

test('starts that are killed on a disk that is still full forget no count of an earlier one', async (t) => {
  let directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk })
  fill(disk)
  await crowd(log)
  for (let n = 0; n < 7; n++) log.append(unacknowledged(`${n}`))
  await log.close()
  for (let start = 0; start < 2; start++) {
    const full = faultyDisk()
    fill(full)
    const starting = await openTestLog(t, directory, { fileSystem: full })
    await until('it refuses', () => starting.info().state === 'refusing')
    directory = await killedNow(directory)
  }
  const again = await openTestLog(t, directory)
  await again.deliver(message('next'))
  const marks = lossMarks((await readAll(again.reader())).entries) as { count: number; reason: string }[]
  const refused = marks.filter(({ reason }) => reason === 'refused')
  t.equal(refused.length, 1)
  t.ok((refused[0]?.count ?? 0) >= 7)
})

test('reserving goes on ahead of the seqs that are given', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk })
  fill(disk)
  await crowd(log)
  let shown = 0
  log.onUndurable((entries) => {
    shown = entries.at(-1)?.seq ?? 0
  })
  while (shown < RESERVE_STEP * 1.2) {
    for (let count = 0; count < 20_000; count++) if (!log.append(unacknowledged('1'))) break
    await log.ready(0)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const thaw = await disk.freeze()
  const copy = await killedNow(directory)
  thaw()
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  const again = await openTestLog(t, copy)
  t.ok((await again.deliver(message('new'))) > shown)
  const damaged = await killedNow(copy)
  t.teardown(() => rm(damaged, { recursive: true, force: true }))
})

test('a disk that stays full costs one line, one attempt at a time, and leaves no file behind', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const logger = rememberingLogger()
  const log = await openTestLog(t, directory, { fileSystem: disk, logger })
  await appendAll(log, ['1'])
  const lines = logger.lines.length
  disk.fail('write', 'ENOSPC', { part: '.seg', times: Number.POSITIVE_INFINITY })
  const waiting = log.deliver(message('2'))
  const attempts = () => disk.done.filter((call) => /^open .*\.seg\.new/.test(call)).length
  const before = attempts()
  await until('several attempts', () => attempts() >= before + 4)
  t.ok((await readdir(join(directory, 'log'))).filter((name) => name.includes('.seg')).length <= 2)
  const told = () => logger.lines.slice(lines).map(({ message: text }) => text)
  t.strictSame(told(), ['a commit failed', 'the log cannot be written; nothing is acknowledged until it can'])
  disk.heal()
  await waiting
  t.strictSame(told().slice(2), ['the log can be written again'])
  t.strictSame(
    (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.new')),
    [],
  )
})

test('a disk that does not answer is as good as one that refuses, until it does', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  await appendAll(log, ['1'])
  const shown: Entry[] = []
  log.onUndurable((entries) => shown.push(...entries))
  const release = disk.hold('datasync')
  const waiting = log.deliver(message('2'))
  await until('it refuses', () => log.info().state === 'refusing', 20_000)
  t.match(log.info().reason, 'the disk has not answered')
  await until('what waits is shown', () => shown.length === 1)
  release()
  t.equal(await waiting, 2)
  t.equal(log.info().state, 'ok')
  t.ok(log.info().commitMs > 100, 'the mean duration of a commit tells of it')
})

test('free space below the minimum refuses without touching a file, and ends by itself', async (t) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk, minFreeBytes: 1_000 })
  await appendAll(log, ['1'])
  disk.setFree(10)
  const shown: Entry[] = []
  log.onUndurable((entries) => shown.push(...entries))
  await until('the free space is looked at', () => log.refusal !== undefined)
  const files = disk.done.filter((call) => call.startsWith('open')).length
  const waiting = log.deliver(message('2'))
  await until('it is shown', () => shown.length === 1)
  disk.setFree(2_000)
  t.equal(await waiting, 2)
  t.equal(disk.done.filter((call) => call.startsWith('open')).length, files)
})

test('what a start shows that can make no segment is never given again, whether it can leave a word on the disk or not', async (t) => {
  for (const record of ['writable', 'read-only', 'missing'] as const) {
    const directory = await temporaryDirectory(t)
    const log = await openTestLog(t, directory)
    await appendAll(log, ['1', '2'])
    await log.close()
    if (record === 'missing') await rm(join(directory, 'log', 'given'))
    const given = new Set([1, 2])
    for (let life = 0; life < 3; life++) {
      const disk = faultyDisk()
      for (const call of ['write', 'open'] as const) {
        disk.fail(call, 'ENOSPC', { part: '.seg.new', times: Number.POSITIVE_INFINITY })
        if (record !== 'writable') disk.fail(call, 'ENOSPC', { part: 'given', times: Number.POSITIVE_INFINITY })
      }
      const full = await openTestLog(t, directory, { fileSystem: disk })
      const shown: Entry[] = []
      full.onUndurable((entries) => shown.push(...entries))
      const lost = full.deliver(message('shown')).catch(() => undefined)
      await until('it is shown', () => shown.some(({ kind }) => kind === 'message'))
      const again = shown.filter(({ seq }) => given.has(seq))
      t.strictSame(again, [], `${record}: ${shown[0]?.seq} is new`)
      for (const { seq } of shown) given.add(seq)
      t.equal((await readAll(full.reader())).texts.length, 2, 'what was there is served')
      const thaw = await disk.freeze()
      const copy = await killedNow(directory)
      thaw()
      await full.close()
      await lost
      await rm(directory, { recursive: true, force: true })
      await rename(copy, directory)
    }
    const again = await openTestLog(t, directory)
    t.notOk(given.has(await again.deliver(message('3'))), record)
    const { texts: found, gaps } = await readAll(again.reader())
    t.strictSame(found, ['1', '2', '3'])
    const expected = [{ first: 3, last: gaps[0]?.last, reason: 'unclean-stop' }]
    t.strictSame(gaps, record === 'writable' ? expected : [], 'what nobody could know of is no hole')
    await again.close()
    const clean = await openTestLog(t, directory)
    const { next } = await readAll(clean.reader())
    t.equal(await clean.deliver(message('4')), next + 1, 'a clean end stays one')
  }
})

test('after a clean end nothing is skipped, although more was reserved', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = faultyDisk()
  const log = await openTestLog(t, directory, { fileSystem: disk })
  fill(disk)
  const kept = await crowd(log)
  log.append(unacknowledged('lost'))
  disk.heal()
  await until('all is durable', () => log.durable === kept + 2)
  await log.close()
  const again = await openTestLog(t, directory)
  t.equal(await again.deliver(message('next')), kept + 3)
})

test('a destroyed record of reserved seqs makes the log skip very many', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  await appendAll(log, ['1'])
  const copy = await killedNow(directory)
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  await writeFile(join(copy, 'log', 'given'), Buffer.alloc(8_192, 1))
  const again = await openTestLog(t, copy)
  t.ok((await again.deliver(message('2'))) > 2 ** 32)
  t.strictSame((await readAll(again.reader())).texts, ['1', '2'])
  await again.close()
  const third = await openTestLog(t, copy)
  const { next } = await readAll(third.reader())
  t.equal(await third.deliver(message('3')), next + 1)
})
