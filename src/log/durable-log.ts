// The log at work: joins the queue, the writer, the segments and retention, and answers for them at the contract's Log.

import type { Entry, Log, LogInfo, LogReader, LossMark, LossReason, Message, Seq, Settled } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import { withDeadline } from '../core/time.ts'
import type { ActiveSegment } from './active-segment.ts'
import { lastSeq } from './block.ts'
import { CommitQueue } from './commit-queue.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileHandle } from './file-system.ts'
import { MAX_COMMIT_BYTES } from './limits.ts'
import type { LogOptions } from './log-options.ts'
import { blockBytesFor, segmentBytesFor } from './log-options.ts'
import { encodeLossMark } from './loss-mark.ts'
import type { PendingBlock } from './pending-block.ts'
import { openReader } from './reader.ts'
import type { Recovered } from './recovery.ts'
import { factsOf } from './recovery.ts'
import type { RetentionDecision, SegmentFacts } from './retention.ts'
import { decideRetention, unsettledIn } from './retention.ts'
import { SegmentStore } from './segment-store.ts'
import { Writer } from './writer.ts'

/** Free space and age are looked at this often. */
const TEND_MS = 5_000
/** Longer than the longest flush that a card has been seen to need. */
const CLOSE_DEADLINE_MS = 10_000
/** The segment that is written to, and the spare one. */
const SEGMENTS_IN_USE = 2

export class DurableLog implements Log {
  #durable: Seq
  readonly #options: LogOptions
  readonly #lock: FileHandle
  readonly #segmentBytes: number
  readonly #queue: CommitQueue
  readonly #writer: Writer
  readonly #store: SegmentStore
  readonly #recovered: Recovered
  readonly #listeners = new Set<(entries: readonly Entry[]) => void>()
  /** Segments that take no more, oldest first. */
  #segments: SegmentFacts[]
  #settled: Seq = 0
  /** Before this moment, on the monotonic clock, retention waits to hear what is settled. */
  #settledDueMs: number
  /** A loss mark says that everything up to here is lost, whether its segment could be removed yet or not. */
  #markedUpTo: Seq = 0
  #freeBytes = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #tending: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #messagesAppended = 0
  #payloadBytes = 0
  #writtenBytes = 0
  readonly #lost: Record<string, number> = {}

