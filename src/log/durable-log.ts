// The log at work: joins the queue, the writer, the segments and retention, and answers for them at the contract's Log.

import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import type { ClockMark, Entry, LossMark, Message, Seq, Settled } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import type { Log, LogInfo, LogReader } from '../core/log-contract.ts'
import { withDeadline } from '../core/time.ts'
import type { ActiveSegment } from './active-segment.ts'
import { Catalog } from './catalog.ts'
import { ClockMarks } from './clock-marks.ts'
import { CommitQueue } from './commit-queue.ts'
import { DamageWatch } from './damage-watch.ts'
import type { FileHandle } from './file-system.ts'
import { GivenFile } from './given-file.ts'
import { MAX_COMMIT_BYTES, MAX_LEAP, MIN_LEAP } from './limits.ts'
import type { LogOptions } from './log-options.ts'
import { blockBytesFor, segmentBytesFor } from './log-options.ts'
import { Losses } from './losses.ts'
import type { PendingBlock } from './pending-block.ts'
import { entriesOf } from './pending-entries.ts'
import { openReader } from './reader.ts'
import type { Recovered } from './recovery.ts'
import { factsOf } from './recovery.ts'
import type { SegmentFacts } from './retention.ts'
import { SEGMENT_HEADER_BYTES } from './segment-header.ts'
import { SegmentStore } from './segment-store.ts'
import { emptySummary } from './summary.ts'
import { Undurable } from './undurable.ts'
import { Unkept } from './unkept.ts'
import { Upkeep } from './upkeep.ts'
import type { WearRecord } from './wear.ts'
import { Writer } from './writer.ts'

/** Longer than the longest flush that a card has been seen to need. */
const CLOSE_DEADLINE_MS = 10_000

const LEAP_DETAIL = 'nothing could be written at the start'

export class DurableLog implements Log {
  #durable: Seq
  readonly #options: LogOptions
  readonly #lock: FileHandle
  readonly #wear: WearRecord
  readonly #segmentBytes: number
  readonly #queue: CommitQueue
  readonly #undurable: Undurable
  readonly #unkept: Unkept
  readonly #writer: Writer
  readonly #store: SegmentStore
  readonly #losses: Losses
  readonly #damage: DamageWatch
  readonly #clocks: ClockMarks
  /** Shared by all readers of this thread. */
  readonly #catalog = new Catalog(() => this.#writer.segment)
  readonly #upkeep: Upkeep
  readonly #recovered: Recovered
  readonly #listeners = new Set<(entries: readonly Entry[]) => void>()
  /** A segment that never held anything, whose name the next one may take. */
  #empty: SegmentFacts | undefined
  #closing: Promise<void> | undefined
  #messagesAppended = 0
  #payloadBytes = 0
  #writtenBytes = 0

