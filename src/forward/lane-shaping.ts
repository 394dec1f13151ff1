// Shapes what a sink is sent. What passes depends on what came before, so each lane has a fold of its own, which moves on with
// what is settled: a batch that is read again is shaped again from the same place. A lane that begins somewhere else reads the
// steps of its windows from the log first; of deadbands it only forgets what passed last, so that one value more is sent.

import type { Decoding, Entry, Seq } from '../core/contract.ts'
import type { LogReader } from '../core/log-contract.ts'
import type { Shaping } from '../decode/shaping.ts'

/** Lanes, and places where one may have been left. More are folded anew. */
const MAX_FOLDS = 4
/** Where the message before is looked for: mostly it is right there; marks and holes may stand in between. */
const FIRST_LOOK_BACK = 64
const LOOK_BACK_FACTOR = 64
const READ_LIMIT = { entries: 4_096, bytes: 1_024 * 1_024 }

/** A message as it was before it was shaped. */
interface Folded {
  readonly entry: Pick<Entry, 'seq' | 'receivedAt'>
  readonly decoding: Decoding
}

interface Fold {
  readonly settled: Shaping
  /** What is in `settled`. */
  upTo: Seq
  /** The batch under way: what is not settled of it is folded again. */
  attempt: Shaping | undefined
  messages: Folded[]
  last: Seq
}

export interface LaneShapingParts {
  readonly create: () => Shaping
  readonly reader: LogReader
  readonly decode: (entry: Entry) => Decoding
}

export class LaneShaping {
  readonly #parts: LaneShapingParts
  /** The one used last in front. */
  #folds: Fold[] = []

  constructor(parts: LaneShapingParts) {
    this.#parts = parts
  }

  /** For a batch that begins with `first` (what comes before it in its lane is settled) and ends with `last`. */
  async begin(first: Seq, last: Seq): Promise<(entry: Entry, decoding: Decoding) => Decoding> {
    const fold = this.#takeUp(first) ?? (await this.#begun(first))
    this.#folds = [fold, ...this.#folds.filter((other) => other !== fold)].slice(0, MAX_FOLDS)
    const attempt = fold.settled.fork()
    fold.attempt = attempt
    fold.messages = []
    fold.last = last
    return (entry, decoding) => {
      fold.messages.push({ entry: { seq: entry.seq, receivedAt: entry.receivedAt }, decoding })
      return attempt.shape(decoding, entry.receivedAt)
    }
  }

  #takeUp(first: Seq): Fold | undefined {
    const fold = this.#folds.find(({ upTo, last }) => first > upTo && first <= last + 1)
    if (fold === undefined) return undefined
    if (first > fold.last) fold.attempt?.merge()
    else {
      const part = fold.settled.fork()
      for (const { entry, decoding } of fold.messages) if (entry.seq < first) part.shape(decoding, entry.receivedAt)
      part.merge()
    }
    fold.upTo = first - 1
    return fold
  }

  async #begun(first: Seq): Promise<Fold> {
    const settled = this.#parts.create()
    const { windowMs } = settled
    // Windows that are open here began within their length before the message before.
    const beforeMs = windowMs === 0 ? undefined : await this.#lastArrival(first)
    if (beforeMs !== undefined) await this.#recall(settled, first, beforeMs - windowMs)
    return { settled, upTo: first - 1, attempt: undefined, messages: [], last: first - 1 }
  }

  async #lastArrival(before: Seq): Promise<number | undefined> {
    for (let count = FIRST_LOOK_BACK; ; count *= LOOK_BACK_FACTOR) {
      const from = Math.max(0, before - 1 - count)
      let found: number | undefined
      for (let after = from; after < before - 1; ) {
        const { entries, next } = await this.#parts.reader.read(after, READ_LIMIT)
        for (const entry of entries) if (entry.seq < before && entry.kind === 'message') found = entry.receivedAt
        if (next === after) break
        after = next
      }
      if (found !== undefined || from === 0) return found
    }
  }

  /** What passes meanwhile has been sent, or is sent by the lane that it belongs to. */
  async #recall(shaping: Shaping, before: Seq, fromMs: number): Promise<void> {
    const { reader, decode } = this.#parts
    for (let after = 0; after < before - 1; ) {
      const { entries, next } = await reader.read(after, READ_LIMIT, { fromMs })
      for (const entry of entries) {
        if (entry.seq >= before) return
        if (entry.kind === 'message') shaping.shape(decode(entry), entry.receivedAt)
      }
      if (next === after) return
      after = next
    }
  }
}
