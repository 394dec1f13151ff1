// What loss marks explain, for one gateway: whole ranges by reason; ranges of which only some are lost, by their count; and
// the log's own marks, counted once each however often they come. Order does not matter: a mark may come before or after the
// hole that it is about, twice, or overlap others, and what arrived is never counted as explained. Memory is bounded.

import type { Seq } from '../core/contract.ts'
import type { DeliveredMark } from './delivered.ts'
import { RangeSet } from './range-set.ts'

/** Ranges remembered for each reason; beyond them the oldest holes count as explained. */
const MAX_RANGES = 50_000
/** Reasons come from outside. */
const MAX_REASONS = 16
const OTHER = 'other'
/** Marks with survivors that are remembered; beyond, the oldest explains its whole range. */
const MAX_PARTIAL = 10_000
/** Marks of the log that are known; beyond, one that comes again is counted again. */
const MAX_KNOWN_MARKS = 100_000
const MAX_DEVICES = 1_000
/** Between what these marks name as lost, other messages live on. */
const PARTIAL_REASONS: ReadonlySet<string> = new Set(['rejected', 'thinned'])

export class Explanations {
  /** Messages lost, as the log's own marks say, by reason. */
  readonly lost = new Map<string, number>()
  /** The same by device, where marks name devices. */
  readonly lostDevices = new Map<string, number>()
  readonly #whole = new Map<string, RangeSet>()
  #partial: DeliveredMark[] = []
  readonly #known = new Set<Seq>()

  /** True when the mark explains every seq in its range. */
  add(mark: DeliveredMark): boolean {
    const isKnown = this.#countOnce(mark)
    if (mark.last < mark.first) return false
    if (!PARTIAL_REASONS.has(mark.reason) || mark.count > mark.last - mark.first) {
      this.#explain(mark)
      return true
    }
    if (isKnown) return false
    this.#partial.push(mark)
    if (this.#partial.length > MAX_PARTIAL) {
      const oldest = this.#partial.shift()
      if (oldest !== undefined) this.#explain(oldest)
    }
    return false
  }

  /** Seqs that only a mark accounts for, by reason. Adds to `accounted`, which holds the rest, what marks with survivors explain. */
  settle(arrived: RangeSet, accounted: RangeSet): Record<string, number> {
    const explained: Record<string, number> = {}
    const count = (reason: string, seqs: number) => {
      if (seqs > 0) explained[reason] = (explained[reason] ?? 0) + seqs
    }
    const told = arrived.copy()
    for (const [reason, ranges] of this.#whole)
      for (const { first, last } of ranges.ranges) count(reason, told.add(first, last))
    // What sinks met, exact where they met it; a mark of the log about the same explains nothing further, nor does a sink again.
    const met = new Map<string, RangeSet>()
    for (const mark of this.#partial.toSorted(byExactness)) {
      const { first, last, reason } = mark
      const known = met.get(reason) ?? new RangeSet()
      if (mark.seq === undefined) met.set(reason, known)
      let left = mark.count - countWithin(known, first, last)
      for (const hole of accounted.holes(first, last)) {
        if (left <= 0) break
        const end = Math.min(hole.last, hole.first + left - 1)
        count(reason, accounted.add(hole.first, end))
        if (mark.seq === undefined) known.add(hole.first, end)
        left -= end - hole.first + 1
      }
    }
    return explained
  }

  #explain({ first, last, reason }: DeliveredMark): void {
    const name = this.#whole.has(reason) || this.#whole.size < MAX_REASONS ? reason : OTHER
    let ranges = this.#whole.get(name)
    if (ranges === undefined) {
      ranges = new RangeSet(MAX_RANGES)
      this.#whole.set(name, ranges)
    }
    ranges.add(first, last)
  }

  /** True when the mark is one of the log's that was counted before. */
  #countOnce({ seq, count, reason, devices }: DeliveredMark): boolean {
    if (seq === undefined) return false
    if (this.#known.has(seq)) return true
    if (this.#known.size >= MAX_KNOWN_MARKS) this.#known.clear()
    this.#known.add(seq)
    if (count > 0 && (this.lost.has(reason) || this.lost.size < MAX_REASONS))
      this.lost.set(reason, (this.lost.get(reason) ?? 0) + count)
    for (const [device, messages] of Object.entries(devices ?? {}))
      if (this.lostDevices.has(device) || this.lostDevices.size < MAX_DEVICES)
        this.lostDevices.set(device, (this.lostDevices.get(device) ?? 0) + messages)
    return false
  }
}

/** What sinks met before the log's marks; then those that end first, which have the fewest holes to choose from. */
const byExactness = (left: DeliveredMark, right: DeliveredMark): number =>
  Number(left.seq !== undefined) - Number(right.seq !== undefined) || left.last - right.last || left.first - right.first

const countWithin = (ranges: RangeSet, first: Seq, last: Seq): number => {
  let count = last - first + 1
  for (const hole of ranges.holes(first, last)) count -= hole.last - hole.first + 1
  return count
}
