// What messages told about others (births, discovery topics), by dialect, source and key, with the seq that each came with:
// decoding a message uses what was known when it arrived, however late it is decoded; where nothing was, the first that was
// told later, as soon as that is learnt. Messages may be learnt in any order.
// Everything here follows from the log, and from what is kept beside it when retention takes such a message away.
//
// Topics come from strangers, so everything is bounded: what nobody needed since it was last looked at goes first, counted.

import type { Decodable, Seq } from '../core/contract.ts'
import type { Described, Description, TopicNote } from '../core/decoder-contract.ts'
import type { KnownTopic } from '../core/known-topic.ts'
import { type NotedTopic, noteTopic } from './noted-topic.ts'
import { type Saying, TellingTopic, type Version } from './telling-topic.ts'

/** What is learnt from; an Entry is one. `tags`: as they were when it was learnt before. */
export type Learnable = Decodable & { readonly seq: Seq; readonly tags?: readonly (string | undefined)[] }

export interface DescriptionLimits {
  /** Topics that tell something: a hundred Zigbee devices have some two thousand. */
  readonly topics: number
  /** Of one topic: older messages are then read with the oldest of them. */
  readonly versions: number
  /** Of all together. */
  readonly bytes: number
}

const DESCRIPTION_LIMITS: DescriptionLimits = { topics: 20_000, versions: 256, bytes: 8 * 2 ** 20 }
/** A birth of a thousand metrics has some hundred kilobytes. */
const MAX_PAYLOAD_BYTES = 512 * 1024
/** Things that one message tells, and topics that it names. */
const MAX_DESCRIBED = 1_000
/** One topic has at most this part of the bytes, but for its newest message. */
const TOPIC_PART = 8
/** What is left when there was too much: room is made for some at once. */
const KEPT_PART = 0.98
/** Different topics that tell about the same thing. */
const MAX_TELLERS = 256

const NO_TAGS: readonly (string | undefined)[] = []

export class Descriptions {
  readonly #limits: DescriptionLimits
  /** The least recently looked at first. */
  readonly #tellers = new Map<string, TellingTopic>()
  readonly #byKey = new Map<string, Set<TellingTopic>>()
  /** By source, then by topic: looked up for every message, so no key is put together for it. */
  readonly #byTopic = new Map<string, Map<string, Set<TellingTopic>>>()
  /** What is told about a topic, as worked out last. */
  readonly #noted = new WeakMap<Set<TellingTopic>, NotedTopic>()
  #bytes = 0
  #evicted = 0
  #changes = 0
  #repeats = 0

  constructor(limits: DescriptionLimits = DESCRIPTION_LIMITS) {
    this.#limits = limits
  }

  get sizeBytes(): number {
    return this.#bytes
  }

  get topicCount(): number {
    return this.#tellers.size
  }

  /** Topics and versions that were forgotten, and messages that were not taken, for want of room. */
  get evicted(): number {
    return this.#evicted
  }

  /** Goes up whenever something new was told. */
  get changes(): number {
    return this.#changes
  }

  /** Goes up whenever something was told again. */
  get repeats(): number {
    return this.#repeats
  }

  /** Whether anything is told about any topic: as long as it is not, nothing need be looked up. */
  get notesTopics(): boolean {
    return this.#byTopic.size > 0
  }

