// A log in memory at the log's own seam: durability is in the test's hands. Everything appended is kept for ever.

import type { Entry, Gap, Log, LogInfo, LogReader, Message, ReadLimit, Seq, Settled } from '../../src/core/contract.ts'
import type { TidegateError } from '../../src/core/errors.ts'

export interface MemoryLog extends Log {
  /** Everything appended so far, durable or not. */
  readonly entries: readonly Entry[]
  /** From now on nothing becomes durable, until release(). */
  hold(): void
  release(): void
  /** From now on every append fails with this error; undefined ends it. */
  fail(error: TidegateError | undefined): void
  /** From now on append() returns false and ready() waits, until room(). */
  full(): void
  room(): void
  /** Takes the entries up to this seq away, as retention does. */
  forget(last: Seq): void
}

export const memoryLog = (wallMs: () => number = Date.now): MemoryLog => {
  let entries: Entry[] = []
  let settledCalls: { readonly seq: Seq; readonly settled: Settled | undefined }[] = []
  const listeners = new Set<(entries: readonly Entry[]) => void>()
  let durable = 0
  let last = 0
  let first = 1
  let held = false
  let scheduled = false
  let failure: TidegateError | undefined
  let waiting: (() => void)[] | undefined

  const commit = () => {
    scheduled = false
    if (held) return
    const batch = entries.filter((entry) => entry.seq > durable)
    durable = last
    const calls = settledCalls
    settledCalls = []
    for (const { seq, settled } of calls) settled?.(undefined, seq)
    if (batch.length > 0) for (const listener of listeners) listener(batch)
  }
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    setImmediate(commit)
  }
  const append = (message: Message, settled?: Settled): boolean => {
    if (failure !== undefined) {
      const error = failure
      setImmediate(() => settled?.(error, 0))
      return true
    }
    last++
    const entry: Entry = {
      ...message,
      payload: Buffer.from(message.payload),
      seq: last,
      kind: 'message',
      receivedAt: wallMs(),
      monotonicMs: performance.now(),
      bootId: '00000000-0000-4000-8000-000000000001',
    }
    entries.push(entry)
    settledCalls.push({ seq: last, settled })
    schedule()
    return waiting === undefined
  }
  const read = async (after: Seq, limit: ReadLimit) => {
    const gaps: Gap[] = after + 1 < first ? [{ first: after + 1, last: first - 1, reason: 'retention' }] : []
    const found: Entry[] = []
    let bytes = 0
    for (const entry of entries) {
      if (entry.seq <= after) continue
      if (entry.seq > durable || found.length >= limit.entries) break
      bytes += entry.payload.length
      if (bytes > limit.bytes && found.length > 0) break
      found.push(entry)
    }
    return { entries: found, gaps, next: found.at(-1)?.seq ?? Math.max(after, first - 1) }
  }
  const info = (): LogInfo => ({
    first,
    last: durable,
    segments: 1,
    bytes: 0,
    maxBytes: 2 ** 30,
    maxAgeMs: 1,
    state: 'ok',
    pendingMessages: settledCalls.length,
    pendingBytes: 0,
    messagesAppended: last,
    payloadBytes: 0,
    writtenBytes: 0,
    commits: 0,
    lost: {},
  })

  return {
    get entries() {
      return entries
    },
    get durable() {
      return durable
    },
    append,
    deliver: (message) =>
      new Promise((resolve, reject) => {
        append(message, (error, seq) => (error === undefined ? resolve(seq) : reject(error)))
      }),
    ready: () => (waiting === undefined ? Promise.resolve() : new Promise((resolve) => waiting?.push(resolve))),
    onDurable: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    reader: (): LogReader => ({ read, close: async () => undefined }),
    info,
    settledUpTo: () => undefined,
    close: async () => commit(),
    hold: () => {
      held = true
    },
    release: () => {
      held = false
      schedule()
    },
    fail: (error) => {
      failure = error
    },
    full: () => {
      waiting ??= []
    },
    room: () => {
      const calls = waiting ?? []
      waiting = undefined
      for (const call of calls) call()
    },
    forget: (upTo) => {
      first = Math.max(first, upTo + 1)
      entries = entries.filter((entry) => entry.seq >= first)
    },
  }
}
