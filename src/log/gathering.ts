// What one read() of a reader gathers: entries up to a limit, and the holes between them with their reasons.

import type { Entry, Gap, LossReason, Seq } from '../core/contract.ts'
import type { ReadLimit, ReadResult } from '../core/log-contract.ts'
import { parseLossMark } from './loss-mark.ts'

/** One read() with a filter reads at most about so much: a second of an old card. */
const MAX_WORK_BYTES = 16 * 1024 * 1024

export class Gathering {
  /** Everything up to here is in the result, as an entry or as a gap. */
  next: Seq
  readonly durable: Seq
  readonly #limit: ReadLimit
  readonly #entries: Entry[] = []
  readonly #gaps: Gap[] = []
  #bytes = 0
  readonly #after: Seq
  #workBytes = 0
  /** A hole up to `next` whose reason the next entry may know. */
  #holeFirst: Seq | undefined

  constructor(after: Seq, limit: ReadLimit, durable: Seq) {
    this.next = after
    this.#after = after
    this.#limit = limit
    this.durable = durable
  }

  /** More may come from another process at any time: what is missing now is not lost. */
  get openEnded(): boolean {
    return this.durable === Number.POSITIVE_INFINITY
  }

  get full(): boolean {
    return (
      this.next >= this.durable ||
      this.#entries.length >= this.#limit.entries ||
      this.#bytes >= this.#limit.bytes ||
      // One that looks for something has to say how far it got, and something else has its turn.
      (this.#workBytes >= MAX_WORK_BYTES && this.next > this.#after)
    )
  }

  /** There is a hole right before what comes next, and no reason for it yet. */
  get inHole(): boolean {
    return this.#holeFirst !== undefined
  }

  /** So much was read from the disk in search of something. */
  work(bytes: number): void {
    this.#workBytes += bytes
  }

  /** The next entry, which is there and not asked for; it may say why seqs before it are missing. */
  leave(entry: Entry | undefined, seq: Seq): void {
    this.#explain(entry)
    this.next = seq
  }

  /** Everything up to `last` is there, not asked for and not looked at. */
  pass(last: Seq): void {
    this.next = Math.max(this.next, Math.min(last, this.durable))
  }

  /** False, and the entry is not taken, when it would go over the limit. */
  take(entry: Entry): boolean {
    this.#explain(entry)
    const bytes = this.#bytes + entry.payload.length
    if (bytes > this.#limit.bytes && this.#entries.length > 0) {
      this.#bytes = this.#limit.bytes
      return false
    }
    this.#bytes = bytes
    this.#entries.push(entry)
    this.next = entry.seq
    return true
  }

  /** Nothing up to and including `upTo` can be read. Without a reason, the next entry may name it. */
  miss(upTo: Seq, reason?: LossReason): void {
    // What is not durable yet is nobody's loss, whatever the names of the files say.
    const last = Math.min(upTo, this.durable)
    if (last <= this.next) return
    if (reason === undefined) this.#holeFirst ??= this.next + 1
    else {
      if (this.#holeFirst !== undefined) this.#closeHole('corrupt')
      this.#addGap({ first: this.next + 1, last, reason })
    }
    this.next = last
  }

  /** What is missing up to and including `last` was thinned; entries between two such stretches do not part the gap. */
  thin(last: Seq): void {
    if (last <= this.next) return
    if (this.#holeFirst !== undefined) this.#closeHole('corrupt')
    const before = this.#gaps.at(-1)
    if (before?.partial) this.#gaps[this.#gaps.length - 1] = { ...before, last }
    else this.#gaps.push({ first: this.next + 1, last, reason: 'thinned', partial: true })
    this.next = last
  }

  result(): ReadResult {
    if (this.#holeFirst !== undefined) {
      // The entry that explains the hole is not there yet: look again next time.
      if (this.openEnded) this.next = this.#holeFirst - 1
      else this.#closeHole('corrupt')
    }
    return { entries: this.#entries, gaps: this.#gaps, next: this.next }
  }

  /** The log writes the reason for skipped seqs into the entry behind them; what is missing before those was destroyed. */
  #explain(entry: Entry | undefined): void {
    const first = this.#holeFirst
    if (first === undefined) return
    const mark = entry?.kind === 'loss' ? parseLossMark(entry.payload) : undefined
    if (mark === undefined || mark.first > this.next || mark.last < this.next) {
      this.#closeHole('corrupt')
      return
    }
    if (mark.first > first) this.#addGap({ first, last: mark.first - 1, reason: 'corrupt' })
    this.#holeFirst = Math.max(first, mark.first)
    this.#closeHole(mark.reason)
  }

  #closeHole(reason: LossReason): void {
    if (this.#holeFirst !== undefined) this.#addGap({ first: this.#holeFirst, last: this.next, reason })
    this.#holeFirst = undefined
  }

  #addGap(gap: Gap): void {
    const before = this.#gaps.at(-1)
    if (before?.last === gap.first - 1 && before.reason === gap.reason && !before.partial)
      this.#gaps[this.#gaps.length - 1] = { ...before, last: gap.last }
    else this.#gaps.push(gap)
  }
}
