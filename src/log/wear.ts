// What the log costs the card: payload and physical bytes of the last 24 hours, by the hour on the monotonic clock, so that a
// clock that is set does not move them. The physical bytes are an estimate; metered-file-system.ts says how it is made.

import type { Clock, Meter } from '../core/contract.ts'
import type { Wear } from '../core/log-contract.ts'

const HOUR_MS = 3_600_000
/** The present hour is one of them, and not over. */
const HOURS = 24

interface Hour {
  readonly number: number
  payloadBytes: number
  physicalBytes: number
}

export class WearRecord {
  readonly #clock: Clock
  readonly #meter: Meter
  readonly #startedMs: number
  /** Newest last. */
  #hours: Hour[] = []

  constructor(options: { readonly clock: Clock; readonly meter: Meter }) {
    this.#clock = options.clock
    this.#meter = options.meter
    this.#startedMs = options.clock.monotonicMs()
  }

  addPayload(bytes: number): void {
    this.#hour().payloadBytes += bytes
    this.#meter.add('log_payload_bytes_total', undefined, bytes)
  }

  addPhysical(bytes: number): void {
    this.#hour().physicalBytes += bytes
    this.#meter.add('log_physical_bytes_total', undefined, bytes)
  }

  /** Over the last 23 to 24 hours, or since the start. */
  get wear(): Wear {
    const newest = this.#hour().number
    const elapsed = this.#elapsedHours()
    let payloadBytes = 0
    let physicalBytes = 0
    for (const hour of this.#hours) {
      payloadBytes += hour.payloadBytes
      physicalBytes += hour.physicalBytes
    }
    return { hours: Math.min(elapsed, HOURS - 1 + elapsed - newest), payloadBytes, physicalBytes }
  }

  #elapsedHours(): number {
    return (this.#clock.monotonicMs() - this.#startedMs) / HOUR_MS
  }

  #hour(): Hour {
    const number = Math.floor(this.#elapsedHours())
    const newest = this.#hours.at(-1)
    if (newest !== undefined && newest.number >= number) return newest
    const hour = { number, payloadBytes: 0, physicalBytes: 0 }
    this.#hours = [...this.#hours.filter((old) => old.number > number - HOURS), hour]
    return hour
  }
}
