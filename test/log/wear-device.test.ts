import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { openCursor } from '../../src/log/cursor.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { message, openTestLog } from '../support/durable-log.ts'
import { LoopDisk, loopDiskMissing } from '../support/loop-disk.ts'

// What reaches the disk, by the block device's own counter. No times: only how much is written for how many commits.

const COMMITS = 200
const PAYLOAD = 'x'.repeat(120)
/** At 10 messages/s a cursor is flushed every 5 s. */
const COMMITS_PER_FLUSH = 50

test('a commit of one small message, cursor included, costs the disk little more than one page', {
  skip: loopDiskMissing(),
}, async (t) => {
  const disk = await LoopDisk.make(t)
  const log = await openTestLog(t, disk.path)
  const cursor = await openCursor({
    directory: join(disk.path, 'cursors'),
    name: 'cloud',
    fileSystem: nodeFileSystem(),
  })
  t.teardown(() => cursor.close())
  cursor.settle(1, await log.deliver(message(PAYLOAD)))
  await cursor.flush()

  const before = log.info()
  const writtenBefore = await disk.writtenBytes()
  for (let sent = 1; sent <= COMMITS; sent++) {
    const seq = await log.deliver(message(PAYLOAD))
    cursor.settle(seq, seq)
    if (sent % COMMITS_PER_FLUSH === 0) await cursor.flush()
  }
  const writtenAfter = await disk.writtenBytes()
  const after = log.info()
  t.equal(after.commits - before.commits, COMMITS)
  const each = (writtenAfter - writtenBefore) / COMMITS
  t.comment(`${each.toFixed(0)} bytes a commit`)
  t.ok(each >= 4_096, `the counter counts: ${each.toFixed(0)} bytes a commit`)
  t.ok(each <= 6_000, `${each.toFixed(0)} bytes a commit`)
  const estimate = (after.wear.physicalBytes - before.wear.physicalBytes) / COMMITS
  t.ok(Math.abs(estimate / each - 1) < 0.25, `and the log's own estimate is ${estimate.toFixed(0)}`)
})

test('the same messages at the end of a plain file, with an fsync each, cost the disk three times as much', {
  skip: loopDiskMissing(),
}, async (t) => {
  const disk = await LoopDisk.make(t)
  const file: FileHandle = await open(join(disk.path, 'plain'), 'w')
  t.teardown(() => file.close())
  await file.sync()
  const before = await disk.writtenBytes()
  for (let sent = 0; sent < COMMITS; sent++) {
    await file.write(PAYLOAD)
    await file.sync()
  }
  const each = ((await disk.writtenBytes()) - before) / COMMITS
  t.ok(each > 3 * 4_096, `${each.toFixed(0)} bytes a message`)
})