  /** Idempotent: what is known of this seq is left as it is. `describe` may throw: then nothing was told. */
  learn(dialect: string, message: Learnable, describe: () => readonly Described[]): void {
    const { seq, receivedAt, source, topic, payload } = message
    const name = nameOf(dialect, source, topic)
    const known = this.#tellers.get(name)
    if (known?.has(seq) === true) return
    const neighbours = known?.neighbours(seq) ?? []
    let saying = neighbours.find((version) => version.saying.payload.equals(payload))?.saying
    let tags = message.tags ?? (saying === undefined ? NO_TAGS : tagsOf(saying.described))
    if (saying === undefined) {
      if (payload.length > MAX_PAYLOAD_BYTES) {
        this.#evicted++
        return
      }
      const described = describe().slice(0, MAX_DESCRIBED)
      const fingerprint = JSON.stringify(described.map(({ key, value, topics }) => [key, value, topics]))
      tags = message.tags ?? tagsOf(described)
      saying =
        neighbours.find((version) => version.saying.fingerprint === fingerprint)?.saying ??
        // A copy: the payload is a part of a large block of the log.
        ({ payload: Buffer.from(payload), described, fingerprint } satisfies Saying)
    }
    const teller = known ?? new TellingTopic(dialect, source, topic)
    const isNew = neighbours.every((version) => version.saying !== saying)
    const before = known === undefined ? 0 : teller.sizeBytes
    teller.insert({ seq, receivedAt, saying, tags: tags.some((tag) => tag !== undefined) ? tags : NO_TAGS }, isNew)
    if (known === undefined) this.#tellers.set(name, teller)
    const { versions, bytes } = this.#limits
    while (teller.versions.length > versions || (teller.versions.length > 1 && teller.sizeBytes > bytes / TOPIC_PART)) {
      this.#forgetOldest(teller)
      this.#evicted++
    }
    this.#bytes += teller.sizeBytes - before
    if (isNew) {
      this.#changes++
      this.#index(teller, saying)
      this.#renote(teller)
    } else this.#repeats++
    this.#evict(teller)
  }

  /**
   * The newest that came before `seq` (without one: the newest of all); where there is none before it, the oldest after it.
   * Undefined where nothing was told, or by then nothing any more.
   */
  find(dialect: string, source: string, key: string, seq: Seq | undefined): Description | undefined {
    const tellers = this.#byKey.get(nameOf(dialect, source, key))
    if (tellers === undefined) return undefined
    let found: { readonly version: Version; readonly teller: TellingTopic } | undefined
    for (const teller of tellers) {
      const version = teller.before(seq) ?? teller.versions[0]
      if (version !== undefined && (found === undefined || isBetter(version.seq, found.version.seq, seq)))
        found = { version, teller }
    }
    if (found === undefined) return undefined
    found.teller.used = true
    const { saying, receivedAt, tags, seq: told } = found.version
    const place = saying.described.findIndex((one) => one.key === key)
    const described = saying.described[place]
    if (described === undefined) return undefined
    const tag = tags[place]
    return { seq: told, receivedAt, value: described.value, ...(tag === undefined ? {} : { tag }) }
  }

