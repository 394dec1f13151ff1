// Load that keeps the books: several connections publish numbered values with QoS 1, each number once and never again, and every
// PUBACK is written down. A connection that is lost is made again; what was not acknowledged then may have arrived or not.

import { setTimeout as sleep } from 'node:timers/promises'
import { Publisher } from './broker-clients.ts'

/** Between two attempts to connect, while the gateway is down. */
const RECONNECT_MS = 20

export interface LoadOptions {
  readonly port: number
  readonly connections: number
  /** Either so many unacknowledged messages on each connection at any time … */
  readonly inFlight?: number
  /** … or so many messages a second on each, whatever is acknowledged. */
  readonly perSecond?: number
  /** Payload of a number; default is the shortest JSON object with it. */
  readonly payload?: (n: number) => string
  /** After so many messages in total per connection it is done. */
  readonly limit?: number
}

export class Load {
  /** Device → numbers whose PUBACK was seen, in the order of the PUBACKs. */
  readonly acknowledged = new Map<string, number[]>()
  /** Milliseconds from PUBLISH to PUBACK, in the order of the PUBACKs. */
  readonly latenciesMs: number[] = []
  sent = 0
  /** Connections lost and made again. */
  reconnects = 0
  misordered = 0
  readonly #options: LoadOptions
  readonly #ending = new AbortController()
  readonly #done: Promise<void>

  constructor(options: LoadOptions) {
    this.#options = options
    const connections = Array.from({ length: options.connections }, (_, index) => this.#run(`load/${index}`))
    this.#done = Promise.all(connections).then(() => undefined)
    // Told by finished() or stop().
    this.#done.catch(() => undefined)
  }

  get acknowledgedCount(): number {
    let count = 0
    for (const numbers of this.acknowledged.values()) count += numbers.length
    return count
  }

  /** Resolves when every connection has reached its limit and everything is acknowledged. */
  finished(): Promise<void> {
    return this.#done
  }

  /** Stops sending; resolves when what is in flight is acknowledged or lost. */
  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#done
  }

  async #run(device: string): Promise<void> {
    const numbers: number[] = []
    this.acknowledged.set(device, numbers)
    const state = { next: 0 }
    for (let first = true; !this.#over(state.next); first = false) {
      let publisher: Publisher
      try {
        publisher = await Publisher.open({ port: this.#options.port, clientId: device.replace('/', '-') })
      } catch {
        await sleep(RECONNECT_MS)
        continue
      }
      if (!first) this.reconnects++
      const publish = async (n: number) => {
        const payload = this.#options.payload?.(n) ?? `{"n":${n}}`
        this.sent++
        const latency = await publisher.publish(device, payload)
        numbers.push(n)
        this.latenciesMs.push(latency)
      }
      const paced = this.#options.perSecond !== undefined
      await (paced ? this.#publishPaced(publish, state) : this.#publishInFlight(publish, state))
      this.misordered += publisher.misordered
      await publisher.close()
    }
  }

  /** Both end without an error when the connection is lost: the caller makes it again. */
  async #publishInFlight(publish: (n: number) => Promise<void>, state: { next: number }): Promise<void> {
    const lane = async () => {
      while (!this.#over(state.next)) await publish(state.next++)
    }
    await Promise.allSettled(Array.from({ length: this.#options.inFlight ?? 1 }, lane))
  }

  async #publishPaced(publish: (n: number) => Promise<void>, state: { next: number }): Promise<void> {
    const startedAt = performance.now()
    const first = state.next
    const pending = new Set<Promise<void>>()
    let lost = false
    while (!lost && !this.#over(state.next)) {
      const due = ((performance.now() - startedAt) / 1_000) * (this.#options.perSecond ?? 0)
      while (state.next - first < due && !this.#over(state.next)) {
        const publication = publish(state.next++).then(
          () => void pending.delete(publication),
          () => {
            pending.delete(publication)
            lost = true
          },
        )
        pending.add(publication)
      }
      await sleep(5)
    }
    await Promise.all(pending)
  }

  #over(next: number): boolean {
    return this.#ending.signal.aborted || next >= (this.#options.limit ?? Number.POSITIVE_INFINITY)
  }
}

/** The value below which this share of the values lies. */
export const quantile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
