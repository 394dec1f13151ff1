// The newest durable seq as the forward thread knows it, and the waiting for a newer one.

import type { Seq } from '../core/contract.ts'

export class DurableSignal {
  #seq: Seq
  readonly #waiting = new Set<() => void>()

  constructor(seq: Seq) {
    this.#seq = seq
  }

  get seq(): Seq {
    return this.#seq
  }

  /** Hints may come late or twice: only a higher one counts. */
  advance(seq: Seq): void {
    if (seq <= this.#seq) return
    this.#seq = seq
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }

  /** Resolves at the next advance; rejects with the signal's reason. */
  wake(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const onAdvance = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = () => {
        this.#waiting.delete(onAdvance)
        reject(signal.reason)
      }
      this.#waiting.add(onAdvance)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
