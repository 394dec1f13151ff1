import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { openCursor } from '../../src/log/cursor.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { damageText, inspectLog } from '../../src/log/inspect.ts'
import { segmentName } from '../../src/log/segment-header.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, message, openTestLog, texts } from '../support/durable-log.ts'
import { blockOffsets, closedSegments, segmentPath, spoil, spoilBlock } from '../support/segments.ts'
import { until } from '../support/until.ts'

const PROCESS = fileURLToPath(new URL('../support/log-process.ts', import.meta.url))

test('the report names every segment of a log that is in use, and changes nothing', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { segmentBytes: 4_096 })
  for (let from = 0; from < 105; from += 15) await appendAll(log, texts(15, 100, from))
  const report = await inspectLog(directory)
  t.match(report, { gateway: 'greenhouse', formatVersion: 1, first: 1, last: 105, quarantined: [] })
  t.match(report.logId, /^[0-9a-f]{8}-/)
  t.equal(report.segments.length, log.info().segments)
  t.ok(report.bytes > 105 * 100)
  t.equal(
    report.segments.reduce((sum, { entries }) => sum + entries, 0),
    105,
  )
  t.match(report.segments[0], {
    file: segmentName(1),
    first: 1,
    state: 'rolled',
    damage: [],
    fromMs: Number,
    toMs: Number,
  })
  t.equal(report.segments.at(-1)?.state, 'open')
  await log.close()
  t.equal((await inspectLog(directory)).segments.at(-1)?.state, 'closed')
})

test('an empty log is reported as one, and a directory without a log is refused', async (t) => {
  const directory = await temporaryDirectory(t)
  await t.rejects(inspectLog(directory), { code: 'TG_DATA_UNUSABLE' })
  const log = await openTestLog(t, directory)
  t.match(await inspectLog(directory), { first: 1, last: 0 })
  await log.close()
})

test('damage in a sealed segment is named when everything is read', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (const from of [0, 10, 20]) await appendAll(log, texts(10, 20, from))
  await log.close()
  t.strictSame((await inspectLog(directory, { verify: true })).segments[0]?.damage, [])
  const path = join(directory, 'log', segmentName(1))
  const bytes = await readFile(path)
  const second = bytes.indexOf('TGbk', bytes.indexOf('TGbk') + 1)
  bytes[second + 70] = 0xff
  await writeFile(path, bytes)
  const { segments, damages } = await inspectLog(directory, { verify: true })
  const [segment] = segments
  t.equal(segment?.damage.length, 1)
  t.match(segment?.damage[0], `log/${segmentName(1)}, bytes ${second} to`)
  t.match(damages, [{ file: `log/${segmentName(1)}`, from: second, first: 11, last: 20, why: /CRC/ }])
  t.strictSame((await inspectLog(directory)).segments[0]?.damage, [], 'the footer is trusted otherwise')
})

test('a sound log has no damage, whatever happened to it: kills, skipped seqs, repairs, losses that were told', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 2)
  const log = await openTestLog(t, directory)
  await log.deliver(message('9'))
  await log.recordLoss({ first: 1, last: 0, count: 3, reason: 'refused' })
  const killed = await killedNow(directory)
  t.teardown(() => rm(killed, { recursive: true, force: true }))
  await spoilBlock(segmentPath(killed, 9), 0)
  const again = await openTestLog(t, killed)
  await until('it is told', async () => (await inspectLog(killed)).notes.length === 1)
  await again.close()
  const report = await inspectLog(killed, { verify: true })
  t.strictSame(report.damages, [])
  t.match(report.notes, [{ first: 9, last: 9, count: 1 }])
  t.equal(report.quarantined.length, 1)
  t.match(report.lost, { corrupt: 1 })
  t.ok((report.losses ?? []).some(({ reason }) => reason === 'unclean-stop'))
})

