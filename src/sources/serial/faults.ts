// What a line brought that is no frame: each fault is counted, and logged without flooding.

import type { Clock, Logger, Meter } from '../../core/contract.ts'
import type { FrameFault } from './framing.ts'

/** One line per reason in this time; the next one says how many there were. */
const LOG_INTERVAL_MS = 60_000

export class Faults {
  total = 0
  last: FrameFault | undefined
  readonly #name: string
  readonly #logger: Logger
  readonly #meter: Meter
  readonly #clock: Clock
  readonly #logged = new Map<FrameFault, { atMs: number; unlogged: number }>()

  constructor(name: string, { logger, meter, clock }: { logger: Logger; meter: Meter; clock: Clock }) {
    this.#name = name
    this.#logger = logger
    this.#meter = meter
    this.#clock = clock
  }

  count(reason: FrameFault, sizeBytes: number): void {
    this.total++
    this.last = reason
    this.#meter.add('serial_faults_total', { source: this.#name, reason })
    const nowMs = this.#clock.monotonicMs()
    const last = this.#logged.get(reason)
    if (last !== undefined && nowMs - last.atMs < LOG_INTERVAL_MS) {
      last.unlogged++
      return
    }
    this.#logged.set(reason, { atMs: nowMs, unlogged: 0 })
    this.#logger.warn({ reason, sizeBytes, unlogged: last?.unlogged ?? 0 }, 'serial bytes are no frame')
  }
}
