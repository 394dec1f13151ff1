// Every call that the log makes to its disk fails once, or several times in a row, in a life of rolling, retention, recycling
// and closing: what was acknowledged is there, afterwards and after a kill, and the log goes on by itself.

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import type { DiskCall, FaultyDisk } from '../support/faulty-disk.ts'
import { faultyDisk } from '../support/faulty-disk.ts'

const CALLS: readonly DiskCall[] = [
  'open',
  'write',
  'datasync',
  'sync',
  'truncate',
  'rename',
  'unlink',
  'syncDirectory',
]
const CODES = ['EIO', 'ENOSPC', 'EROFS'] as const
const BATCHES = 24
const BATCH = 4
const OPTIONS = { segmentBytes: 4_096, maxBytes: 48 * 1_024 }
/** Every position takes minutes; by default, a stride through them. */
const EVERY = process.env['TIDEGATE_LONG'] === '1' ? 1 : 11
/** Lives that run side by side: most of their time is waiting for the next attempt. */
const AT_ONCE = 16

interface Fault {
  readonly call: DiskCall
  readonly code: string
  readonly spared: number
  readonly times: number
}

interface Test {
  teardown(work: () => Promise<void>): void
}

/** Returns what is wrong; nothing, if all is well. */
const live = async (t: Test, disk: FaultyDisk, fault?: Fault): Promise<string[]> => {
  const directory = await temporaryDirectory(t)
  const wrong: string[] = []
  const log = await openTestLog(t, directory, { fileSystem: disk, ...OPTIONS })
  if (fault !== undefined) disk.fail(fault.call, fault.code, fault)
  const sent: string[] = []
  for (let batch = 0; batch < BATCHES; batch++) {
    const payloads = texts(BATCH, 300, batch * BATCH)
    const seqs = await appendAll(log, payloads)
    sent.push(...payloads)
    if (seqs.some((seq, index) => seq !== batch * BATCH + index + 1)) wrong.push(`seqs ${seqs.join()}`)
    log.settledUpTo(seqs.at(-1) ?? 0)
  }
  if (log.info().state !== 'ok') wrong.push(`${log.info().state}: ${log.info().reason}`)
  const thaw = await disk.freeze()
  const killed = await killedNow(directory)
  thaw()
  await log.close()
  if (disk.resynced.length > 0) wrong.push(`synced again: ${disk.resynced.join()}`)
  for (const [name, place] of Object.entries({ closed: directory, killed })) {
    const again = await openTestLog(t, place, OPTIONS)
    const { texts: found, gaps, next } = await readAll(again.reader())
    const expected = sent.slice(sent.length - found.length)
    if (found.length < 4 || found.join() !== expected.join()) wrong.push(`${name}: ${found.length} messages are there`)
    if (gaps.some(({ first, reason }) => reason !== 'retention' && first <= sent.length))
      wrong.push(`${name}: gaps ${JSON.stringify(gaps)}`)
    if ((await again.deliver(message('next'))) <= Math.max(next, sent.length)) wrong.push(`${name}: a seq comes again`)
    const left = (await readdir(join(place, 'log'))).filter((file) => file.endsWith('.new'))
    if (left.length > 0) wrong.push(`${name}: ${left.join()} is left behind`)
    await again.close()
  }
  await Promise.all([directory, killed].map((place) => rm(place, { recursive: true, force: true })))
  return wrong
}

test('whatever call fails, nothing acknowledged is lost, no seq comes again, and the log goes on by itself', async (t) => {
  const healthy = faultyDisk()
  t.strictSame(await live(t, healthy), [])
  const faults: Fault[] = []
  let place = 0
  for (const call of CALLS) {
    const count = healthy.done.filter((done) => done.startsWith(`${call} `)).length
    t.ok(count > 0, `${call} is called ${count} times`)
    for (let spared = 0; spared < count; spared++)
      for (const code of CODES)
        for (const times of [1, 3]) if (place++ % EVERY === 0) faults.push({ call, code, spared, times })
  }
  for (let from = 0; from < faults.length; from += AT_ONCE) {
    const some = faults.slice(from, from + AT_ONCE)
    const results = await Promise.all(some.map((fault) => live(t, faultyDisk(), fault)))
    for (const [index, wrong] of results.entries()) if (wrong.length > 0) t.fail(JSON.stringify(some[index]), { wrong })
  }
  t.comment(`${faults.length} lives with a fault`)
})
