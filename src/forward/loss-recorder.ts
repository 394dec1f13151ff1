// The forward thread's way into the log, for loss marks alone: asks the ingest thread, and waits until it says that they are
// durable. Damage that readers meet is told once for each hole.

import type { Gap, LossMark } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import type { FromForwardThread } from './protocol.ts'

/** Holes remembered as told; beyond, the oldest may be told again. */
const MAX_TOLD = 1_000

interface Asked {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class LossRecorder {
  readonly #post: (message: FromForwardThread) => void
  readonly #asked = new Map<number, Asked>()
  readonly #told = new Set<string>()
  #lastId = 0

  constructor(post: (message: FromForwardThread) => void) {
    this.#post = post
  }

  /** Resolves once the mark is durable; rejects when it cannot be recorded, or with the signal's reason. */
  record(loss: Omit<LossMark, 'time'>, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const id = ++this.#lastId
      const onAbort = () => {
        this.#asked.delete(id)
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      const end = () => signal.removeEventListener('abort', onAbort)
      this.#asked.set(id, {
        resolve: () => {
          end()
          resolve()
        },
        reject: (error) => {
          end()
          reject(error)
        },
      })
      this.#post({ type: 'loss', id, loss })
    })
  }

  /** The ingest thread's answer. */
  answered(id: number, error: string | undefined): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (error === undefined) asked?.resolve()
    else asked?.reject(new TidegateError('TG_LOG_WRITE', `a loss cannot be recorded: ${error}`))
  }

  /** What a reader could not read. */
  damage(gap: Gap): void {
    const key = `${gap.first}-${gap.last}`
    if (gap.reason !== 'corrupt' || this.#told.has(key)) return
    if (this.#told.size >= MAX_TOLD) this.#told.delete(this.#told.values().next().value ?? '')
    this.#told.add(key)
    this.#post({ type: 'damage', gap })
  }
}
