import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { inspectLog } from '../../src/log/inspect.ts'
import { segmentName } from '../../src/log/segment-header.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, openTestLog, texts } from '../support/durable-log.ts'

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
  const [segment] = (await inspectLog(directory, { verify: true })).segments
  t.equal(segment?.damage.length, 1)
  t.match(segment?.damage[0], `bytes ${second} to`)
  t.strictSame((await inspectLog(directory)).segments[0]?.damage, [], 'the footer is trusted otherwise')
})