  /** What is told about a topic, whatever decodes it. */
  noted(source: string, topic: string, seq: Seq | undefined): NotedTopic | undefined {
    const tellers = this.#byTopic.get(source)?.get(topic)
    if (tellers === undefined) return undefined
    const at = seq ?? Number.POSITIVE_INFINITY
    const worked = this.#noted.get(tellers)
    if (worked !== undefined && at > worked.after && at <= worked.upTo) return worked
    const notes: TopicNote[] = []
    let after: Seq = Number.NEGATIVE_INFINITY
    let upTo: Seq = Number.POSITIVE_INFINITY
    // Where several contradict each other the first one counts: which one that is must not depend on who was learnt first.
    for (const teller of Array.from(tellers).sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0))) {
      teller.used = true
      const run = teller.run(seq)
      if (run === undefined) continue
      after = Math.max(after, run.after)
      upTo = Math.min(upTo, run.upTo)
      for (const { topics = [] } of run.version.saying.described)
        for (const note of topics) if (note.topic === topic) notes.push(note)
    }
    const noted = noteTopic(notes, after, upTo)
    this.#noted.set(tellers, noted)
    return noted
  }

  /** Everything, as it is kept beside the log. */
  export(): readonly KnownTopic[] {
    return Array.from(this.#tellers.values(), ({ source, topic, versions }) => {
      const sayings = new Map<Saying, KnownTopic['told'][number]['at'][number][]>()
      for (const { saying, seq, receivedAt, tags } of versions) {
        const at = sayings.get(saying) ?? []
        sayings.set(saying, at)
        at.push({ seq, receivedAt, ...(tags.length === 0 ? {} : { tags }) })
      }
      return { source, topic, told: Array.from(sayings, ([{ payload }, at]) => ({ payload, at })) }
    })
  }

  #index(teller: TellingTopic, { described }: Saying): void {
    for (const { key, topics = [] } of described) {
      this.#add(this.#byKey, nameOf(teller.dialect, teller.source, key), teller)
      if (topics.length === 0) continue
      const ofSource = this.#byTopic.get(teller.source) ?? new Map<string, Set<TellingTopic>>()
      this.#byTopic.set(teller.source, ofSource)
      for (const { topic } of topics) this.#add(ofSource, topic, teller)
    }
  }

  #add(index: Map<string, Set<TellingTopic>>, name: string, teller: TellingTopic): void {
    const tellers = index.get(name)
    if (tellers === undefined) index.set(name, new Set([teller]))
    else if (tellers.size < MAX_TELLERS) tellers.add(teller)
    else if (!tellers.has(teller)) this.#evicted++
  }

  /** What was worked out about the topics that it names is void. */
  #renote(teller: TellingTopic): void {
    for (const { described } of teller.sayings())
      for (const { topics = [] } of described)
        for (const { topic } of topics) {
          const tellers = this.#byTopic.get(teller.source)?.get(topic)
          if (tellers !== undefined) this.#noted.delete(tellers)
        }
  }

  #forgetOldest(teller: TellingTopic): void {
    this.#renote(teller)
    const gone = teller.forgetOldest()
    if (gone !== undefined) this.#unindex(teller, gone)
  }

  #unindex(teller: TellingTopic, { described }: Saying): void {
    for (const { key, topics = [] } of described) {
      remove(this.#byKey, nameOf(teller.dialect, teller.source, key), teller)
      const ofSource = this.#byTopic.get(teller.source)
      if (ofSource === undefined) continue
      for (const { topic } of topics) remove(ofSource, topic, teller)
      if (ofSource.size === 0) this.#byTopic.delete(teller.source)
    }
    // Names that others of its sayings have as well.
    for (const saying of teller.sayings()) this.#index(teller, saying)
  }

  #evict(youngest: TellingTopic): void {
    const { topics, bytes } = this.#limits
    if (this.#tellers.size <= topics && this.#bytes <= bytes) return
    for (const [name, teller] of this.#tellers) {
      if (this.#tellers.size <= KEPT_PART * topics && this.#bytes <= KEPT_PART * bytes) return
      if (teller === youngest) continue
      this.#tellers.delete(name)
      if (teller.used) {
        // A second chance, behind those that nobody needs.
        teller.used = false
        this.#tellers.set(name, teller)
        continue
      }
      this.#bytes -= teller.sizeBytes
      this.#evicted++
      this.#renote(teller)
      const sayings = teller.sayings()
      teller.versions.length = 0
      for (const saying of sayings) this.#unindex(teller, saying)
    }
  }
}

const nameOf = (dialect: string, source: string, text: string): string => `${dialect}\n${source}\n${text}`

const tagsOf = (described: readonly Described[]): readonly (string | undefined)[] => described.map(({ tag }) => tag)

/** Whether the one counts more than the other at `seq`: before it the newest, behind it the oldest. */
const isBetter = (one: Seq, other: Seq, seq: Seq = Number.POSITIVE_INFINITY): boolean =>
  one < seq ? other >= seq || one > other : other >= seq && one < other

const remove = (index: Map<string, Set<TellingTopic>>, name: string, teller: TellingTopic): void => {
  const tellers = index.get(name)
  tellers?.delete(teller)
  if (tellers?.size === 0) index.delete(name)
}
