// Shows what is not durable while the disk takes nothing: decodes what waits and hands it to listeners, in seq order, each
// entry once. Whoever listens hears of the same entries again when they become durable.

import type { Entry, Seq } from '../core/contract.ts'
import type { CommitQueue } from './commit-queue.ts'
import type { PendingBlock } from './pending-block.ts'
import { entriesOf } from './pending-entries.ts'

export interface UndurableOptions {
  readonly queue: CommitQueue
  readonly bootId: string
  readonly correctionMs: () => number | undefined
  readonly durable: () => Seq
}

export class Undurable {
  readonly #options: UndurableOptions
  readonly #listeners = new Set<(entries: readonly Entry[]) => void>()
  /** Everything up to here has been shown. */
  #shown: Seq = 0

  constructor(options: UndurableOptions) {
    this.#options = options
  }

  /** Returns the listener's removal. */
  listen(listener: (entries: readonly Entry[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Shows what waits, up to so many entries. False when there is more. */
  show(limit = Number.POSITIVE_INFINITY): boolean {
    this.#shown = Math.max(this.#shown, this.#options.durable())
    return this.#hand(this.#options.queue.pending, limit)
  }

  /** Shows what is not kept; everything before it has been shown. */
  showUnkept(block: PendingBlock): void {
    this.#hand([block], Number.POSITIVE_INFINITY)
  }

  #hand(blocks: readonly PendingBlock[], limit: number): boolean {
    const { bootId, correctionMs } = this.#options
    if (this.#listeners.size === 0) return true
    const entries = entriesOf(blocks, { bootId, correctionMs: correctionMs(), after: this.#shown, limit })
    const last = entries.at(-1)
    if (last === undefined) return true
    this.#shown = last.seq
    for (const listener of this.#listeners) listener(entries)
    return entries.length < limit
  }
}
