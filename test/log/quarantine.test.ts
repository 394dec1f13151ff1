import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { LossMark } from '../../src/core/contract.ts'
import type { Log } from '../../src/core/log-contract.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { Quarantine } from '../../src/log/quarantine.ts'
import { segmentName } from '../../src/log/segment-header.ts'
import { rememberingLogger, rememberingMeter } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { killedNow, lossMarks, message, openTestLog, readAll } from '../support/durable-log.ts'
import { dyingDisk } from '../support/dying-disk.ts'
import { faultyDisk } from '../support/faulty-disk.ts'
import { blockOffsets, closedSegments, segmentPath, spoil, spoilBlock } from '../support/segments.ts'
import { until } from '../support/until.ts'

const names = async (directory: string): Promise<string[]> =>
  (await readdir(join(directory, 'quarantine')).catch(() => [])).sort()

const corruptMarks = async (log: Log): Promise<LossMark[]> =>
  (lossMarks((await readAll(log.reader())).entries) as LossMark[]).filter(({ reason }) => reason === 'corrupt')

const settled = (directory: string, count: number) =>
  until('the notes are settled', async () => {
    const notes = (await names(directory)).filter((name) => name.endsWith('.json'))
    return notes.length === count && notes.every((name) => !name.endsWith('.owed.json'))
  })

const openQuarantine = (directory: string, options: { maxBytes?: number } = {}) => {
  const meter = rememberingMeter()
  const quarantine = new Quarantine({
    directory,
    fileSystem: nodeFileSystem(),
    logger: rememberingLogger(),
    meter,
    wallMs: () => Date.UTC(2026, 10, 20),
    maxBytes: 1_000,
    ...options,
  })
  return { quarantine, meter }
}

const damage = (first: number, bytes = 0) => ({
  ...{ segment: first, from: 1_024, to: 1_024 + bytes, first, last: first + 1, count: 2, why: 'a test' },
})

const zeros = async (buffer: Buffer, length: number) => {
  buffer.fill(0, 0, length)
  return length
}

test('damage in a sealed segment that a reader meets is a gap, set aside, and marked once', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 3, ['sensors/a', 'sensors/b'])
  await spoilBlock(segmentPath(directory, 5), 1)
  const bytes = await readFile(segmentPath(directory, 5))
  const log = await openTestLog(t, directory)
  t.equal(log.info().quarantined, 0, 'sealed segments are not read at a start')
  const { texts, gaps } = await readAll(log.reader())
  t.strictSame(texts, ['1', '2', '3', '4', '5', '6', '9', '10', '11', '12'])
  t.strictSame(gaps, [{ first: 7, last: 8, reason: 'corrupt' }])
  await settled(directory, 1)
  const [from = 0, to = 0] = blockOffsets(bytes).slice(1)
  const name = `${segmentName(5)}.${from}-${to}`
  t.strictSame(await names(directory), [name, `${name}.json`])
  t.strictSame(await readFile(join(directory, 'quarantine', name)), bytes.subarray(from, to))
  t.match(JSON.parse(await readFile(join(directory, 'quarantine', `${name}.json`), 'utf8')), {
    ...{ segment: segmentName(5), from, to, first: 7, last: 8, count: 2, topics: { 'sensors/a': 1, 'sensors/b': 1 } },
    why: /CRC/,
    bytes: to - from,
  })
  t.match(await corruptMarks(log), [{ first: 7, last: 8, count: 2, topics: { 'sensors/a': 1, 'sensors/b': 1 } }])
  t.equal(log.info().lost['corrupt'], 2)
  t.equal(log.info().quarantined, 1)
  // Other readers, the next start, and hints of any kind do not tell it again.
  await Promise.all([readAll(log.reader()), readAll(log.reader(), 6), readAll(log.reader(), 7)])
  log.damageFound(7, 8)
  log.damageFound(8, 8)
  await log.close()
  const again = await openTestLog(t, directory)
  await readAll(again.reader())
  await again.close()
  const last = await openTestLog(t, directory)
  t.equal((await corruptMarks(last)).length, 1)
  t.equal((await names(directory)).length, 2)
})

test('a hint without damage behind it changes nothing', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 2)
  const log = await openTestLog(t, directory)
  log.damageFound(3, 6)
  log.damageFound(100, 200)
  await log.close()
  t.strictSame(await names(directory), [])
  t.strictSame(await corruptMarks(await openTestLog(t, directory)), [])
})

test('a missing segment in the middle is noted and marked, although no bytes of it are left', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 3)
  await rm(segmentPath(directory, 5))
  const log = await openTestLog(t, directory)
  t.strictSame((await readAll(log.reader())).gaps, [{ first: 5, last: 8, reason: 'corrupt' }])
  await settled(directory, 1)
  t.strictSame(await names(directory), [`${segmentName(1)}.seq-5-8.json`])
  t.match(await corruptMarks(log), [{ first: 5, last: 8, count: 4 }])
})

test('a segment whose headers and trailer go while the gateway runs is copied whole and marked', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 3)
  const log = await openTestLog(t, directory)
  await spoil(segmentPath(directory, 5), (bytes) => bytes.fill(0xee))
  t.strictSame((await readAll(log.reader())).texts, ['1', '2', '3', '4', '9', '10', '11', '12'])
  await settled(directory, 1)
  const { size } = await stat(segmentPath(directory, 5))
  t.match(await names(directory), [`${segmentName(5)}.0-${size}`, `${segmentName(5)}.0-${size}.json`])
  t.match(await corruptMarks(log), [{ first: 5, last: 8, count: 4 }])
})

