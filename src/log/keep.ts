// Which entries of old segments a `keep` policy lets go: of each channel that a policy matches, the newest so many of each
// step of time stay. Pure: it is shown every entry once, in order, and then knows what is to be left out.

import { crc32 } from 'node:zlib'
import type { Seq } from '../core/contract.ts'
import { topicMatcher } from '../core/topic.ts'
import type { ChannelName } from './channel.ts'

/** Whether messages of a topic may belong to a device that matches. */
export type OfDevice = (topic: string, source: string, matches: (device: string) => boolean) => boolean

export interface KeepPolicy {
  /** A Topic Filter for the topic, or else one for the device. */
  readonly topic?: string | undefined
  readonly device?: string | undefined
  /** So many entries of each channel stay… */
  readonly newest: number
  /** …of each step of so long, by the monotonic clock. */
  readonly perMs: number
}

interface Rule {
  readonly matches: (channel: ChannelName) => boolean
  readonly policy: KeepPolicy
}

/** The policies in their order: the first that matches decides, and what none matches is not thinned. */
export class Keep {
  /** Tells these policies from others; 0 when there are none. Written into what was thinned by them. */
  readonly key: number
  readonly #rules: readonly Rule[]

  constructor(policies: readonly KeepPolicy[], ofDevice: OfDevice) {
    this.#rules = policies.map((policy) => {
      const matches = topicMatcher(policy.topic ?? policy.device ?? '')
      return {
        matches: ({ topic, source }) =>
          policy.topic === undefined ? ofDevice(topic, source, matches) : matches(topic),
        policy,
      }
    })
    const text = policies.map(({ topic, device, newest, perMs }) => JSON.stringify([topic, device, newest, perMs]))
    this.key = policies.length === 0 ? 0 : crc32(text.join('\n')) || 1
  }

  of(channel: ChannelName): KeepPolicy | undefined {
    return this.#rules.find(({ matches }) => matches(channel))?.policy
  }
}

/** A channel that is thinned, with the newest entries of the present step in a ring. */
export interface ThinnedChannel {
  readonly topic: string
  readonly newest: number
  readonly perUs: number
  step: number
  seen: number
  /** Ordinals and seqs. */
  readonly ring: number[]
  readonly seqs: Seq[]
}

export interface ThinningOptions {
  readonly keep: Keep
  /** Everything up to here is settled by every sink. */
  readonly settled: Seq
  /** Whether entries beyond that may go as well. */
  readonly unsettledToo: boolean
}

/** What goes although not every sink has it. */
export interface ThinningLoss {
  readonly first: Seq
  readonly last: Seq
  readonly count: number
  readonly topics: ReadonlyMap<string, number>
}

const FIRST_ORDINALS = 4_096

export class Thinning {
  /** Entries that go. */
  count = 0
  readonly #options: ThinningOptions
  readonly #channels = new Map<string, ThinnedChannel | undefined>()
  readonly #topics = new Map<string, number>()
  /** One byte for each entry, in order: 1 when it goes. */
  #goes = new Uint8Array(FIRST_ORDINALS)
  #next = 0
  #unsettled = 0
  #first: Seq = Number.POSITIVE_INFINITY
  #last: Seq = 0

  constructor(options: ThinningOptions) {
    this.#options = options
  }

  /** What is known of a channel, to be passed to add(); undefined when no policy matches it. */
  channel(name: ChannelName): ThinnedChannel | undefined {
    const key = `${name.source}\0${name.topic}`
    if (this.#channels.has(key)) return this.#channels.get(key)
    const policy = this.#options.keep.of(name)
    const channel =
      policy === undefined
        ? undefined
        : {
            topic: name.topic,
            newest: policy.newest,
            perUs: policy.perMs * 1_000,
            step: -1,
            seen: 0,
            ring: [],
            seqs: [],
          }
    this.#channels.set(key, channel)
    return channel
  }

  /** Every entry, in order; without a channel it stays. */
  add(thinned: ThinnedChannel | undefined, seq: Seq, monotonicUs: number): void {
    const ordinal = this.#next++
    if (thinned === undefined) return
    const step = Math.floor(monotonicUs / thinned.perUs)
    if (step !== thinned.step) {
      thinned.step = step
      thinned.seen = 0
    }
    const place = thinned.seen++ % thinned.newest
    if (thinned.seen > thinned.newest) this.#drop(thinned.ring[place] ?? 0, thinned.seqs[place] ?? 0, thinned.topic)
    thinned.ring[place] = ordinal
    thinned.seqs[place] = seq
  }

  /** Whether the entry with this number, counted from 0, goes. */
  goes(ordinal: number): boolean {
    return this.#goes[ordinal] === 1
  }

  /** Undefined when every sink has had what goes. */
  get loss(): ThinningLoss | undefined {
    if (this.#unsettled === 0) return undefined
    return { first: this.#first, last: this.#last, count: this.#unsettled, topics: this.#topics }
  }

  #drop(ordinal: number, seq: Seq, topic: string): void {
    if (seq > this.#options.settled) {
      if (!this.#options.unsettledToo) return
      this.#unsettled++
      this.#first = Math.min(this.#first, seq)
      this.#last = Math.max(this.#last, seq)
      this.#topics.set(topic, (this.#topics.get(topic) ?? 0) + 1)
    }
    if (ordinal >= this.#goes.length) {
      const grown = new Uint8Array(2 * Math.max(this.#goes.length, ordinal))
      grown.set(this.#goes)
      this.#goes = grown
    }
    this.#goes[ordinal] = 1
    this.count++
  }
}
