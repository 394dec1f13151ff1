// A topic whose messages tell about others, with what it told and when: versions in seq order. Versions that tell the same
// share one saying, so that a device that repeats itself at every reconnect costs a few bytes each time.

import type { Seq, UnixMs } from '../core/contract.ts'
import type { Described } from '../core/decoder-contract.ts'

/** What a message told. */
export interface Saying {
  readonly payload: Buffer
  readonly described: readonly Described[]
  /** Equal for sayings that tell the same. */
  readonly fingerprint: string
}

export interface Version {
  readonly seq: Seq
  readonly receivedAt: UnixMs
  readonly saying: Saying
  /** Of each thing described, in their order. */
  readonly tags: readonly (string | undefined)[]
}

/** Versions that tell the same and follow each other: from which seq on (exclusive), and up to which (inclusive), they count. */
export interface Run {
  readonly version: Version
  readonly after: Seq
  readonly upTo: Seq
}

/** What objects cost besides what they hold, roughly. */
const SAYING_BYTES = 300
const VERSION_BYTES = 80

const sayingBytes = ({ payload, fingerprint }: Saying): number => SAYING_BYTES + payload.length + 2 * fingerprint.length

export class TellingTopic {
  readonly dialect: string
  readonly source: string
  readonly topic: string
  /** Ascending by seq. */
  readonly versions: Version[] = []
  /** Somebody needed it since it was last looked at. */
  used = false
  #bytes: number

  constructor(dialect: string, source: string, topic: string) {
    this.dialect = dialect
    this.source = source
    this.topic = topic
    this.#bytes = 2 * (source.length + topic.length)
  }

  /** The newest that came before `seq` (without one: the newest of all). */
  before(seq: Seq = Number.POSITIVE_INFINITY): Version | undefined {
    return this.versions[this.#place(seq) - 1]
  }

  has(seq: Seq): boolean {
    return this.versions[this.#place(seq)]?.seq === seq
  }

  /** Those on both sides of a seq. */
  neighbours(seq: Seq): readonly Version[] {
    const place = this.#place(seq)
    return this.versions.slice(Math.max(0, place - 1), place + 1)
  }

  /** `isNew`: no version has this saying yet. */
  insert(version: Version, isNew: boolean): void {
    this.versions.splice(this.#place(version.seq), 0, version)
    this.#bytes += VERSION_BYTES + (isNew ? sayingBytes(version.saying) : 0)
  }

  /** Forgets the oldest version; returns its saying if no other version has it. */
  forgetOldest(): Saying | undefined {
    const saying = this.versions.shift()?.saying
    if (saying === undefined) return undefined
    this.#bytes -= VERSION_BYTES
    if (this.versions.some((version) => version.saying === saying)) return undefined
    this.#bytes -= sayingBytes(saying)
    return saying
  }

  /** What counts at `seq`: the newest before it, else the oldest after it; and for which other seqs it is the same. */
  run(seq: Seq = Number.POSITIVE_INFINITY): Run | undefined {
    let first = Math.max(0, this.#place(seq) - 1)
    const version = this.versions[first]
    if (version === undefined) return undefined
    let next = first + 1
    while (this.versions[next]?.saying === version.saying) next++
    while (first > 0 && this.versions[first - 1]?.saying === version.saying) first--
    return {
      version,
      after: first === 0 ? Number.NEGATIVE_INFINITY : (this.versions[first]?.seq ?? 0),
      upTo: this.versions[next]?.seq ?? Number.POSITIVE_INFINITY,
    }
  }

  /** Different ones, oldest first. */
  sayings(): Set<Saying> {
    return new Set(this.versions.map(({ saying }) => saying))
  }

  get sizeBytes(): number {
    return this.#bytes
  }

  /** Index of the first version that is not before `seq`. */
  #place(seq: Seq): number {
    let place = this.versions.length
    while (place > 0 && (this.versions[place - 1]?.seq ?? 0) >= seq) place--
    return place
  }
}
