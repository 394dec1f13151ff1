// Lets work in the background step aside: after a few milliseconds it rests for as long, so that commits hardly notice it.

import { delay } from '../core/time.ts'

const WORK_MS = 4

export class Pace {
  readonly #signal: AbortSignal
  #sinceMs = performance.now()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** To be awaited between two small pieces of work; rejects when the signal aborts. */
  async rest(): Promise<void> {
    this.#signal.throwIfAborted()
    const workedMs = performance.now() - this.#sinceMs
    if (workedMs < WORK_MS) return
    await delay(workedMs, this.#signal)
    this.#sinceMs = performance.now()
  }
}
