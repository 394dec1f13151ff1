// The log at work: joins the queue, the writer, the segments and retention, and answers for them at the contract's Log.

import type { Entry, Log, LogInfo, LogReader, LossMark, Message, Seq, Settled } from '../core/contract.ts'
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
import { Losses } from './losses.ts'
import type { PendingBlock } from './pending-block.ts'
import { openReader } from './reader.ts'
import type { Recovered } from './recovery.ts'
import { factsOf } from './recovery.ts'
import { SegmentStore } from './segment-store.ts'
import { Upkeep } from './upkeep.ts'
import { Writer } from './writer.ts'

/** Longer than the longest flush that a card has been seen to need. */
const CLOSE_DEADLINE_MS = 10_000

export class DurableLog implements Log {
  #durable: Seq
  readonly #options: LogOptions
  readonly #lock: FileHandle
  readonly #segmentBytes: number
  readonly #queue: CommitQueue
  readonly #writer: Writer
  readonly #store: SegmentStore
  readonly #losses: Losses
  readonly #upkeep: Upkeep
  readonly #recovered: Recovered
  readonly #listeners = new Set<(entries: readonly Entry[]) => void>()
  #closing: Promise<void> | undefined
  #messagesAppended = 0
  #payloadBytes = 0
  #writtenBytes = 0

  constructor(options: LogOptions, recovered: Recovered, logId: string, lock: FileHandle) {
    this.#options = options
    this.#lock = lock
    this.#recovered = recovered
    this.#durable = recovered.last
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
      obstacle: () => this.#upkeep.obstacle(),
      recheck: () => this.#upkeep.measureFree(),
      onDurable: (last) => {
        this.#durable = last
      },
      onCommitted: (blocks, segment) => this.#committed(blocks, segment),
      onEnded: (segment, sealed) => this.#ended(segment, sealed),
    })
    this.#losses = new Losses({
      ...options,
      append: (kind, message, settled) => void this.#writer.append(kind, message, settled),
    })
    this.#upkeep = new Upkeep({
      ...options,
      segments: recovered.segments,
      store: this.#store,
      segmentBytes: this.#segmentBytes,
      recordLoss: (loss) => this.#losses.record(loss),
      onRemoved: () => options.meter.set('log_bytes', this.#bytes()),
    })
  }

  /** Called once by openLog: makes the marks of recovery durable when the disk lets it. */
  async start(): Promise<void> {
    await this.#upkeep.measureFree()
    if (this.#recovered.hasSpare)
      await this.#store.adoptSpare().catch((error: unknown) => {
        this.#options.logger.warn({ error: describe(error) }, 'the spare segment cannot be used')
      })
    await this.#writer.prepare()
    for (const mark of this.#recovered.marks)
      this.#losses.record(mark).catch((error: unknown) => {
        // Closed on a disk that took nothing: skipped seqs are found again at the next open, a hole is a gap to every reader.
        this.#options.logger.warn({ error: describe(error) }, 'a loss mark could not be written')
      })
    await this.#writer.commitNow()
    this.#upkeep.start()
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

  onUndurable(_listener: (entries: readonly Entry[]) => void): () => void {
    return () => undefined
  }

  recordLoss(mark: Omit<LossMark, 'time'>): Promise<Seq> {
    return this.#losses.record(mark)
  }

  reader(): LogReader {
    const { directory, fileSystem } = this.#options
    return openReader({ directory, fileSystem, durable: () => this.#durable })
  }

  settledUpTo(seq: Seq): void {
    if (this.#upkeep.settledUpTo(seq) && this.#writer.refusal !== undefined) this.#writer.retry()
  }

  info(): LogInfo {
    const { maxBytes, maxAgeMs } = this.#options
    const reason = this.#writer.refusal ?? this.#upkeep.obstacle()
    const { segment } = this.#writer
    const { segments } = this.#upkeep
    return {
      first: segments[0]?.first ?? segment?.first ?? this.#queue.firstWaiting,
      last: this.#durable,
      segments: segments.length + (segment === undefined ? 0 : 1),
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
      lost: this.#losses.counts,
      losses: this.#losses.newest,
      quarantined: 0,
      wear: { hours: 0, payloadBytes: 0, physicalBytes: 0 },
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { logger } = this.#options
    try {
      await withDeadline(this.#writer.close(), CLOSE_DEADLINE_MS, () => new Error('the disk does not answer'))
      await withDeadline(this.#upkeep.close(), CLOSE_DEADLINE_MS, () => new Error('retention hangs'))
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
    if (sealed) this.#upkeep.add(facts)
    else if (last >= facts.first) this.#upkeep.add({ ...facts, last, messages: last - facts.first + 1 })
    if (this.#closing === undefined) void this.#upkeep.tend()
  }

  async #createSegment(first: Seq): Promise<ActiveSegment> {
    if (!this.#upkeep.admit(first)) {
      const { maxBytes } = this.#options
      throw new TidegateError('TG_LOG_WRITE', `log.maxBytes (${maxBytes}) is reached, and log.whenFull is refuse`)
    }
    return this.#store.create(first)
  }

  #wrote(bytes: number): void {
    this.#writtenBytes += bytes
    this.#options.meter.add('log_written_bytes_total', undefined, bytes)
  }

  #bytes(): number {
    return this.#upkeep.bytes + this.#store.spareBytes + (this.#writer.segment?.sizeBytes ?? 0)
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