  constructor(options: LogOptions, recovered: Recovered, logId: string, lock: FileHandle, wear: WearRecord) {
    this.#wear = wear
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
    const { bootId } = options.clock
    this.#undurable = new Undurable({
      queue: this.#queue,
      bootId,
      correctionMs: () => this.#clocks.correction(bootId),
      durable: () => this.#durable,
    })
    this.#unkept = new Unkept({
      ...options,
      queue: this.#queue,
      file: new GivenFile(options.fileSystem, join(options.directory, 'log'), (bytes) => this.#wrote(bytes)),
      undurable: this.#undurable,
      lost: (count) => this.#losses.count('refused', count),
      record: (loss) => this.#losses.record(loss, true),
    })
    this.#writer = new Writer({
      ...options,
      queue: this.#queue,
      unkept: this.#unkept,
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
      correction: (id) => this.#clocks.correction(id),
      onEarlier: (marks) => this.#upkeep.told(marks),
    })
    this.#damage = new DamageWatch({
      ...options,
      quarantine: recovered.quarantine,
      durable: () => this.#durable,
      recordLoss: (loss) => this.#losses.record(loss),
    })
    this.#clocks = new ClockMarks({
      ...options,
      append: (kind, message, settled) => void this.#writer.append(kind, message, settled),
      segments: () => this.#upkeep.segments,
      onWritten: (bytes) => this.#wrote(bytes),
    })
    this.#upkeep = new Upkeep({
      ...options,
      segments: recovered.segments,
      store: this.#store,
      segmentBytes: this.#segmentBytes,
      activeBytes: () => this.#writer.segment?.sizeBytes ?? 0,
      recordLoss: (loss) => this.#losses.record(loss),
      destroyed: () => recovered.quarantine.known(),
      refusing: () => this.refusal !== undefined,
      onWritten: (bytes) => this.#wrote(bytes),
      onRemoved: () => this.#removed(),
    })
  }

  /** Called once by openLog: makes the marks of recovery durable when the disk lets it. */
  async start(): Promise<void> {
    await this.#upkeep.measureFree()
    if (this.#recovered.hasSpare)
      await this.#store.adoptSpare().catch((error: unknown) => {
        this.#options.logger.warn({ error: describe(error) }, 'the spare segment cannot be used')
      })
    await this.#unkept.open(this.#recovered.last)
    await this.#writer.prepare()
    for (const mark of await this.#firstMarks())
      this.#losses.record(mark).then(
        () => mark.reason === 'refused' && this.#unkept.redeemed(mark),
        (error: unknown) => {
          // Closed on a disk that took nothing: skipped seqs are found again at the next open, a hole is a gap to every reader.
          this.#options.logger.warn({ error: describe(error) }, 'a loss mark could not be written')
        },
      )
    for (const note of this.#recovered.owed) void this.#damage.tell(note)
    await this.#clocks.start()
    await this.#writer.commitNow()
    await this.#upkeep.start()
    const { fileSystem, directory } = this.#options
    const { segments, last } = this.#recovered
    this.#losses.search({ fileSystem, directory: join(directory, 'log'), segments: [...segments], last })
  }

  /**
   * The marks of recovery. What is given from now on must never be given again: a segment says so, or else a reservation. A
   * start that can leave neither on the disk begins so far away that no other such start has been there.
   */
  async #firstMarks(): Promise<readonly Omit<LossMark, 'time'>[]> {
    const { last, marks } = this.#recovered
    if (this.#writer.segment !== undefined || (await this.#unkept.reserve())) return marks
    this.#queue.leap(randomInt(MIN_LEAP, MAX_LEAP))
    const others = marks.filter(({ first, count }) => first !== last + 1 || count > 0)
    return [
      { first: last + 1, last: this.#queue.nextSeq - 1, count: 0, reason: 'unclean-stop', detail: LEAP_DETAIL },
      ...others,
    ]
  }

  get durable(): Seq {
    return this.#durable
  }

  /** What is taken is settled in the order of the calls. A refusal (closed, too large, far too much waiting) may overtake it. */
  append(message: Message, settled?: Settled): boolean {
    this.#writer.append('message', message, settled)
    return this.#hasRoom(message.qos)
  }

  deliver(message: Message): Promise<Seq> {
    return new Promise((resolve, reject) => {
      this.append(message, (error, seq) => (error === undefined ? resolve(seq) : reject(error)))
    })
  }

  async ready(qos: 0 | 1 | 2 = 1): Promise<void> {
    if (this.#hasRoom(qos)) return
    if (qos > 0) await this.#queue.ready()
    else await Promise.race([this.#queue.ready(), this.#unkept.whenReady()])
  }

  get refusal(): string | undefined {
    return this.#writer.refusal ?? this.#upkeep.obstacle()
  }

  onDurable(listener: (entries: readonly Entry[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  onUndurable(listener: (entries: readonly Entry[]) => void): () => void {
    return this.#undurable.listen(listener)
  }

  /** QoS 0 has room whenever it may be lost. */
  #hasRoom(qos: 0 | 1 | 2): boolean {
    return !this.#queue.aboveHighWater || (qos === 0 && this.#unkept.ready)
  }

  recordLoss(mark: Omit<LossMark, 'time'>): Promise<Seq> {
    return this.#losses.record(mark)
  }

  damageFound(first: Seq, last: Seq): void {
    this.#damage.found(first, last)
  }

  recordClock(mark: ClockMark): Promise<Seq> {
    return this.#clocks.record(mark)
  }

  onCorrection(listener: (bootId: string, correctionMs: number) => void): () => void {
    return this.#clocks.onCorrection(listener)
  }

  reader(): LogReader {
    const { directory, fileSystem } = this.#options
    const reader = openReader({
      directory,
      fileSystem,
      durable: () => this.#durable,
      clocks: this.#clocks,
      catalog: this.#catalog,
    })
    return this.#damage.watched(reader)
  }

  settledUpTo(seq: Seq): void {
    if (this.#upkeep.settledUpTo(seq) && this.#writer.refusal !== undefined) this.#writer.retry()
  }

  info(): LogInfo {
    const { maxBytes, maxAgeMs } = this.#options
    const reason = this.refusal
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
      unkeptMessages: this.#unkept.total,
      commitMs: this.#writer.commitMs,
      messagesAppended: this.#messagesAppended,
      payloadBytes: this.#payloadBytes,
      writtenBytes: this.#writtenBytes,
      commits: this.#writer.commits,
      lost: this.#losses.counts,
      losses: this.#losses.newest,
      quarantined: this.#recovered.quarantine.count,
      wear: this.#wear.wear,
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
      await withDeadline(
        this.#unkept.close(this.#writer.closedCleanly),
        CLOSE_DEADLINE_MS,
        () => new Error('the disk does not answer'),
      )
      await withDeadline(this.#clocks.close(), CLOSE_DEADLINE_MS, () => new Error('the index of clock marks hangs'))
      await withDeadline(this.#upkeep.close(), CLOSE_DEADLINE_MS, () => new Error('retention hangs'))
      await withDeadline(this.#damage.close(), CLOSE_DEADLINE_MS, () => new Error('the quarantine hangs'))
      await withDeadline(this.#losses.close(), CLOSE_DEADLINE_MS, () => new Error('the search for losses hangs'))
    } catch (error) {
      logger.error({ error: describe(error) }, 'the log cannot be closed properly')
      // Nobody waits for these, but nothing more is begun, and no timer holds the process.
      void Promise.allSettled([this.#unkept.close(false), this.#upkeep.close(), this.#losses.close()])
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
      this.#wear.addPayload(block.payloadBytes)
    }
    this.#messagesAppended += messages
    this.#options.meter.add('messages_durable_total', undefined, messages)
    this.#options.meter.set('log_bytes', this.#bytes())
    if (this.#listeners.size === 0) return
    const { bootId } = segment.header
    const entries = entriesOf(blocks, { bootId, correctionMs: this.#clocks.correction(bootId) })
    for (const listener of this.#listeners) listener(entries)
  }

  #ended(segment: ActiveSegment, sealed: boolean): void {
    const facts = factsOf(segment.header, segment.summary, segment.sizeBytes)
    const last = Math.min(facts.last, this.#durable)
    // One that was given up holds nothing of its own beyond what is durable; without anything, its name may be used again.
    if (sealed) this.#upkeep.add(facts)
    else if (last >= facts.first) this.#upkeep.add({ ...facts, last, messages: last - facts.first + 1 })
    else this.#empty = { ...facts, last: facts.first - 1, messages: 0 }
    if (this.#closing === undefined) void this.#upkeep.tend()
  }

  #removed(): void {
    this.#options.meter.set('log_bytes', this.#bytes())
    if (this.#writer.refusal !== undefined) this.#writer.retry()
  }

  async #createSegment(first: Seq): Promise<ActiveSegment> {
    const replaced = this.#upkeep.segments.find((segment) => segment.first === first)
    if (!this.#upkeep.admit(first)) {
      const { maxBytes } = this.#options
      throw new TidegateError('TG_LOG_WRITE', `log.maxBytes (${maxBytes}) is reached, and log.whenFull is refuse`)
    }
    this.#empty ??= replaced
    // Its name stays: retention must know it, or what it takes behind it would seem to have been here.
    if (this.#empty !== undefined && this.#empty.first < first) {
      this.#upkeep.add(this.#empty)
      this.#empty = undefined
    }
    try {
      const segment = await this.#store.create(first)
      this.#empty = undefined
      return segment
    } catch (error) {
      const { leftBehind } = this.#store
      if (leftBehind === 'nothing') this.#empty = undefined
      else if (leftBehind !== undefined)
        this.#empty = factsOf(leftBehind, emptySummary(leftBehind.first), SEGMENT_HEADER_BYTES)
      throw error
    }
  }

  #wrote(bytes: number): void {
    this.#writtenBytes += bytes
    this.#options.meter.add('log_written_bytes_total', undefined, bytes)
  }

  #bytes(): number {
    return this.#upkeep.bytes + this.#store.spareBytes + (this.#writer.segment?.sizeBytes ?? 0)
  }
}
