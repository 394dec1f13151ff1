// The health of a sink that holds a connection: failed without it, degraded while it waits for a stated reason, else ok.

import type { Clock, Health } from '../core/contract.ts'

export class SinkHealth {
  readonly #clock: Clock
  readonly #waits = new Map<string, string>()
  #health: Health

  constructor(clock: Clock) {
    this.#clock = clock
    this.#health = { state: 'starting', since: clock.wallMs(), reason: 'not connected yet' }
  }

  get current(): Health {
    return this.#health
  }

  /** Connected, and nothing to wait for. */
  ok(): void {
    this.#waits.clear()
    this.#set('ok')
  }

  failed(reason: string): void {
    this.#waits.clear()
    this.#set('failed', reason)
  }

  closed(): void {
    this.#set('closed', 'the sink is closed')
  }

  /** What the sink waits for under this name, or undefined when it no longer does. */
  waiting(name: string, reason: string | undefined): void {
    if (reason === undefined) this.#waits.delete(name)
    else this.#waits.set(name, reason)
    if (this.#health.state !== 'ok' && this.#health.state !== 'degraded') return
    const [first] = this.#waits.values()
    if (first === undefined) this.#set('ok')
    else this.#set('degraded', first)
  }

  #set(state: Health['state'], reason?: string): void {
    if (this.#health.state === 'closed') return
    if (state === this.#health.state && reason === this.#health.reason) return
    const since = state === this.#health.state ? this.#health.since : this.#clock.wallMs()
    this.#health = reason === undefined ? { state, since } : { state, since, reason }
  }
}
