// When a cursor's position is made durable: seldom enough to spare the flash, often enough that a crash repeats only the
// last seconds. A flush that fails is tried again with the next one: the price is duplicates, never loss.

import type { Cursor } from '../core/log-contract.ts'

/**
 * At a gateway's usual pace: 9,000 small writes a day at most, and not with every commit of the file system's journal (5 s),
 * which would hold this file's inode each time. The first move after a pause is written at once.
 */
const SLOW_FLUSH_MS = 10_000
/** While it moves fast, so that a crash repeats no more than about this. */
const FAST_FLUSH_MS = 200
/** Settled since the last flush; more than this is fast. One write of 4 KiB costs little beside so many messages. */
const FAST_MESSAGES = 2_000

export class CursorFlush {
  readonly #cursor: Cursor
  readonly #onResult: (error: unknown) => void
  #settled = 0
  #flushedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #fast = false
  #hurried = false
  #closing = false
  #flushing: Promise<void> | undefined

  /** `onResult` hears of every flush: the error, or undefined when it succeeded. */
  constructor(cursor: Cursor, onResult: (error: unknown) => void) {
    this.#cursor = cursor
    this.#onResult = onResult
  }

  /** The cursor moved on by so many messages. */
  moved(messages: number): void {
    this.#settled += messages
    if (this.#flushing !== undefined) return
    const fast = this.#settled > FAST_MESSAGES
    if (this.#timer !== undefined && (!fast || this.#fast)) return
    clearTimeout(this.#timer)
    this.#fast = fast
    const dueAt = this.#flushedAt + (fast ? FAST_FLUSH_MS : SLOW_FLUSH_MS)
    const waitMs = Math.max(0, dueAt - performance.now())
    this.#timer = setTimeout(() => void this.#flush(), waitMs)
  }

  /** Flushes now, or as soon as the flush that is under way has ended. */
  soon(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#flushing === undefined) void this.#flush()
    else this.#hurried = true
  }

  /** The last flush; nothing moves any more. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#flushing
    if (this.#settled > 0) await this.#flush()
    clearTimeout(this.#timer)
  }

  async #flush(): Promise<void> {
    this.#timer = undefined
    this.#settled = 0
    this.#flushing = this.#cursor.flush().then(
      () => this.#onResult(undefined),
      (error) => {
        this.#settled++
        this.#onResult(error)
      },
    )
    await this.#flushing
    this.#flushing = undefined
    this.#fast = false
    this.#flushedAt = performance.now()
    const hurried = this.#hurried
    this.#hurried = false
    if (hurried && !this.#closing) void this.#flush()
    else if (this.#settled > 0) this.moved(0)
  }
}
