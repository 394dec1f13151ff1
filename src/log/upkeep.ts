// The segments that take no more, and what happens to them in the background of ingest: free space is watched; what is over
// the bounds is thinned by the `keep` policies, then removed, after a durable loss mark where a sink still wanted it; small
// neighbours become one. One thing at a time, never in the way of a commit.

import { join } from 'node:path'
import type { Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import type { Range } from '../core/log-contract.ts'
import { Keep } from './keep.ts'
import { MAX_COMMIT_BYTES, MAX_SEGMENTS } from './limits.ts'
import type { LogOptions } from './log-options.ts'
import { blockBytesFor } from './log-options.ts'
import { countLoss, topicsLoss } from './loss-count.ts'
import { segmentsToMerge } from './merging.ts'
import type { Loss } from './owed-file.ts'
import { OwedFile } from './owed-file.ts'
import { OwedLosses } from './owed-losses.ts'
import { factsOf } from './recovery.ts'
import type { RetentionDecision, SegmentFacts } from './retention.ts'
import { decideRetention } from './retention.ts'
import type { SegmentStore } from './segment-store.ts'
import type { Survey, ThinningSources } from './thinning.ts'
import { surveyThinning, UnfitError, writeGroup } from './thinning.ts'

/** Free space and age are looked at this often. */
const TEND_MS = 5_000
/** The segment that is written to is filled ahead by a quarter, and a commit may go beyond its end. */
const FILLED_AHEAD = 1.25
/** With policies, thinning begins when there still is this share of the room, or so many segments: it takes its time. */
const THIN_AHEAD_SHARE = 1 / 8
const THIN_AHEAD_SEGMENTS = 2.5
/** Below so many segments of free space, settled ones go even where log.minFree is less. */
const LEAST_FREE_SEGMENTS = 2
/** What was freed may take its time to show: so long nothing more goes for want of free space. */
const FREEING_REST_MS = 10_000
/** A new file that saves less than this share is not worth writing. */
const WORTH_SHARE = 1 / 8

export interface UpkeepOptions extends LogOptions {
  readonly segments: SegmentFacts[]
  readonly store: SegmentStore
  readonly segmentBytes: number
  /** What the segment that is written to takes on the disk. */
  readonly activeBytes: () => number
  readonly recordLoss: (loss: Loss) => Promise<Seq>
  /** Seqs that are destroyed, which is told of apart. */
  readonly destroyed: () => Promise<readonly Range[]>
  /** The log takes nothing now. */
  readonly refusing: () => boolean
  readonly onWritten: (bytes: number) => void
  /** Called when room was made. */
  readonly onRemoved: () => void
}

export class Upkeep {
  readonly #options: UpkeepOptions
  readonly #directory: string
  readonly #keep: Keep
  readonly #owed: OwedLosses
  readonly #abort = new AbortController()
  /** Oldest first. */
  #segments: SegmentFacts[]
  /** First seqs of segments that cannot be written anew, or need not be. */
  readonly #unfit = new Set<Seq>()
  #settled: Seq = 0
  /** Retention waits to hear what is settled, up to this moment on the monotonic clock. */
  #heard = false
  readonly #settledDueMs: number
  /** It is on the disk that everything up to here is lost, whether its segment could be removed yet or not. */
  #toldUpTo: Seq = 0
  /** First seqs of segments whose thinning has been told of, whether it could be done yet or not. */
  readonly #thinningTold = new Set<Seq>()
  #freeBytes = Number.POSITIVE_INFINITY
  /** When segments went for want of free space, monotonic. */
  #freedMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #tending: Promise<void> | undefined
  #again = false

  constructor(options: UpkeepOptions) {
    this.#options = options
    const { directory, fileSystem, clock, keep = [], ofDevice = (topic, _, matches) => matches(topic) } = options
    this.#directory = join(directory, 'log')
    this.#keep = new Keep(keep, ofDevice)
    this.#owed = new OwedLosses({ ...options, file: new OwedFile(fileSystem, this.#directory, options.onWritten) })
    this.#segments = options.segments
    this.#settledDueMs = clock.monotonicMs() + (options.settledWithinMs ?? 0)
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

  async start(): Promise<void> {
    this.told(await this.#owed.open())
    this.#timer = setInterval(() => void this.tend(), TEND_MS)
  }

  /** Resolves when what is being done is done or given up; nothing more is begun. */
  async close(): Promise<void> {
    this.#abort.abort(new Error('the log closes'))
    clearInterval(this.#timer)
    await this.#tending
    await this.#owed.close()
  }

  /** Takes over a segment that takes no more. */
  add(segment: SegmentFacts): void {
    this.#segments.push(segment)
  }

  /** Losses that an earlier run has told of, maybe without coming to remove what they name: they are not told again. */
  told(losses: readonly Loss[]): void {
    for (const { reason, first, last } of losses) {
      if (reason === 'retention') this.#toldUpTo = Math.max(this.#toldUpTo, last)
      const thinned = reason === 'thinned' && this.#segments.findLast((segment) => segment.first <= first)
      if (thinned && last <= thinned.last && (thinned.thinnedBy ?? 0) === 0) this.#thinningTold.add(thinned.first)
    }
  }

  /** True when it is news. */
  settledUpTo(seq: Seq): boolean {
    const first = !this.#heard
    this.#heard = true
    const news = seq !== this.#settled
    this.#settled = seq
    // At first, what waited for this; later only where it may make room that the log lacks.
    if (first || (news && this.#options.refusing())) void this.tend()
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
    const { fileSystem, directory, logger } = this.#options
    try {
      this.#freeBytes = await fileSystem.freeBytes(directory)
    } catch (error) {
      // Better to write on without knowing: a disk that is full says so itself.
      this.#freeBytes = Number.POSITIVE_INFINITY
      logger.debug({ error: describe(error) }, 'free space is not known')
    }
  }

  /** Free space, retention, thinning and merging, one at a time; once more when it is called meanwhile. */
  tend(): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.resolve()
    this.#again = true
    this.#tending ??= this.#tendAll().finally(() => {
      this.#tending = undefined
    })
    return this.#tending
  }

  async #tendAll(): Promise<void> {
    const { logger } = this.#options
    while (this.#again && !this.#abort.signal.aborted) {
      this.#again = false
      await this.measureFree()
      try {
        // A bound is kept step by step: after each, it is looked again what is called for.
        while (await this.#step()) this.#abort.signal.throwIfAborted()
      } catch (error) {
        if (this.#abort.signal.aborted) return
        logger.warn({ error: describe(error) }, 'retention failed; it is tried again')
      }
    }
  }

  /** One thing that is to be done; false when there is nothing. */
  async #step(): Promise<boolean> {
    const { clock, store, refusing, onRemoved } = this.#options
    // What sinks settled before the start would otherwise be marked as lost.
    if (!this.#heard && clock.monotonicMs() < this.#settledDueMs) return false
    if (this.#lackingBytes() > 0 && store.spareBytes > 0) {
      this.#freeBytes += store.spareBytes
      await store.dropSpare()
      onRemoved()
      return true
    }
    const { remove, thin } = this.#decide()
    if (remove.length > 0) {
      await this.#remove(remove)
      return true
    }
    // While the log takes no mark, what a sink still wants is not thinned, and a segment is thinned only once.
    if (thin !== undefined && !(refusing() && thin.last > this.#settled)) {
      await this.#thin([thin])
      return true
    }
    const group = this.#toMerge()
    if (group === undefined) return false
    await this.#thin(group)
    return true
  }

  #toMerge(): readonly SegmentFacts[] | undefined {
    return segmentsToMerge(this.#segments, this.#options.segmentBytes, ({ first }) => !this.#unfit.has(first))
  }

  async #remove(segments: readonly SegmentFacts[]): Promise<void> {
    const { clock, onRemoved } = this.#options
    const asSpare = this.#lackingBytes() <= 0
    if (!asSpare) this.#freedMs = clock.monotonicMs()
    const told = Math.max(this.#settled, this.#toldUpTo)
    // What every sink has had goes first: should the mark have to wait, there is room already.
    for (const segment of segments.filter(({ last }) => last <= told)) await this.#drop(segment, asSpare)
    const rest = segments.filter(({ last }) => last > told)
    const destroyed = await this.#options.destroyed()
    const loss = await countLoss({ ...this.#sources(rest), destroyed }, rest, Math.max(told, this.#owed.markedUpTo))
    // On the disk before the first file goes: nothing is lost without a record.
    if (rest.length > 0) await this.#owed.record(loss && { ...loss, reason: 'retention' })
    this.#toldUpTo = Math.max(this.#toldUpTo, rest.at(-1)?.last ?? 0)
    for (const segment of rest) await this.#drop(segment, asSpare)
    onRemoved()
  }

  async #drop({ first, bytes }: SegmentFacts, asSpare: boolean): Promise<void> {
    await this.#options.store.remove(first, { asSpare })
    if (!asSpare) this.#freeBytes += bytes
    this.#segments = this.#segments.filter((segment) => segment.first !== first)
    this.#unfit.delete(first)
    this.#thinningTold.delete(first)
  }

  /** Writes a group of segments anew, thinned where policies are; neighbours become one. */
  async #thin(group: readonly SegmentFacts[]): Promise<void> {
    const { refusing, whenFull, logger } = this.#options
    const [oldest] = group
    if (oldest === undefined) return
    try {
      const sources = this.#sources(group)
      const unsettledToo = whenFull === 'dropOldest' && !refusing()
      // What is only merged is not thinned, unless it was: a step of time that a file's end had cut is whole now.
      const thins = this.#keep.key !== 0 && (group.length === 1 || oldest.thinnedBy === this.#keep.key)
      const survey = thins
        ? await surveyThinning(sources, { keep: this.#keep, settled: this.#settled, unsettledToo })
        : undefined
      // Most of a segment is its entries: what saves few of them saves few bytes.
      if (group.length === 1 && (survey?.thinning.count ?? 0) <= (survey?.entries ?? 0) * WORTH_SHARE) {
        this.#put({ ...oldest, thinnedBy: this.#keep.key }, group)
        return
      }
      await this.#write(group, sources, survey)
    } catch (error) {
      if (!(error instanceof UnfitError)) throw error
      logger.debug({ segment: oldest.first, error: error.message }, 'a segment is left as it is')
      for (const segment of group) {
        this.#unfit.add(segment.first)
        this.#put({ ...segment, thinnedBy: this.#keep.key }, [segment])
      }
    }
  }

  async #write(group: readonly SegmentFacts[], sources: ThinningSources, survey: Survey | undefined): Promise<void> {
    const { store, segmentBytes, onWritten, onRemoved, logger } = this.#options
    const [oldest, ...others] = group
    if (oldest === undefined) return
    // Durable before the old file goes, as for everything that is lost. Told once, also when it takes several attempts.
    if (survey?.loss !== undefined && !this.#thinningTold.has(oldest.first)) {
      const { topics, ...loss } = survey.loss
      this.#thinningTold.add(oldest.first)
      await this.#owed.markOnly({ ...loss, reason: 'thinned', ...topicsLoss(topics) })
    }
    const thinnedBy = survey === undefined ? (oldest.thinnedBy ?? 0) : this.#keep.key
    const blockBytes = blockBytesFor(segmentBytes)
    const { header, summary, bytes } = await store.replace(oldest.first, (handle) =>
      writeGroup(sources, { handle, blockBytes, onWritten, thinning: survey?.thinning, thinnedBy }),
    )
    // The others count until they are gone; only then does the new file count in full.
    for (const { first } of others) await store.remove(first, { asSpare: false })
    this.#put(factsOf(header, summary, bytes), group)
    logger.debug({ segment: oldest.first, segments: group.length, sizeBytes: bytes }, 'segments were written anew')
    this.#thinningTold.delete(oldest.first)
    onRemoved()
  }

  /** In the place of the group. */
  #put(segment: SegmentFacts, group: readonly SegmentFacts[]): void {
    const firsts = new Set(group.map(({ first }) => first))
    this.#segments = this.#segments.flatMap((one) =>
      one.first === segment.first ? [segment] : firsts.has(one.first) ? [] : [one],
    )
  }

  #sources(group: readonly SegmentFacts[]): ThinningSources {
    const { fileSystem } = this.#options
    const last = group.at(-1)?.first ?? 0
    const behind = this.#segments.find(({ first }) => first > last)
    const until = behind?.first ?? Number.POSITIVE_INFINITY
    return {
      fileSystem,
      directory: this.#directory,
      group: group.map(({ first }) => first),
      until,
      signal: this.#abort.signal,
    }
  }

  /** How much more should be free. Once it is too little, by a segment more, so that not every message needs a decision. */
  #lackingBytes(): number {
    const { clock, minFreeBytes, segmentBytes } = this.#options
    if (clock.monotonicMs() - this.#freedMs < FREEING_REST_MS) return 0
    const wanted = Math.max(minFreeBytes, LEAST_FREE_SEGMENTS * segmentBytes)
    return this.#freeBytes >= wanted ? 0 : wanted + segmentBytes - this.#freeBytes
  }

  #decide(): RetentionDecision {
    const { clock, maxBytes, maxAgeMs, whenFull, segmentBytes, activeBytes, store } = this.#options
    const active = Math.max(activeBytes(), FILLED_AHEAD * segmentBytes) + Math.min(MAX_COMMIT_BYTES, segmentBytes)
    // Thinned entries stand in two files for a moment.
    const rewriting = this.#keep.key === 0 ? 0 : segmentBytes
    const bytes = Math.max(0, maxBytes - active - store.spareBytes - rewriting)
    const aboveBytes = bytes - Math.max(bytes * THIN_AHEAD_SHARE, segmentBytes * THIN_AHEAD_SEGMENTS)
    const thin = this.#keep.key === 0 ? {} : { thin: { key: this.#keep.key, aboveBytes } }
    // For their number segments go only where merging does not help, or does not come to it.
    const mergeable = this.#segments.length > MAX_SEGMENTS && this.#toMerge() !== undefined
    const limits = { bytes, maxAgeMs, whenFull, lackingBytes: this.#lackingBytes(), mergeable, ...thin }
    const now = { bootId: clock.bootId, monotonicMs: clock.monotonicMs() }
    const decision = decideRetention(this.#segments, limits, this.#settled, now)
    if (activeBytes() > 0) return decision
    // Without one that is written to, the newest one alone says which seqs were given.
    const newest = this.#segments.at(-1)
    return { ...decision, remove: decision.remove.filter((segment) => segment !== newest) }
  }
}
