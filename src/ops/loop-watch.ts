// Notices when the same messages come in twice: through the broker and, by way of somebody else's bridge, through an MQTT
// client, or through two clients of one broker. Nothing is dropped for it, because two sensors may say the same; it is told,
// because every value is then stored and forwarded twice.
//
// A sample of the messages is compared, chosen by their content, so that both copies of one are in it.

import { crc32 } from 'node:zlib'
import type { Entry } from '../core/contract.ts'

/** A copy comes within this time, or it is another message of the same content. */
const WINDOW_MS = 5_000
/** Messages remembered at a time: twice this many at most. */
const REMEMBERED = 2_048
/** Of the messages of a source that are compared, so many of the newest decide. */
const DECIDING = 64
/** Fewer are chance. */
const LEAST_COPIES = 16
/** Above this rate one message in eight is compared, which costs the rest a CRC. */
const SAMPLED_PART = 7

interface Seen {
  readonly source: string
  readonly atMs: number
}

export interface Loop {
  /** The source that brings copies, and the one that brings the same first. */
  readonly source: string
  readonly other: string
  /** One topic, as an example. */
  readonly topic: string
}

export interface LoopWatchOptions {
  /** Sources whose messages may be copies: those that subscribe at another broker. */
  readonly clients: ReadonlySet<string>
  /** Told once, until it has ended. */
  readonly onLoop: (loop: Loop) => void
}

export class LoopWatch {
  readonly #options: LoopWatchOptions
  #young = new Map<number, Seen>()
  #old = new Map<number, Seen>()
  /** Of each client: 1 for a copy, 0 for a message of its own, the newest last. */
  readonly #verdicts = new Map<string, number[]>()
  readonly #loops = new Map<string, Loop>()

  constructor(options: LoopWatchOptions) {
    this.#options = options
  }

  /** The loop that the source is in, at present. */
  loopOf(source: string): Loop | undefined {
    return this.#loops.get(source)
  }

  /** Entries in the order of the log. Costs nothing where no source is a client. */
  observe(entries: readonly Entry[]): void {
    if (this.#options.clients.size === 0) return
    for (const entry of entries) if (entry.kind === 'message' && !entry.retain) this.#observe(entry)
  }

  #observe(entry: Entry): void {
    const key = crc32(entry.payload, crc32(entry.topic))
    if (entries(this.#young, this.#old) > REMEMBERED && (key & SAMPLED_PART) !== 0) return
    const known = this.#young.get(key) ?? this.#old.get(key)
    const { source, monotonicMs, topic } = entry
    const isClient = this.#options.clients.has(source)
    const isCopy = known !== undefined && known.source !== source && Math.abs(monotonicMs - known.atMs) <= WINDOW_MS
    if (isCopy) {
      // The broker's own message may come behind the copy: then the client's one is judged now.
      const client = isClient ? source : this.#options.clients.has(known.source) ? known.source : undefined
      if (client === undefined) return
      this.#judge(client, 1, { source: client, other: client === source ? known.source : source, topic })
      this.#young.delete(key)
      this.#old.delete(key)
      return
    }
    if (isClient) this.#judge(source, 0, undefined)
    if (this.#young.size >= REMEMBERED) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, { source, atMs: monotonicMs })
  }

  #judge(source: string, verdict: 0 | 1, loop: Loop | undefined): void {
    const verdicts = this.#verdicts.get(source) ?? []
    this.#verdicts.set(source, verdicts)
    verdicts.push(verdict)
    if (verdicts.length > DECIDING) verdicts.shift()
    const copies = verdicts.reduce((sum, one) => sum + one, 0)
    const isLoop = copies >= LEAST_COPIES && copies * 3 >= verdicts.length
    if (!isLoop) this.#loops.delete(source)
    else if (loop !== undefined && !this.#loops.has(source)) {
      this.#loops.set(source, loop)
      this.#options.onLoop(loop)
    }
  }
}

const entries = (young: ReadonlyMap<number, Seen>, old: ReadonlyMap<number, Seen>): number => young.size + old.size
