import { join } from 'node:path'
import { test } from 'tap'
import { nodeFileSystem, writeFully } from '../../src/log/file-system.ts'
import { meteredFileSystem } from '../../src/log/metered-file-system.ts'
import { WearRecord } from '../../src/log/wear.ts'
import { rememberingMeter, turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { message, openTestLog } from '../support/durable-log.ts'

const HOUR_MS = 3_600_000
const KIB = 1024

test('wear is what was written in the last day, by the hour', (t) => {
  const clock = turnableClock()
  const meter = rememberingMeter()
  const record = new WearRecord({ clock, meter })
  t.strictSame(record.wear, { hours: 0, payloadBytes: 0, physicalBytes: 0 })
  for (let hour = 0; hour < 100; hour++) {
    record.addPayload(10)
    record.addPhysical(50)
    clock.advance(HOUR_MS / 2)
    if (hour === 3) t.strictSame(record.wear, { hours: 3.5, payloadBytes: 40, physicalBytes: 200 })
    clock.advance(HOUR_MS / 2)
  }
  clock.advance(HOUR_MS / 2)
  // The hour that has begun saw nothing; the 23 before it did.
  t.strictSame(record.wear, { hours: 23.5, payloadBytes: 230, physicalBytes: 1_150 })
  clock.advance(100 * HOUR_MS)
  t.strictSame(record.wear, { hours: 23.5, payloadBytes: 0, physicalBytes: 0 }, 'an idle day costs nothing')
  t.equal(meter.values.get('log_physical_bytes_total'), 5_000)
  t.end()
})

test('whole pages count, a page that two blocks of one commit share counts once, and a file that grows costs the journal', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = turnableClock()
  let counted = 0
  const added = () => {
    const bytes = counted
    counted = 0
    return bytes
  }
  const disk = meteredFileSystem(
    nodeFileSystem(),
    () => clock.monotonicMs(),
    (bytes) => {
      counted += bytes
    },
  )
  const bytes = Buffer.alloc(64 * KIB)
  const path = join(directory, 'file')
  const grown = await disk.open(path, 'replace')
  await writeFully(grown, bytes, 0, bytes.length, 0)
  t.equal(added(), 0, 'nothing before the sync')
  await grown.sync()
  t.equal(added(), 64 * KIB + 12 * KIB)
  await grown.close()

  const file = await disk.open(path, 'update')
  t.teardown(() => file.close())
  await writeFully(file, bytes, 0, 100, 4_000)
  await writeFully(file, bytes, 0, 100, 4_100)
  await file.datasync()
  t.equal(added(), 8 * KIB)
  await file.datasync()
  t.equal(added(), 0, 'a sync of nothing costs nothing')
  clock.advance(5_000)
  await writeFully(file, bytes, 0, 1, 0)
  await file.datasync()
  t.equal(added(), 4 * KIB + 12 * KIB, 'every 5 s the journal keeps the time of the last write')
  await file.truncate(10)
  await file.datasync()
  t.equal(added(), 12 * KIB)

  await disk.rename(path, `${path}.new`)
  await disk.syncDirectory(directory)
  t.equal(added(), 40 * KIB)
  await disk.syncDirectory(directory)
  t.equal(added(), 0)
})

test('a log tells its wear, and pads its blocks so that a small commit does not take two pages', async (t) => {
  const meter = rememberingMeter()
  const log = await openTestLog(t, await temporaryDirectory(t), { meter })
  await log.deliver(message('x'.repeat(1_300)))
  const before = log.info()
  for (let sent = 0; sent < 60; sent++) await log.deliver(message('x'.repeat(1_300)))
  const after = log.info()
  t.equal(after.wear.payloadBytes - before.wear.payloadBytes, 60 * 1_300)
  // Three to a page. Without padding every third would end in the next page: 4/3 pages each.
  const pages = (after.wear.physicalBytes - before.wear.physicalBytes) / 4_096
  t.ok(pages <= 62, `${pages} pages for 60 commits`)
  const written = after.writtenBytes - before.writtenBytes
  t.ok(written < 60 * 1_300 * 1.1, `${written} bytes handed over`)
  t.equal(meter.values.get('log_physical_bytes_total'), after.wear.physicalBytes)
})
