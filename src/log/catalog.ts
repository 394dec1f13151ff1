// What readers of one log remember about its sealed segments, so that a query passes over those that hold nothing for it
// without opening them: per segment its seqs, its times and a bit for each channel. Bounded; what is forgotten is read again
// from the footer. A card is never wrong for the file it was made from, and a file that replaces it holds either less (it was
// thinned) or also what the next ones held (it was merged): then the name behind it is another, and the card counts no more.

import type { Seq } from '../core/contract.ts'
import type { ArrivalSpan } from './arrival-span.ts'
import { mayOverlap, spanOf } from './arrival-span.ts'
import type { QueriedName, ReadQuery } from './read-query.ts'
import { setBit } from './read-query.ts'
import type { SegmentHeader } from './segment-header.ts'
import type { Summary } from './summary.ts'

/** 64 GiB of segments with hundreds of channels, and a fraction of what the cheapest gateway has. */
const MAX_CARD_BYTES = 4 * 1024 * 1024
/** A card without its bits, roughly. */
const CARD_BYTES = 320
/** Topics come from outside. Beyond these, everything is forgotten and learned anew. */
const MAX_NAMES = 32_768
const MAX_NAME_LENGTHS = 1024 * 1024

/** The segment that is being written, as its writer knows it. */
export interface LiveSegment {
  readonly header: SegmentHeader
  readonly summary: Summary
}

export interface Card {
  /** First seq of the segment behind it when the card was made. */
  readonly until: Seq
  readonly last: Seq
  /** Seqs are missing in it: nothing is known about them, or they were thinned. */
  readonly holes: 'none' | 'thinned' | 'unknown'
  readonly bootId: string
  readonly span: ArrivalSpan
  /** A bit for each name. */
  readonly names: Uint8Array
}

export class Catalog {
  readonly #live: () => LiveSegment | undefined
  /** The least recently used first. */
  readonly #cards = new Map<Seq, Card>()
  #cardBytes = 0
  /** Place of each name, by source, then by topic behind a sign for lists. */
  #places = new Map<string, Map<string, number>>()
  #names: QueriedName[] = []
  #nameLengths = 0
  /** `live`: the segment that is written in this thread, if any is. */
  constructor(live: () => LiveSegment | undefined = () => undefined) {
    this.#live = live
  }

  /** What all of this takes, roughly: a name is kept twice. */
  get sizeBytes(): number {
    return this.#cardBytes + 2 * this.#nameLengths
  }

  /** What is known of a segment that is not sealed yet. */
  live(header: SegmentHeader): Summary | undefined {
    const live = this.#live()
    return live?.header.identity.equals(header.identity) ? live.summary : undefined
  }

  card(first: Seq, until: Seq): Card | undefined {
    const card = this.#cards.get(first)
    if (card === undefined) return undefined
    this.#cards.delete(first)
    if (until > card.until) {
      this.#cardBytes -= sizeOf(card)
      return undefined
    }
    this.#cards.set(first, card)
    return card
  }

  /** Makes the card of a sealed segment. */
  learn(header: SegmentHeader, summary: Summary, until: Seq): Card {
    const names = this.#bitsOf(summary)
    const { last, index } = summary
    const { bootId } = header
    const span = spanOf(summary, 0, index.length)
    const card: Card = { until, last, holes: holesIn(summary, header.first), bootId, span, names }
    const before = this.#cards.get(header.first)
    if (before !== undefined) this.#cardBytes -= sizeOf(before)
    this.#cards.delete(header.first)
    this.#cards.set(header.first, card)
    this.#cardBytes += sizeOf(card)
    for (const [first, oldest] of this.#cards) {
      if (this.#cardBytes <= MAX_CARD_BYTES || oldest === card) break
      this.#cards.delete(first)
      this.#cardBytes -= sizeOf(oldest)
    }
    return card
  }

  /** False only when the segment holds nothing that the query asks for. */
  mayHold(card: Card, query: ReadQuery, correctionMs: number | undefined): boolean {
    if (!mayOverlap(card.span, query.range, correctionMs)) return false
    const wanted = query.answers(this.#names)
    for (const [index, bits] of card.names.entries()) if ((bits & (wanted[index] ?? 0)) !== 0) return true
    return false
  }

  #bitsOf({ channels, entries, messages }: Summary): Uint8Array {
    if (this.#names.length + channels.size > MAX_NAMES || this.#nameLengths > MAX_NAME_LENGTHS) this.#forget()
    const places: number[] = []
    if (entries > messages) places.push(this.#place({ source: '', topic: '', lists: false }))
    let highest = places[0] ?? 0
    for (const name of channels.values()) {
      const place = this.#place(name)
      places.push(place)
      if (place > highest) highest = place
    }
    const bits = new Uint8Array((highest >> 3) + 1)
    for (const place of places) setBit(bits, place)
    return bits
  }

  #place({ source, topic, lists }: QueriedName): number {
    let topics = this.#places.get(source)
    if (topics === undefined) {
      topics = new Map()
      this.#places.set(source, topics)
    }
    const key = lists ? `[${topic}` : ` ${topic}`
    const known = topics.get(key)
    if (known !== undefined) return known
    const place = this.#names.length
    topics.set(key, place)
    this.#names.push({ source, topic, lists })
    this.#nameLengths += topic.length
    return place
  }

  #forget(): void {
    this.#cards.clear()
    this.#cardBytes = 0
    this.#places = new Map()
    this.#names = []
    this.#nameLengths = 0
  }
}

/** Whether every seq has an entry, and if not, whether only thinning took some. */
const holesIn = (summary: Summary, first: Seq): Card['holes'] => {
  let seq = first
  let thinned = false
  for (const [step, point] of summary.index.entries()) {
    const end = summary.index[step + 1]?.seq ?? summary.last + 1
    if (point.seq !== seq || point.seqs !== end - point.seq) return 'unknown'
    seq = end
    thinned ||= point.thinned
  }
  return thinned ? 'thinned' : 'none'
}

const sizeOf = (card: Card): number => CARD_BYTES + card.names.length
