// What the broker refuses, drops or cuts off, by a closed list of reasons: each is counted, and logged without flooding.

import type { Clock, Logger, Meter } from '../../core/contract.ts'

export type RefusalReason =
  | 'client-id'
  | 'connect-timeout'
  | 'connections'
  | 'dollar-topic'
  | 'handshake-memory'
  | 'keep-alive'
  | 'log'
  | 'malformed'
  | 'not-mqtt'
  | 'packet-size'
  | 'protocol-version'
  | 'retained-limit'
  | 'slow-reader'
  | 'subscription-limit'
  | 'topic'

/** Why a connection ends, and what is said to the peer before. */
export interface Refusal {
  readonly reason: RefusalReason
  readonly detail: string
  /** A CONNACK, where MQTT has one for the reason. */
  readonly farewell?: Buffer
}

/** One line per reason in this time; the next one says how many there were. */
const LOG_INTERVAL_MS = 10_000

export class Refusals {
  readonly #name: string
  readonly #logger: Logger
  readonly #meter: Meter
  readonly #clock: Clock
  readonly #logged = new Map<RefusalReason, { atMs: number; unlogged: number }>()

  constructor(name: string, logger: Logger, meter: Meter, clock: Clock) {
    this.#name = name
    this.#logger = logger
    this.#meter = meter
    this.#clock = clock
  }

  count(reason: RefusalReason, detail: string, client: string): void {
    this.#meter.add('mqtt_refused_total', { source: this.#name, reason })
    const nowMs = this.#clock.monotonicMs()
    const last = this.#logged.get(reason)
    if (last !== undefined && nowMs - last.atMs < LOG_INTERVAL_MS) {
      last.unlogged++
      return
    }
    this.#logged.set(reason, { atMs: nowMs, unlogged: 0 })
    this.#logger.warn({ reason, detail, client, unlogged: last?.unlogged ?? 0 }, 'mqtt refused')
  }
}
