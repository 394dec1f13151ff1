// What a dialect finds in one payload: readings, doubtful values, and faults of parts of it; bounded, whatever came.

import type { Decoded, Doubt, Reading } from '../core/contract.ts'
import { DecodeError } from '../core/errors.ts'
import { MAX_READINGS, shownFault } from './limits.ts'

export class Collected {
  readonly #readings: Reading[] = []
  readonly #doubtful: Doubt[] = []
  #fault: string | undefined
  #faults = 0

  /** Throws DecodeError where there are too many. */
  push(reading: Reading): void {
    if (this.#readings.length >= MAX_READINGS) throw new DecodeError(`the payload has more than ${MAX_READINGS} values`)
    this.#readings.push(reading)
  }

  /** A value that is there and wrong; say why with fault(), too. */
  doubt(doubt: Doubt): void {
    if (this.#doubtful.length < MAX_READINGS) this.#doubtful.push(doubt)
  }

  /** Something could not be read; the rest still counts. The first is told, the others are counted. */
  fault(text: string): void {
    this.#fault ??= shownFault(text)
    this.#faults++
  }

  decoded(): Decoded {
    const fault = this.#faults > 1 ? `${this.#fault} (and ${this.#faults - 1} more)` : this.#fault
    return {
      readings: this.#readings,
      ...(fault === undefined ? {} : { fault }),
      ...(this.#doubtful.length === 0 ? {} : { doubtful: this.#doubtful }),
    }
  }
}