test('a start that is killed after a repair and before its marks are durable leaves them to the next start', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (const text of ['1', '2', '3']) await log.deliver(message(text))
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  await spoilBlock(segmentPath(killed, 1), 1)
  const disk = faultyDisk()
  disk.fail('write', 'ENOSPC', { part: `${segmentName(3 + 65_537)}`, times: Number.POSITIVE_INFINITY })
  const stuck = await openTestLog(t, killed, { fileSystem: disk })
  t.equal(stuck.info().state, 'refusing')
  t.match(await names(killed), [/\d-\d+$/, /\.owed\.json$/], 'the note stands before the mark')
  const twice = await killedNow(killed)
  t.teardown(() => rm(twice, { recursive: true, force: true }))
  const again = await openTestLog(t, twice)
  t.match(await corruptMarks(again), [{ first: 2, last: 2, count: 1 }])
  t.equal(again.info().lost['corrupt'], 1)
  await settled(twice, 1)
})

test('a repair that is killed at any call on the disk loses no mark and no seq, and the next start ends it', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (const text of ['1', '2', '3', '4', '5']) await log.deliver(message(text))
  const killed = await killedNow(directory)
  await spoilBlock(segmentPath(killed, 1), 1)
  await spoilBlock(segmentPath(killed, 1), 3)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  let ended = false
  let kills = 0
  for (; !ended && kills < 200; kills++) {
    const work = await killedNow(killed)
    const disk = dyingDisk(kills)
    try {
      const dead = await openTestLog({ teardown: () => undefined }, work, { fileSystem: disk })
      ended = disk.alive
      await dead.close()
    } catch (error) {
      t.match(error, { code: 'TG_DATA_UNUSABLE' })
    }
    const again = await openTestLog(t, work)
    const { texts } = await readAll(again.reader())
    const marks = await corruptMarks(again)
    const told = new Set(marks.map(({ first }) => first))
    if (texts.join('') !== '135' || !told.has(2) || !told.has(4))
      t.fail(`killed at call ${kills}: ${texts.join()} ${JSON.stringify(marks)}`)
    await again.close()
    await rm(work, { recursive: true })
  }
  t.ok(ended, `${kills} kills`)
  t.ok(kills > 15)
})

test('a quarantine on a full disk does not keep the log from opening, and the damaged bytes stay where they are', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (const text of ['1', '2', '3']) await log.deliver(message(text))
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  await spoilBlock(segmentPath(killed, 1), 1)
  const before = await readFile(segmentPath(killed, 1))
  const disk = faultyDisk()
  disk.fail('write', 'ENOSPC', { part: 'quarantine', times: Number.POSITIVE_INFINITY })
  const full = await openTestLog(t, killed, { fileSystem: disk })
  t.strictSame(await readFile(segmentPath(killed, 1)), before)
  t.strictSame((await readAll(full.reader())).texts, ['1', '3'])
  t.match(await corruptMarks(full), [{ first: 2, last: 2 }], 'it is told all the same')
  await full.close()
  const again = await openTestLog(t, killed)
  t.strictSame((await readAll(again.reader())).texts, ['1', '3'])
  await settled(killed, 1)
  t.ok(
    (await names(killed)).some((name) => !name.endsWith('.json')),
    'set aside as soon as there is room',
  )
})

test('a file where the quarantine belongs makes way under another name', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 2)
  await writeFile(join(directory, 'quarantine'), 'mine')
  await spoilBlock(segmentPath(directory, 1), 0)
  const log = await openTestLog(t, directory)
  t.strictSame((await readAll(log.reader())).texts, ['3', '4', '5', '6', '7', '8'])
  await settled(directory, 1)
  const moved = (await readdir(directory)).find((name) => /^quarantine\.\d+\.file$/.test(name)) ?? ''
  t.equal(await readFile(join(directory, moved), 'utf8'), 'mine')
})

test('the quarantine is bounded: the oldest bytes go first, their notes stay, and it is counted', async (t) => {
  const directory = await temporaryDirectory(t)
  const { quarantine, meter } = openQuarantine(directory)
  for (const first of [1, 11, 21]) await quarantine.keep(damage(first, 400), zeros)
  const files = await names(directory)
  t.strictSame(
    files.filter((name) => !name.endsWith('.json')),
    [`${segmentName(11)}.1024-1424`, `${segmentName(21)}.1024-1424`],
  )
  t.equal(files.filter((name) => name.endsWith('.owed.json')).length, 3)
  t.equal(meter.values.get('log_quarantine_dropped_bytes_total'), 400)
  t.equal(meter.values.get('log_damages_total'), 3)
  t.equal(quarantine.count, 3)
  const note = await quarantine.keep(damage(31, 5_000), zeros)
  t.equal(note?.bytes, 0, 'more than the bound is not kept at all')
  t.equal((await openQuarantine(directory).quarantine.owed()).length, 4)
})

test('what a note tells of is known to the next start, and garbage in the quarantine is not taken for a note', async (t) => {
  const directory = await temporaryDirectory(t)
  const { quarantine } = openQuarantine(directory)
  const note = await quarantine.keep(damage(1))
  if (note !== undefined) await quarantine.settle(note)
  await quarantine.keep(damage(3))
  for (const [name, text] of [
    ['garbage.json', '{'],
    ['other.owed.json', '{"segment":7}'],
    ['nothing.json', 'null'],
  ] as const)
    await writeFile(join(directory, 'quarantine', name), text)
  const { quarantine: next } = openQuarantine(directory)
  t.ok(await next.knows(1, 4), 'neighbours are one range')
  t.notOk(await next.knows(4, 5))
  t.match(await next.owed(), [{ first: 3, last: 4, count: 2 }])
  t.equal(await next.keep(damage(1)), undefined, 'it is kept once')
})
