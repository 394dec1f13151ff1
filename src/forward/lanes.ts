// Which seqs a sink is sent next. Normally there is one lane, in order. After an outage the pile becomes the backlog lane,
// which drains beside the fresh lane; both go upwards. The ranges live in the cursor, so a restart finds them again.

import type { Lane, Seq } from '../core/contract.ts'
import type { Cursor, Range } from '../core/log-contract.ts'

/** Fewer waiting messages are sent within a second or so: not worth a lane. */
const DEFAULT_SPLIT_MESSAGES = 2_000
/** Outages during a drain each add a range; beyond this many the pile stays in the fresh lane, in order. */
const MAX_RANGES = 24

export interface LaneOptions {
  /** A pile of more messages than this becomes the backlog after an outage. */
  readonly splitMessages?: number
  readonly maxRanges?: number
}

/** A stretch of one lane, not yet settled. */
export interface Stretch extends Range {
  readonly lane: Lane
}

export class Lanes {
  readonly #cursor: Cursor
  readonly #splitMessages: number
  readonly #maxRanges: number
  /** First seq of the fresh lane; unsettled seqs below it are backlog. */
  #fresh: Seq

  constructor(cursor: Cursor, options: LaneOptions = {}) {
    this.#cursor = cursor
    this.#splitMessages = options.splitMessages ?? DEFAULT_SPLIT_MESSAGES
    this.#maxRanges = options.maxRanges ?? MAX_RANGES
    this.#fresh = cursor.unsettled.at(-1)?.first ?? cursor.position + 1
  }

  /** After an outage, and at start: what has piled up becomes backlog if it is much. */
  split(durable: Seq): boolean {
    const pile = durable - this.#fresh + 1
    if (pile <= this.#splitMessages || this.#cursor.unsettled.length >= this.#maxRanges) return false
    this.#fresh = durable + 1
    return true
  }

  fresh(durable: Seq): Stretch | undefined {
    return durable < this.#fresh ? undefined : { lane: 'fresh', first: this.#fresh, last: durable }
  }

  backlog(durable: Seq): Stretch | undefined {
    const [range] = this.#cursor.unsettled
    if (range === undefined || range.first >= this.#fresh) return undefined
    const last = Math.min(range.last, this.#fresh - 1, durable)
    return last < range.first ? undefined : { lane: 'backlog', first: range.first, last }
  }

  settle(lane: Lane, first: Seq, last: Seq): void {
    this.#cursor.settle(first, last)
    if (lane === 'fresh') this.#fresh = Math.max(this.#fresh, last + 1)
  }

  /** Seqs between the first unsettled and the newest durable one that are not settled. */
  unsettledCount(durable: Seq): number {
    let count = 0
    for (const { first, last } of this.#cursor.unsettled) count += Math.max(0, Math.min(last, durable) - first + 1)
    return count
  }
}
