// How far a batch is settled, and what was confirmed on the way: each delivery is counted once, however often progress is told.

import type { Batch, Seq } from '../core/contract.ts'

export class Settling {
  readonly batch: Batch
  settled: Seq
  /** Deliveries before this index are counted. */
  #counted = 0
  readonly #rejected = new Set<Seq>()

  constructor(batch: Batch) {
    this.batch = batch
    this.settled = batch.first - 1
  }

  /** Counts what lies up to `settled`: messages with readings, and the readings. */
  advance(settled: Seq): { readonly messages: number; readonly readings: number } {
    const { deliveries } = this.batch
    let messages = 0
    let readings = 0
    for (; this.#counted < deliveries.length; this.#counted++) {
      const delivery = deliveries[this.#counted]
      if (delivery === undefined || delivery.entry.seq > settled) break
      if (delivery.decoding.readings.length === 0 || this.#rejected.has(delivery.entry.seq)) continue
      messages++
      readings += delivery.decoding.readings.length
    }
    this.settled = settled
    return { messages, readings }
  }

  /** Takes messages out of the count. */
  reject(messages: readonly { readonly seq: Seq }[]): void {
    for (const { seq } of messages) this.#rejected.add(seq)
  }
}
