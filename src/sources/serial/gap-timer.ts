// Tells that nothing came for so long. When the event loop was held up, bytes may wait unread: then it gives them another gap.

/** A timer that is later than this was held up. */
const LATE_MS = 10

export class GapTimer {
  readonly #gapMs: number
  readonly #onGap: () => void
  #timer: NodeJS.Timeout | undefined
  #dueMs = 0

  constructor(gapMs: number, onGap: () => void) {
    this.#gapMs = gapMs
    this.#onGap = onGap
  }

  /** Something came. */
  restart(): void {
    clearTimeout(this.#timer)
    this.#dueMs = performance.now() + this.#gapMs
    this.#timer = setTimeout(() => this.#fire(), this.#gapMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #fire(): void {
    if (performance.now() - this.#dueMs > LATE_MS) this.restart()
    else this.#onGap()
  }
}
