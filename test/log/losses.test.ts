import { join } from 'node:path'
import { test } from 'tap'
import type { Log } from '../../src/core/log-contract.ts'
import { MAX_SHOWN_LOSSES } from '../../src/core/loss.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { scanLosses } from '../../src/log/loss-scan.ts'
import { settableClock } from '../support/clock.ts'
import { rememberingMeter } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, openTestLog, texts } from '../support/durable-log.ts'
import { until } from '../support/until.ts'

const lose = (log: Log, first: number, count: number, reason: 'rejected' | 'retention' = 'rejected') =>
  log.recordLoss({ first, last: first + count - 1, count, reason })

test('what was lost is shown after a restart, with what is lost from then on, and the metric begins anew', async (t) => {
  const directory = await temporaryDirectory(t)
  for (const first of [1, 101]) {
    const log = await openTestLog(t, directory)
    await appendAll(log, texts(10))
    await lose(log, first, 10)
    await lose(log, first + 50, 2, 'retention')
    await log.close()
  }
  const meter = rememberingMeter()
  const log = await openTestLog(t, directory, { meter })
  await lose(log, 201, 5)
  await until('the earlier ones are found', () => log.info().lost['retention'] === 4)
  t.strictSame(log.info().lost, { rejected: 25, retention: 4 })
  t.strictSame(
    log.info().losses.map(({ first }) => first),
    [1, 51, 101, 151, 201],
  )
  t.equal(meter.values.get('lost_messages_total{reason=rejected}'), 5)
})

test('only the newest losses are named, all of them are counted', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (let number = 0; number < 50; number++) await lose(log, number + 1, 1)
  await log.close()
  const again = await openTestLog(t, directory)
  await until('they are found', () => again.info().lost['rejected'] === 50)
  t.strictSame(
    again.info().losses.map(({ first }) => first),
    Array.from({ length: MAX_SHOWN_LOSSES }, (_, index) => 31 + index),
  )
})

test('the search reads only where marks are, newest segment first, and stops at its bound', async (t) => {
  const directory = await temporaryDirectory(t)
  for (let segment = 0; segment < 3; segment++) {
    const log = await openTestLog(t, directory)
    for (let block = 0; block < 20; block++) await appendAll(log, texts(100, 200))
    await lose(log, segment + 1, 1)
    await log.close()
  }
  let bytes = 0
  const fileSystem = nodeFileSystem()
  const counting = {
    ...fileSystem,
    open: async (path: string, mode: Parameters<typeof fileSystem.open>[1]) => {
      const handle = await fileSystem.open(path, mode)
      const read: typeof handle.read = async (...args) => {
        const count = await handle.read(...args)
        bytes += count
        return count
      }
      return { ...handle, read }
    },
  }
  const fact = { messages: 0, bytes: 0, bootId: '', synced: true, createdMs: 0, createdMonotonicMs: 0, endedMs: 0 }
  const segments = [1, 2_002, 4_003].map((first) => ({ ...fact, endedMonotonicMs: 0, first, last: first + 2_000 }))
  const options = { fileSystem: counting, directory: join(directory, 'log'), segments: segments as never, last: 6_003 }
  const found: number[] = []
  const { signal } = new AbortController()
  const all = await scanLosses({ ...options, maxBytes: 10 ** 9, signal }, (losses) =>
    found.push(...losses.map(({ mark }) => mark.first)),
  )
  t.ok(all)
  t.strictSame(found, [3, 2, 1])
  t.ok(bytes < 3 * 150_000, `${bytes} of ${3 * 400_000} bytes`)
  found.length = 0
  t.notOk(
    await scanLosses({ ...options, maxBytes: 1, signal }, (losses) =>
      found.push(...losses.map(({ mark }) => mark.first)),
    ),
  )
  t.strictSame(found, [3], 'one segment is looked at, whatever the bound')
})

test('a log that is closed at once ends the search', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory)
  for (let number = 0; number < 2_000; number++) void lose(log, number + 1, 1)
  await log.close()
  await (await openTestLog(t, directory)).close()
  t.pass('it is closed')
})

test('a loss from before the clock was set is shown as such, and with its right time once that is known', async (t) => {
  const directory = await temporaryDirectory(t)
  const right = Date.UTC(2026, 10, 20, 10)
  const clock = settableClock({ synced: false, wallMs: 5_000, monotonicMs: 5_000 })
  const log = await openTestLog(t, directory, { clock })
  await lose(log, 1, 3)
  t.match(log.info().losses, [{ time: 5_000, timeQuality: 'unsynced' }])
  clock.advance(1_000)
  clock.set(right)
  clock.syncs()
  const offsetMs = right - 6_000
  await log.recordClock({ reason: 'set', bootId: clock.bootId, monotonicMs: 6_000, offsetMs, time: right })
  const corrected = { first: 1, time: right - 1_000, timeQuality: 'corrected' }
  t.match(log.info().losses, [corrected])
  await lose(log, 11, 1)
  t.equal(log.info().losses[1]?.timeQuality, undefined)
  await log.close()
  const again = await openTestLog(t, directory, { clock })
  await until('they are found', () => again.info().losses.length === 2)
  t.match(again.info().losses, [corrected, { first: 11, time: right }])
})
