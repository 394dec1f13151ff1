// The segments that take no more, and what happens to them in the background of ingest: free space is watched, and what is
// over the bounds is removed, after a durable loss mark where a sink still wanted it. Never in the way of a commit.

import type { LossMark, Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import type { LogOptions } from './log-options.ts'
import type { RetentionDecision, SegmentFacts } from './retention.ts'
import { decideRetention, unsettledIn } from './retention.ts'
import type { SegmentStore } from './segment-store.ts'

/** Free space and age are looked at this often. */
const TEND_MS = 5_000
/** The segment that is written to, and the spare one. */
const SEGMENTS_IN_USE = 2

export interface UpkeepOptions extends LogOptions {
  readonly segments: SegmentFacts[]
  readonly store: SegmentStore
  readonly segmentBytes: number
  readonly recordLoss: (loss: Omit<LossMark, 'time'>) => Promise<Seq>
  /** Called when segments went. */
  readonly onRemoved: () => void
}

export class Upkeep {
  readonly #options: UpkeepOptions
  /** Oldest first. */
  #segments: SegmentFacts[]
  #settled: Seq = 0
  /** Before this moment, on the monotonic clock, retention waits to hear what is settled. */
  #settledDueMs: number
  /** A loss mark says that everything up to here is lost, whether its segment could be removed yet or not. */
  #markedUpTo: Seq = 0
  #freeBytes = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #tending: Promise<void> | undefined
  #closed = false

  constructor(options: UpkeepOptions) {
    this.#options = options
    this.#segments = options.segments
    this.#settledDueMs = options.clock.monotonicMs() + (options.settledWithinMs ?? 0)
  }

  /** Oldest first. */
  get segments(): readonly SegmentFacts[] {
    return this.#segments
  }

  get bytes(): number {
    let bytes = 0
    for (const segment of this.#segments) bytes += segment.bytes
    return bytes
  }

  start(): void {
    this.#timer = setInterval(() => void this.tend(), TEND_MS)
  }

  /** Resolves when what is being done is done; nothing more is begun. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#tending
  }

  /** Takes over a segment that takes no more. */
  add(segment: SegmentFacts): void {
    this.#segments.push(segment)
  }

  /** True when it is news. */
  settledUpTo(seq: Seq): boolean {
    this.#settledDueMs = 0
    const news = seq !== this.#settled
    this.#settled = seq
    return news
  }

  /** Room for a segment that begins with this seq? A segment that never held anything has the same first seq and gives way. */
  admit(first: Seq): boolean {
    if (this.#decide().full) return false
    this.#segments = this.#segments.filter((segment) => segment.first < first)
    return true
  }

  /** Why nothing may be written now. */
  obstacle(): string | undefined {
    const { minFreeBytes } = this.#options
    if (this.#freeBytes >= minFreeBytes) return undefined
    return `${Math.max(0, this.#freeBytes)} bytes are free on the disk; log.minFree is ${minFreeBytes}`
  }

  async measureFree(): Promise<void> {
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

  /** Free space and retention, one at a time. */
  tend(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#tending ??= this.#tendOnce().finally(() => {
      this.#tending = undefined
    })
    return this.#tending
  }

  async #tendOnce(): Promise<void> {
    const { clock, store, recordLoss, onRemoved, logger } = this.#options
    try {
      await this.measureFree()
      // What sinks settled before the start would otherwise be marked as lost.
      if (clock.monotonicMs() < this.#settledDueMs) return
      const { remove } = this.#decide()
      if (remove.length === 0) return
      const loss = unsettledIn(remove, Math.max(this.#settled, this.#markedUpTo))
      if (loss !== undefined && loss.count > 0) {
        // The mark is durable before the first file goes: nothing is lost without a record.
        await recordLoss({ ...loss, reason: 'retention' })
        this.#markedUpTo = loss.last
      }
      for (const { first } of remove) {
        await store.remove(first)
        this.#segments = this.#segments.filter((segment) => segment.first !== first)
      }
      onRemoved()
    } catch (error) {
      logger.warn({ error: describe(error) }, 'retention failed; it is tried again')
    }
  }

  #decide(): RetentionDecision {
    const { clock, maxBytes, maxAgeMs, whenFull, segmentBytes } = this.#options
    const limits = { bytes: Math.max(0, maxBytes - SEGMENTS_IN_USE * segmentBytes), maxAgeMs, whenFull }
    const now = {
      bootId: clock.bootId,
      synced: clock.synced(),
      wallMs: clock.wallMs(),
      monotonicMs: clock.monotonicMs(),
    }
    return decideRetention(this.#segments, limits, this.#settled, now)
  }
}
