// Watches the wall clock against the monotonic one: tells when it is set for the first time, and of every step after that.
// A clock that is slewed, or drifts, is not stepping. What was remembered by the old time can be brought to the new one.

import type { Clock, ClockMark, UnixMs } from '../core/contract.ts'

/** How often the clocks are compared. */
const LOOK_MS = 1_000
/** More than slewing changes in that time; less than that is nobody's business. */
const STEP_MS = 2_000
/** Both clocks are read within this, or again: a process that is stopped between the two must not see a step. */
const READ_WITHIN_MS = 50
const MAX_READS = 5
/** Steps that are remembered; what was remembered by an older time has mostly gone by then. */
const MAX_MARKS = 16

export interface ClockWatchOptions {
  readonly clock: Clock
  /** Must not throw. */
  readonly onMark: (mark: ClockMark) => void
  readonly lookMs?: number
}

export class ClockWatch {
  readonly #options: ClockWatchOptions
  #synced: boolean
  /** Wall clock when the monotonic one said 0. */
  #baseMs: number
  #timer: NodeJS.Timeout | undefined
  readonly #marks: ClockMark[] = []

  constructor(options: ClockWatchOptions) {
    this.#options = options
    this.#synced = options.clock.synced()
    this.#baseMs = this.#readBase()
  }

  start(): void {
    this.#timer ??= setInterval(() => this.look(), this.#options.lookMs ?? LOOK_MS)
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Compares the clocks now. */
  look(): void {
    const { clock, onMark } = this.#options
    const baseMs = this.#readBase()
    const offsetMs = baseMs - this.#baseMs
    const synced = clock.synced()
    const set = synced && !this.#synced
    this.#synced = synced
    // Small differences are not carried along while the clock is not set: the mark tells the whole of it.
    if (synced || Math.abs(offsetMs) > STEP_MS) this.#baseMs = baseMs
    if (!set && !(synced && Math.abs(offsetMs) > STEP_MS)) return
    const monotonicMs = clock.monotonicMs()
    const time = Math.round((monotonicMs + baseMs) * 1_000) / 1_000
    const mark: ClockMark = { reason: set ? 'set' : 'step', bootId: clock.bootId, monotonicMs, offsetMs, time }
    this.#marks.push(mark)
    if (this.#marks.length > MAX_MARKS) this.#marks.pop()
    onMark(mark)
  }

  /** A time that was read from the wall clock since the start, as it would be called now: forward jumps are made good. */
  corrected(time: UnixMs): UnixMs {
    let corrected = time
    for (const { time: after, offsetMs } of this.#marks)
      if (offsetMs > 0 && corrected <= after - offsetMs) corrected += offsetMs
    return corrected
  }

  #readBase(): number {
    const { clock } = this.#options
    for (let attempt = 1; ; attempt++) {
      const before = clock.monotonicMs()
      const wallMs = clock.wallMs()
      if (clock.monotonicMs() - before <= READ_WITHIN_MS || attempt === MAX_READS) return wallMs - before
    }
  }
}
