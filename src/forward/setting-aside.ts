// What becomes of rejected messages before the cursor may pass them: a dead letter each, then loss marks in the log, each
// step until it is durable. In this order, a crash in between repeats a letter, which overwrites itself, and misses nothing.

import type { Clock, LossMark, Rejection } from '../core/contract.ts'
import type { DeadLetters } from './dead-letters.ts'
import { type RejectedMessage, rejectionMarks } from './rejected.ts'

/** A mark that is not durable after this is a reason to tell why nothing moves. */
const MARK_PATIENCE_MS = 5_000

export interface SettingAsideOptions {
  /** Name of the sink. */
  readonly name: string
  readonly deadLetters: DeadLetters
  readonly losses: { record(loss: Omit<LossMark, 'time'>, signal: AbortSignal): Promise<void> }
  readonly clock: Clock
}

export class SettingAside {
  readonly #options: SettingAsideOptions
  /** Since when a mark waits, monotonic. */
  #markSinceMs: number | undefined

  constructor(options: SettingAsideOptions) {
    this.#options = options
  }

  /** Why the sink waits, when it does for longer than it should. */
  get obstacle(): string | undefined {
    if (this.#markSinceMs === undefined) return undefined
    if (this.#options.clock.monotonicMs() - this.#markSinceMs <= MARK_PATIENCE_MS) return undefined
    return 'the log takes no loss mark for what the upstream rejected; nothing more is sent until it does'
  }

  /** `insist` tries until it succeeds, and hands out the signal that ends the trying. */
  async setAside(
    rejected: readonly Rejection[],
    messages: readonly RejectedMessage[],
    insist: (work: (signal: AbortSignal) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { deadLetters, losses, name, clock } = this.#options
    await insist(() => deadLetters.add(name, rejected))
    this.#markSinceMs = clock.monotonicMs()
    try {
      for (const mark of rejectionMarks(name, messages, rejected[0]?.reason ?? ''))
        await insist((signal) => losses.record(mark, signal))
    } finally {
      this.#markSinceMs = undefined
    }
  }
}
