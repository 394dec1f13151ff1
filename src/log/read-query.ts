// What a ReadFilter asks, with the answers it gave about channels: the filter itself is asked once per channel.

import type { UnixMs } from '../core/contract.ts'
import type { ReadFilter } from '../core/log-contract.ts'
import type { TimeRange } from './arrival-span.ts'
import type { ChannelName } from './channel.ts'

/** What a filter on channels is asked about. */
export interface QueriedName extends ChannelName {
  readonly lists: boolean
}

export class ReadQuery {
  readonly filter: ReadFilter
  readonly range: TimeRange
  readonly #channel: (topic: string, source: string, lists: boolean) => boolean
  /** What was asked about, and the answers so far. */
  #names: readonly QueriedName[] = []
  #answers = new Uint8Array(0)
  #asked = 0

  constructor(filter: ReadFilter) {
    this.filter = filter
    this.#channel = filter.channel ?? (() => true)
    this.range = { fromMs: filter.fromMs ?? Number.NEGATIVE_INFINITY, toMs: filter.toMs ?? Number.POSITIVE_INFINITY }
  }

  /** Marks have neither source nor topic. `lists`: some payload may be a JSON array. */
  wantsChannel({ topic, source }: ChannelName, lists: boolean): boolean {
    return this.#channel(topic, source, lists)
  }

  /** A bit for each name, 1 where it is wanted. The list may grow from call to call; another list begins anew. */
  answers(names: readonly QueriedName[]): Uint8Array {
    if (names !== this.#names) {
      this.#names = names
      this.#answers = new Uint8Array(0)
      this.#asked = 0
    }
    if (this.#asked === names.length) return this.#answers
    const answers = new Uint8Array(Math.ceil(names.length / 8))
    answers.set(this.#answers)
    for (; this.#asked < names.length; this.#asked++) {
      const name = names[this.#asked]
      if (name !== undefined && this.wantsChannel(name, name.lists)) setBit(answers, this.#asked)
    }
    this.#answers = answers
    return answers
  }

  wantsArrival(receivedAt: UnixMs): boolean {
    return receivedAt >= this.range.fromMs && receivedAt < this.range.toMs
  }

  /** Whether it is the same question, so that answers may be kept. */
  isOf(filter: ReadFilter): boolean {
    const { channel, fromMs, toMs } = this.filter
    return channel === filter.channel && fromMs === filter.fromMs && toMs === filter.toMs
  }
}

export const setBit = (bits: Uint8Array, place: number): void => {
  bits[place >> 3] = (bits[place >> 3] ?? 0) | (1 << (place & 7))
}