  constructor(options: LogOptions, recovered: Recovered, logId: string, lock: FileHandle) {
    this.#options = options
    this.#lock = lock
    this.#recovered = recovered
    this.#durable = recovered.last
    this.#segments = recovered.segments
    this.#settledDueMs = options.clock.monotonicMs() + (options.settledWithinMs ?? 0)
    this.#segmentBytes = segmentBytesFor(options)
    this.#queue = new CommitQueue({
      clock: options.clock,
      blockBytes: blockBytesFor(this.#segmentBytes),
      commitBytes: Math.min(MAX_COMMIT_BYTES, this.#segmentBytes),
      nextSeq: recovered.next,
    })
    this.#store = new SegmentStore({
      ...options,
      logId,
      segmentBytes: this.#segmentBytes,
      onWritten: (bytes) => this.#wrote(bytes),
    })
    this.#writer = new Writer({
      ...options,
      queue: this.#queue,
      createSegment: (first) => this.#createSegment(first),
      obstacle: () => this.#obstacle(),
      recheck: () => this.#measureFree(),
      onDurable: (last) => {
        this.#durable = last
      },
      onCommitted: (blocks, segment) => this.#committed(blocks, segment),
      onEnded: (segment, sealed) => this.#ended(segment, sealed),
    })
  }

  /** Called once by openLog: makes the marks of recovery durable when the disk lets it. */
  async start(): Promise<void> {
    await this.#measureFree()
    if (this.#recovered.hasSpare)
      await this.#store.adoptSpare().catch((error: unknown) => {
        this.#options.logger.warn({ error: describe(error) }, 'the spare segment cannot be used')
      })
    await this.#writer.prepare()
    for (const mark of this.#recovered.marks)
      this.#appendMark(mark).catch((error: unknown) => {
        // Closed on a disk that took nothing: skipped seqs are found again at the next open, a hole is a gap to every reader.
        this.#options.logger.warn({ error: describe(error) }, 'a loss mark could not be written')
      })
    await this.#writer.commitNow()
    this.#timer = setInterval(() => void this.#tend(), TEND_MS)
  }

  get durable(): Seq {
    return this.#durable
  }

  /** What is taken is settled in the order of the calls. A refusal (closed, too large, far too much waiting) may overtake it. */
  append(message: Message, settled?: Settled): boolean {
    this.#writer.append('message', message, settled)
    return !this.#queue.aboveHighWater
  }

  deliver(message: Message): Promise<Seq> {
    return new Promise((resolve, reject) => {
      this.append(message, (error, seq) => (error === undefined ? resolve(seq) : reject(error)))
    })
  }

  ready(): Promise<void> {
    return this.#queue.ready()
  }

  onDurable(listener: (entries: readonly Entry[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  reader(): LogReader {
    const { directory, fileSystem } = this.#options
    return openReader({ directory, fileSystem, durable: () => this.#durable })
  }

  settledUpTo(seq: Seq): void {
    this.#settledDueMs = 0
    if (seq === this.#settled) return
    this.#settled = seq
    if (this.#writer.refusal !== undefined) this.#writer.retry()
  }

  info(): LogInfo {
    const { maxBytes, maxAgeMs } = this.#options
    const reason = this.#writer.refusal ?? this.#obstacle()
    const { segment } = this.#writer
    return {
      first: this.#segments[0]?.first ?? segment?.first ?? this.#queue.firstWaiting,
      last: this.#durable,
      segments: this.#segments.length + (segment === undefined ? 0 : 1),
      bytes: this.#bytes(),
      maxBytes,
      maxAgeMs,
      state: reason === undefined ? 'ok' : 'refusing',
      ...(reason === undefined ? {} : { reason }),
      pendingMessages: this.#queue.pendingMessages,
      pendingBytes: this.#queue.pendingBytes,
      messagesAppended: this.#messagesAppended,
      payloadBytes: this.#payloadBytes,
      writtenBytes: this.#writtenBytes,
      commits: this.#writer.commits,
      lost: { ...this.#lost },
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { logger } = this.#options
    clearInterval(this.#timer)
    try {
      await withDeadline(this.#writer.close(), CLOSE_DEADLINE_MS, () => new Error('the disk does not answer'))
      await withDeadline(this.#tending ?? Promise.resolve(), CLOSE_DEADLINE_MS, () => new Error('retention hangs'))
    } catch (error) {
      logger.error({ error: describe(error) }, 'the log cannot be closed properly')
    }
    this.#queue.wakeSenders()
    this.#listeners.clear()
    await this.#lock.close().catch(() => undefined)
  }

  #committed(blocks: readonly PendingBlock[], segment: ActiveSegment): void {
    let messages = 0
    for (const block of blocks) {
      messages += block.messages
      this.#payloadBytes += block.payloadBytes
    }
    this.#messagesAppended += messages
    this.#options.meter.add('messages_durable_total', undefined, messages)
    this.#options.meter.set('log_bytes', this.#bytes())
    if (this.#listeners.size === 0) return
    const entries = entriesOf(blocks, segment.header.bootId)
    for (const listener of this.#listeners) listener(entries)
  }

  #ended(segment: ActiveSegment, sealed: boolean): void {
    const facts = factsOf(segment.header, segment.summary, segment.sizeBytes)
    const last = Math.min(facts.last, this.#durable)
    // One that was given up holds nothing of its own beyond what is durable; without anything, its name is used again.
    if (sealed) this.#segments.push(facts)
    else if (last >= facts.first) this.#segments.push({ ...facts, last, messages: last - facts.first + 1 })
    if (this.#closing === undefined) void this.#tend()
  }

  async #createSegment(first: Seq): Promise<ActiveSegment> {
    if (this.#decide().full) {
      const { maxBytes } = this.#options
      throw new TidegateError('TG_LOG_WRITE', `log.maxBytes (${maxBytes}) is reached, and log.whenFull is refuse`)
    }
    // A segment that never held anything has the same first seq and gives way to this one.
    this.#segments = this.#segments.filter((segment) => segment.first < first)
    return this.#store.create(first)
  }

  #obstacle(): string | undefined {
    const { minFreeBytes } = this.#options
    if (this.#freeBytes >= minFreeBytes) return undefined
    return `${Math.max(0, this.#freeBytes)} bytes are free on the disk; log.minFree is ${minFreeBytes}`
  }

  #wrote(bytes: number): void {
    this.#writtenBytes += bytes
    this.#options.meter.add('log_written_bytes_total', undefined, bytes)
  }

  #bytes(): number {
    let bytes = this.#store.spareBytes + (this.#writer.segment?.sizeBytes ?? 0)
    for (const segment of this.#segments) bytes += segment.bytes
    return bytes
  }

  #appendMark(mark: LossMark): Promise<Seq> {
    if (mark.count > 0) this.#countLoss(mark.reason, mark.count)
    const message: Message = { topic: '', source: '', payload: encodeLossMark(mark), qos: 0, retain: false }
    return new Promise((resolve, reject) => {
      this.#writer.append('loss', message, (error, seq) => (error === undefined ? resolve(seq) : reject(error)))
    })
  }

  #countLoss(reason: LossReason, count: number): void {
    this.#lost[reason] = (this.#lost[reason] ?? 0) + count
    this.#options.meter.add('lost_messages_total', { reason }, count)
  }

  #decide(): RetentionDecision {
    const { clock, maxBytes, maxAgeMs, whenFull } = this.#options
    const limits = { bytes: Math.max(0, maxBytes - SEGMENTS_IN_USE * this.#segmentBytes), maxAgeMs, whenFull }
    const now = {
      bootId: clock.bootId,
      synced: clock.synced(),
      wallMs: clock.wallMs(),
      monotonicMs: clock.monotonicMs(),
    }
    return decideRetention(this.#segments, limits, this.#settled, now)
  }

  /** Free space and retention, one at a time, in the background of ingest. */
  #tend(): Promise<void> {
    this.#tending ??= this.#tendOnce().finally(() => {
      this.#tending = undefined
    })
    return this.#tending
  }

  async #tendOnce(): Promise<void> {
    try {
      await this.#measureFree()
      // What sinks settled before the start would otherwise be marked as lost.
      if (this.#options.clock.monotonicMs() < this.#settledDueMs) return
      const { remove } = this.#decide()
      if (remove.length === 0) return
      const loss = unsettledIn(remove, Math.max(this.#settled, this.#markedUpTo))
      if (loss !== undefined && loss.count > 0) {
        // The mark is durable before the first file goes: nothing is lost without a record.
        await this.#appendMark({ ...loss, reason: 'retention', time: this.#options.clock.wallMs() })
        this.#markedUpTo = loss.last
      }
      for (const { first } of remove) {
        await this.#store.remove(first)
        this.#segments = this.#segments.filter((segment) => segment.first !== first)
      }
      this.#options.meter.set('log_bytes', this.#bytes())
    } catch (error) {
      this.#options.logger.warn({ error: describe(error) }, 'retention failed; it is tried again')
    }
  }

  async #measureFree(): Promise<void> {
    const { fileSystem, directory, minFreeBytes, logger } = this.#options
    if (minFreeBytes <= 0) return
    try {
      this.#freeBytes = await fileSystem.freeBytes(directory)
    } catch (error) {
      // Better to write on without knowing: a disk that is full says so itself.
      this.#freeBytes = Number.POSITIVE_INFINITY
      logger.debug({ error: describe(error) }, 'free space is not known')
    }
  }
}

const entriesOf = (blocks: readonly PendingBlock[], bootId: string): Entry[] => {
  const entries: Entry[] = []
  for (const block of blocks) {
    const { start, count, end } = block
    const header = { ...start, kind: 'messages', length: end, count, definitionsAt: end, definitions: 0 } as const
    const names = new Map(block.channels.map((channel) => [channel.id, channel]))
    const decoder = new EntryDecoder(block.bytes, 0, header, names, bootId)
    while (decoder.seq <= lastSeq(header)) {
      const entry = decoder.next()
      if (entry !== undefined) entries.push(entry)
    }
  }
  return entries
}
