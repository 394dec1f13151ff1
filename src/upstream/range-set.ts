// A set of seqs as ascending, disjoint ranges: small while seqs come mostly in order, and bounded when they do not.

import type { Seq } from '../core/contract.ts'
import type { Range } from '../core/log-contract.ts'

export class RangeSet {
  /** Ascending; no two touch. */
  readonly #ranges: { first: Seq; last: Seq }[] = []
  readonly #maxRanges: number
  #forgotten = 0

  constructor(maxRanges = Number.POSITIVE_INFINITY) {
    this.#maxRanges = maxRanges
  }

  get ranges(): readonly Range[] {
    return this.#ranges
  }

  /** Seqs of holes that were given up to stay within the bound, counted as present since. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** One of its own, without a bound. */
  copy(): RangeSet {
    const copy = new RangeSet()
    for (const { first, last } of this.#ranges) copy.#ranges.push({ first, last })
    copy.#forgotten = this.#forgotten
    return copy
  }

  has(seq: Seq): boolean {
    const range = this.#ranges[this.#indexAt(seq)]
    return range !== undefined && range.first <= seq
  }

  /** Returns how many of the seqs are new. */
  add(first: Seq, last: Seq): number {
    const ranges = this.#ranges
    const newest = ranges[ranges.length - 1]
    // The usual case: right behind the newest one.
    if (newest !== undefined && first === newest.last + 1) {
      newest.last = last
      return last - first + 1
    }
    const start = this.#indexAt(first - 1)
    let merged = { first, last }
    let end = start
    let present = 0
    for (let range = ranges[end]; range !== undefined && range.first <= last + 1; range = ranges[++end]) {
      present += Math.max(0, Math.min(range.last, last) - Math.max(range.first, first) + 1)
      merged = { first: Math.min(range.first, merged.first), last: Math.max(range.last, merged.last) }
    }
    ranges.splice(start, end - start, merged)
    if (ranges.length > this.#maxRanges) this.#forgetOldest()
    return last - first + 1 - present
  }

  /** The seqs from first to last that are missing, as ranges. */
  holes(first: Seq, last: Seq): Range[] {
    const holes: Range[] = []
    let next = first
    for (let index = this.#indexAt(first); next <= last; index++) {
      const range = this.#ranges[index]
      if (range === undefined || range.first > last) break
      if (range.first > next) holes.push({ first: next, last: range.first - 1 })
      next = range.last + 1
    }
    if (next <= last) holes.push({ first: next, last })
    return holes
  }

  /** Index of the first range that ends at or after the seq. */
  #indexAt(seq: Seq): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ranges[middle]?.last ?? 0) < seq) low = middle + 1
      else high = middle
    }
    return low
  }

  #forgetOldest(): void {
    const [oldest, second] = this.#ranges
    if (oldest === undefined || second === undefined) return
    this.#forgotten += second.first - oldest.last - 1
    this.#ranges.splice(0, 2, { first: oldest.first, last: second.last })
  }
}
