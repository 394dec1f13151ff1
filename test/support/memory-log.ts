// A log in memory at the log's own seam: durability is in the test's hands. Everything appended is kept for ever.

import type { Entry, EntryKind, Gap, Message, Seq, Settled } from '../../src/core/contract.ts'
import type { TidegateError } from '../../src/core/errors.ts'
import type { Log, LogInfo, LogReader, ReadFilter, ReadLimit } from '../../src/core/log-contract.ts'
import { mayBeList } from '../../src/log/channel.ts'

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
  const append = (message: Message, settled?: Settled, kind: EntryKind = 'message'): boolean => {
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
      kind,
      receivedAt: wallMs(),
      monotonicMs: performance.now(),
      bootId: '00000000-0000-4000-8000-000000000001',
    }
    entries.push(entry)
    settledCalls.push({ seq: last, settled })
    schedule()
    return waiting === undefined
  }
  const read = async (after: Seq, limit: ReadLimit, filter: ReadFilter = {}) => {
    const { channel = () => true, fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY } = filter
    const gaps: Gap[] = after + 1 < first ? [{ first: after + 1, last: first - 1, reason: 'retention' }] : []
    const found: Entry[] = []
    let bytes = 0
    let next = Math.max(after, first - 1)
    for (const entry of entries) {
      if (entry.seq <= after) continue
      if (entry.seq > durable || found.length >= limit.entries) break
      const matches =
        channel(entry.topic, entry.source, mayBeList(entry.payload, 0, entry.payload.length)) &&
        entry.receivedAt >= fromMs &&
        entry.receivedAt < toMs
      if (matches) {
        bytes += entry.payload.length
        if (bytes > limit.bytes && found.length > 0) break
        found.push(entry)
      }
      next = entry.seq
    }
    return { entries: found, gaps, next }
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
    unkeptMessages: 0,
    commitMs: 0,
    messagesAppended: last,
    payloadBytes: 0,
    writtenBytes: 0,
    commits: 0,
    lost: {},
    losses: [],
    quarantined: 0,
    wear: { hours: 0, payloadBytes: 0, physicalBytes: 0 },
  })

  return {
    get entries() {
      return entries
    },
    get durable() {
      return durable
    },
    append: (message, settled) => append(message, settled),
    deliver: (message) =>
      new Promise((resolve, reject) => {
        append(message, (error, seq) => (error === undefined ? resolve(seq) : reject(error)))
      }),
    refusal: undefined,
    ready: () => (waiting === undefined ? Promise.resolve() : new Promise((resolve) => waiting?.push(resolve))),
    onDurable: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    onUndurable: () => () => undefined,
    damageFound: () => undefined,
    recordLoss: (mark) =>
      new Promise((resolve, reject) => {
        const payload = Buffer.from(JSON.stringify({ ...mark, time: wallMs() }))
        const settled: Settled = (error, seq) => (error === undefined ? resolve(seq) : reject(error))
        append({ topic: '', payload, source: '', qos: 0, retain: false }, settled, 'loss')
      }),
    recordClock: (mark) =>
      new Promise((resolve, reject) => {
        const settled: Settled = (error, seq) => (error === undefined ? resolve(seq) : reject(error))
        const payload = Buffer.from(JSON.stringify(mark))
        append({ topic: '', payload, source: '', qos: 0, retain: false }, settled, 'clock')
      }),
    onCorrection: () => () => undefined,
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
