import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { test } from 'tap'
import type { Entry } from '../../src/core/contract.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { inspectLog } from '../../src/log/inspect.ts'
import { openReader } from '../../src/log/reader.ts'
import { FORMAT_VERSION } from '../../src/log/segment-header.ts'
import { earlyClock, setMark } from '../support/clock.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { killedNow, message, openTestLog, readAll } from '../support/durable-log.ts'
import { until } from '../support/until.ts'

// A data directory of every format version that was ever released stays in test/fixtures, with what must be read from it.
// The one of a new version is written, once, by
//   TIDEGATE_WRITE_FIXTURE=1 npx tap test/log/format.test.ts

const fixtureOf = (version: number) => join(import.meta.dirname, '..', 'fixtures', `log-v${version}`)

const shown = (entry: Entry) => ({ ...entry, payload: entry.payload.toString('base64') })

const readFixture = async (directory: string) => {
  const durable = () => Number.POSITIVE_INFINITY
  const reader = openReader({ directory, fileSystem: nodeFileSystem(), durable })
  const { entries, gaps } = await readAll(reader)
  await reader.close()
  return { entries: entries.map(shown), gaps }
}

if (process.env['TIDEGATE_WRITE_FIXTURE'] === '1')
  test('a fixture of the present format is written', async (t) => {
    const directory = await temporaryDirectory(t)
    const clock = earlyClock()
    const keep = [{ topic: 'chatty/#', newest: 1, perMs: 60_000 }]
    const options = { clock, keep, segmentBytes: 4_096, maxBytes: 40 * 4_096 }
    const log = await openTestLog(t, directory, options)
    for (const text of ['before', 'the', 'clock']) await log.deliver(message(text, 'sensors/früh'))
    await log.recordClock(setMark(clock))
    log.settledUpTo(0)
    for (let index = 0; index < 120; index++) {
      clock.advance(5_000)
      await Promise.all([
        log.deliver(message(Buffer.alloc(400, index), 'chatty/pump')),
        log.deliver(message(Buffer.alloc(400, index), 'chatty/fan')),
        log.deliver({ ...message(`{"value":${index}}`, 'rare/door'), qos: 0, retain: index === 7 }),
      ])
    }
    await log.recordLoss({
      first: 3,
      last: 4,
      count: 2,
      reason: 'rejected',
      sink: 'cloud',
      devices: { 'rare/door': 2 },
    })
    await until('it was thinned', () => (log.info().lost['thinned'] ?? 0) > 0)
    await log.close()
    const again = await openTestLog(t, directory, options)
    again.settledUpTo(0)
    const origin = { clientHash: 0xfeed, packetId: 7 }
    await again.deliver({ ...message(Buffer.from([0, 255, 10]), 'binary'), qos: 2, origin })
    // Files come and go while segments are thinned and merged.
    let killed = ''
    await until('a copy is whole', async () => {
      killed = await killedNow(directory).catch(() => '')
      return killed !== ''
    })
    const fixture = fixtureOf(FORMAT_VERSION)
    await rm(fixture, { recursive: true, force: true })
    await mkdir(fixture, { recursive: true })
    await cp(join(killed, 'log'), join(fixture, 'log'), { recursive: true })
    await rm(killed, { recursive: true })
    await writeFile(join(fixture, 'expected.json'), `${JSON.stringify(await readFixture(fixture), null, 1)}\n`)
  })

for (let version = 1; version <= FORMAT_VERSION; version++)
  test(`a log of format version ${version} is read as on the day it was written`, async (t) => {
    const fixture = fixtureOf(version)
    const expected: Awaited<ReturnType<typeof readFixture>> = JSON.parse(
      await readFile(join(fixture, 'expected.json'), 'utf8'),
    )
    t.ok(expected.entries.some(({ kind }) => kind === 'clock'))
    t.ok(expected.entries.some(({ kind }) => kind === 'loss'))
    t.ok(expected.entries.some(({ timeQuality }) => timeQuality === 'corrected'))
    t.ok(expected.entries.some(({ origin }) => origin !== undefined))
    t.ok(expected.gaps.some(({ partial }) => partial === true))

    const directory = await temporaryDirectory(t)
    await cp(fixture, directory, { recursive: true })
    t.same(await readFixture(directory), expected, 'by a reader')
    t.same((await inspectLog(directory, { verify: true, live: false })).damages, [], 'and is sound')

    const log = await openTestLog(t, directory)
    const reader = log.reader()
    const { entries } = await readAll(reader)
    await reader.close()
    t.same(entries.slice(0, expected.entries.length).map(shown), expected.entries, 'and by a program that writes to it')
    const last = expected.entries.at(-1)?.seq ?? 0
    t.ok((await log.deliver(message('now'))) > last, 'which goes on behind it')
  })

t.setTimeout(60_000)
