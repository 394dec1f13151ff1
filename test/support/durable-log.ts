// The real log on a directory of the test's own, with small sizes so that everything happens soon.

import { cp } from 'node:fs/promises'
import type { Entry, Gap, Message, Seq } from '../../src/core/contract.ts'
import type { Log, LogReader } from '../../src/core/log-contract.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import type { LogOptions } from '../../src/log/log.ts'
import { openLog } from '../../src/log/log.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from './context.ts'

interface Test {
  teardown(work: () => Promise<void>): void
}

export const openTestLog = async (t: Test, directory: string, options: Partial<LogOptions> = {}): Promise<Log> => {
  const log = await openLog({
    directory,
    gateway: 'greenhouse',
    clock: turnableClock(),
    logger: rememberingLogger(),
    meter: rememberingMeter(),
    fileSystem: nodeFileSystem(),
    tryLock: () => true,
    commitDelayMs: 0,
    maxBytes: 64 * 2 ** 20,
    maxAgeMs: 30 * 86_400_000,
    minFreeBytes: 0,
    whenFull: 'dropOldest',
    ...options,
  })
  t.teardown(() => log.close())
  return log
}

export const message = (payload: string | Buffer, topic = 'sensors/greenhouse'): Message => ({
  topic,
  payload: Buffer.from(payload),
  source: 'broker',
  qos: 1,
  retain: false,
})

/** Appends one after the other in one turn; resolves with the seqs once all are durable. */
export const appendAll = (log: Log, payloads: readonly string[]): Promise<Seq[]> =>
  Promise.all(payloads.map((payload) => log.deliver(message(payload))))

/** Everything behind `after`, read in batches of `entries`. */
export const readAll = async (reader: LogReader, after: Seq = 0, entries = 100) => {
  const found: Entry[] = []
  const gaps: Gap[] = []
  for (let next = after; ; ) {
    const result = await reader.read(next, { entries, bytes: 2 ** 20 })
    found.push(...result.entries)
    gaps.push(...result.gaps)
    if (result.next === next) return { entries: found, gaps, next, texts: textsOf(found) }
    next = result.next
  }
}

/** Payloads of the messages, marks left out. */
const textsOf = (entries: readonly Entry[]): string[] =>
  entries.filter(({ kind }) => kind === 'message').map(({ payload }) => payload.toString())

export const lossMarks = (entries: readonly Entry[]): unknown[] =>
  entries.filter(({ kind }) => kind === 'loss').map(({ payload }) => JSON.parse(payload.toString()))

/** What the next process finds when this one is killed now. */
export const killedNow = async (directory: string): Promise<string> => {
  const copy = `${directory}-after-${Math.random().toString(36).slice(2)}`
  await cp(directory, copy, { recursive: true })
  return copy
}

/** `count` texts of `length` characters, each different. */
export const texts = (count: number, length = 20, from = 0): string[] =>
  Array.from({ length: count }, (_, index) => `${from + index}`.padStart(length, '.'))
