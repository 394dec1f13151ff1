// A wait that a command, or the end, cuts short.

import { delay } from '../../core/time.ts'

export class Pause {
  #waker = new AbortController()

  /** Resolves after `ms`, at wake(), or when the signal aborts; never rejects. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const stop = () => this.#waker.abort()
    if (signal.aborted) return
    signal.addEventListener('abort', stop, { once: true })
    try {
      await delay(ms, this.#waker.signal)
    } catch {
      this.#waker = new AbortController() // woken: as good as waited
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  /** Ends the wait that is on, or the next one before it begins. */
  wake(): void {
    this.#waker.abort()
  }

  /** A short wait that nothing cuts: the line needs its silence between two frames. */
  silence(ms: number): Promise<void> {
    return delay(ms)
  }
}
