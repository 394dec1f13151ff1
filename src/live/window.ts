// The newest readings in order, all of them: what a client that was away for a moment gets from memory instead of the log,
// and the ground on which a reader of the log steps over to live values without a hole. Bounded in number and bytes.

import type { Seq } from '../core/contract.ts'
import { firstNewer, type LiveReading } from './reading.ts'
import type { Selection } from './selection.ts'

export interface WindowLimits {
  readonly readings: number
  readonly bytes: number
}

/** Some seconds of a busy gateway; reconnects and long polls within it cost no disk. */
export const WINDOW_LIMITS: WindowLimits = { readings: 8_192, bytes: 8 * 2 ** 20 }

export class Window {
  readonly #limits: WindowLimits
  #readings: LiveReading[] = []
  /** Readings before this index are gone; the array is cut when they are half of it. */
  #head = 0
  #bytes = 0
  #floor: Seq = 0

  constructor(limits: WindowLimits = WINDOW_LIMITS) {
    this.#limits = limits
  }

  /** Every reading newer than this is here. */
  get floor(): Seq {
    return this.#floor
  }

  covers(after: Seq): boolean {
    return after >= this.#floor
  }

  push(readings: readonly LiveReading[]): void {
    for (const reading of readings) {
      this.#readings.push(reading)
      this.#bytes += reading.sizeBytes
    }
    this.#trim()
  }

  /** Puts an older window, which ends where this one begins, in front. */
  seed(older: Window): void {
    this.#readings = [...older.#readings.slice(older.#head), ...this.#readings.slice(this.#head)]
    this.#head = 0
    this.#bytes += older.#bytes
    this.#floor = older.#floor
    this.#trim()
  }

  /** Brings times from before the clock was set to what they were, now that this is known. */
  correct(bootId: string, correctionMs: number): void {
    this.#readings = this.#readings.slice(this.#head)
    this.#head = 0
    for (const [index, reading] of this.#readings.entries()) {
      const corrected = reading.corrected(bootId, correctionMs)
      if (corrected === undefined) continue
      this.#bytes += corrected.sizeBytes - reading.sizeBytes
      this.#readings[index] = corrected
    }
  }

  /** Forgets everything; the log has it. */
  reset(floor: Seq): void {
    this.#readings = []
    this.#head = 0
    this.#bytes = 0
    this.#floor = floor
  }

  /** Matching readings newer than `after`, ascending, up to `limit`. */
  since(selection: Selection, after: Seq, limit = Number.POSITIVE_INFINITY): LiveReading[] {
    const found: LiveReading[] = []
    for (let index = firstNewer(this.#readings, after, this.#head); index < this.#readings.length; index++) {
      const reading = this.#readings[index]
      if (reading === undefined || !selection.matches(reading.device, reading.name)) continue
      if (found.length >= limit && reading.seq !== found.at(-1)?.seq) break
      found.push(reading)
    }
    return found
  }

  #trim(): void {
    while (this.#readings.length - this.#head > this.#limits.readings || this.#bytes > this.#limits.bytes) {
      const gone = this.#readings[this.#head]
      if (gone === undefined) break
      this.#head++
      this.#bytes -= gone.sizeBytes
      this.#floor = gone.seq
    }
    if (this.#head > this.#readings.length / 2) {
      this.#readings = this.#readings.slice(this.#head)
      this.#head = 0
    }
  }
}