test('every kind of damage is named with its file, bytes and seqs, each in one line', async (t) => {
  const footerAt = (bytes: Buffer) => blockOffsets(bytes).at(-1) ?? 0
  const cases: [string, (bytes: Buffer) => Buffer | undefined, RegExp][] = [
    [
      'first header',
      (bytes) => bytes.fill(0, 30, 40),
      /log\/0+5\.seg, bytes 0 to 511: a copy of the header is destroyed/,
    ],
    ['second header', (bytes) => bytes.fill(0, 600, 610), /bytes 512 to 1023: a copy of the header/],
    [
      'block header',
      (bytes) => bytes.fill(0, 1_024 + 30, 1_024 + 34),
      /bytes 1024 to \d+, seq 5 to 6: the header of a block/,
    ],
    ['block', (bytes) => bytes.fill(0, 1_024 + 60, 1_024 + 64), /bytes 1024 to \d+, seq 5 to 6: the CRC of a block/],
    ['footer', (bytes) => bytes.fill(0, footerAt(bytes) + 70, footerAt(bytes) + 74), /the footer is destroyed/],
    ['trailer', (bytes) => bytes.fill(0, bytes.length - 20, bytes.length - 12), /the trailer is destroyed/],
    ['all', (bytes) => bytes.fill(0), /bytes 0 to \d+, seq 5 to 8: it is no segment/],
  ]
  for (const [what, change, line] of cases) {
    const directory = await temporaryDirectory(t)
    await closedSegments(t, directory, 3)
    await spoil(segmentPath(directory, 5), change)
    const { damages } = await inspectLog(directory, { verify: true })
    t.equal(damages.length, 1, `${what}: ${damages.map(damageText).join()}`)
    t.match(damages.map(damageText)[0], line, what)
    t.notMatch(damages.map(damageText)[0], '\n')
  }
})

test('a segment that is missing is named by the seqs that nothing tells of', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 3)
  await rm(segmentPath(directory, 5))
  const { damages } = await inspectLog(directory, { verify: true })
  t.strictSame(damages.map(damageText), [
    `log/${segmentName(9)}, seq 5 to 8: these seqs are missing before it, and nothing says why`,
  ])
})

test('a torn tail is no damage, and neither is what an earlier use of the file left behind it', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 1)
  const bytes = await readFile(segmentPath(directory, 1))
  const offsets = blockOffsets(bytes)
  for (const size of [1_024, (offsets[1] ?? 0) + 30, (offsets[2] ?? 0) - 1]) {
    await writeFile(segmentPath(directory, 1), Buffer.concat([bytes.subarray(0, size), Buffer.alloc(5_000, 'TGbk')]))
    const report = await inspectLog(directory, { verify: true })
    t.strictSame(report.damages, [], `${size}`)
    t.equal(report.segments[0]?.state, 'open')
  }
})

test('cursors are shown, and one that is torn or ahead of the log is named', async (t) => {
  const directory = await temporaryDirectory(t)
  await closedSegments(t, directory, 1)
  const options = { directory: join(directory, 'cursors'), fileSystem: nodeFileSystem() }
  for (const [name, last] of [
    ['good', 3],
    ['ahead', 9],
  ] as const) {
    const cursor = await openCursor({ ...options, name })
    cursor.settle(1, last)
    await cursor.close()
  }
  await writeFile(join(options.directory, 'torn.cursor'), 'x'.repeat(8_192))
  const { cursors, damages } = await inspectLog(directory)
  t.match(cursors, [
    { name: 'ahead', position: 9 },
    { name: 'good', position: 3, ranges: 1 },
    { name: 'torn', fault: /slots/ },
  ])
  t.match(damages.map(damageText), [
    'cursors/ahead.cursor: it is ahead of the log: it has passed seq 9, and the newest is 4',
    /^cursors\/torn\.cursor: neither of its two slots is whole/,
  ])
})

test('a log that a gateway writes to and rolls is verified without a false alarm', async (t) => {
  const directory = await temporaryDirectory(t)
  const child = fork(PROCESS, [directory, 'x', '4194304'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let delivered = 0
  child.stdout?.on('data', (chunk: Buffer) => {
    delivered += chunk.length
  })
  await until('it writes', () => delivered > 0, 30_000)
  const firsts = new Set<number>()
  const newest = new Set<string>()
  for (let round = 0; round < 20; round++) {
    const before = delivered
    const report = await inspectLog(directory, { verify: true })
    t.strictSame(report.damages.map(damageText), [], `round ${round}`)
    firsts.add(report.first)
    newest.add(report.segments.at(-1)?.file ?? '')
    await until('it goes on', () => delivered > before || child.exitCode !== null)
  }
  t.equal(child.exitCode, null, 'it wrote all the time')
  t.ok(newest.size > 1, 'segments were rolled meanwhile')
  t.comment(`oldest seqs: ${firsts.size}, newest segments: ${newest.size}`)
})
