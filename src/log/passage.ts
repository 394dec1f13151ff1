// The way of one query through one segment: which stretches between its index points may hold what is asked for, and which
// entries are it. What cannot be is passed over unread; holes are told as they would be without the query.

import type { Seq } from '../core/contract.ts'
import { mayOverlap, spanOf } from './arrival-span.ts'
import { MARK_CHANNEL } from './channel.ts'
import type { Dictionary, EntryDecoder } from './entry-decoder.ts'
import type { ReadQuery } from './read-query.ts'
import { markSteps } from './steps.ts'
import type { IndexPoint, Summary } from './summary.ts'

/** A stretch that is passed over. */
export interface Passed {
  readonly last: Seq
  /** Seqs in it were thinned. */
  readonly thinned: boolean
  /** Where the next one begins; undefined behind the last one. */
  readonly offset: number | undefined
}

const MARKS = { source: '', topic: '' }

export class Passage {
  readonly #query: ReadQuery
  readonly #names: Dictionary
  /** By channel: for payloads that may be lists, and for others. */
  readonly #listVerdicts = new Map<number, boolean>()
  readonly #verdicts = new Map<number, boolean>()
  readonly #summary: Summary | undefined
  /** Of a sealed segment, the last stretch has an end. */
  readonly #sealed: boolean
  readonly #correctionMs: number | undefined
  /** A place for each index point that was looked at. */
  #wanted = new Uint8Array(0)
  #step = 0

  /** Without a summary nothing is passed over. */
  constructor(
    query: ReadQuery,
    names: Dictionary,
    summary: Summary | undefined,
    sealed: boolean,
    correctionMs: number | undefined,
  ) {
    this.#query = query
    this.#names = names
    this.#summary = summary
    this.#sealed = sealed
    this.#correctionMs = correctionMs
  }

  /** Whether it is the way of this very query. */
  isOf(query: ReadQuery): boolean {
    return this.#query === query
  }

  /** Whether the entry that glance() met last is asked for. One without a definition is: its reader says that it is lost. */
  wants(decoder: EntryDecoder): boolean {
    const { channel, lists, receivedAt } = decoder
    return this.#wantsChannel(channel, lists) && (this.#query.wantsArrival(receivedAt) || !this.#isDefined(channel))
  }

  /** The stretch that begins at an offset, if it holds nothing that is asked for and its holes are known. */
  pass(offset: number, next: Seq): Passed | undefined {
    const point = this.#pointAt(offset)
    if (point === undefined || point.seq > next || this.#summary === undefined) return undefined
    const behind = this.#summary.index[this.#step + 1]
    if (behind === undefined && !this.#sealed) return undefined
    if (this.#step >= this.#wanted.length) this.#look(this.#summary)
    if (this.#wanted[this.#step] === 1) return undefined
    const last = (behind?.seq ?? this.#summary.last + 1) - 1
    if (point.seqs !== last - point.seq + 1) return undefined
    return { last, thinned: point.thinned, offset: behind?.offset }
  }

  /** How far it is from an offset to the next stretch that can be passed over, as far as that is known. */
  wantedBytes(offset: number): number {
    const index = this.#summary?.index ?? []
    let step = this.#step + 1
    while (step < this.#wanted.length && this.#wanted[step] === 1) step++
    const end = index[step]?.offset
    return end === undefined || end <= offset ? Number.POSITIVE_INFINITY : end - offset
  }

  /** Offsets ascend from call to call, but for a reader that went back. */
  #pointAt(offset: number): IndexPoint | undefined {
    const index = this.#summary?.index ?? []
    if ((index[this.#step]?.offset ?? 0) > offset) this.#step = 0
    while ((index[this.#step + 1]?.offset ?? Number.POSITIVE_INFINITY) <= offset) this.#step++
    const point = index[this.#step]
    return point?.offset === offset ? point : undefined
  }

  /** Finds out which stretches are wanted, as many as there are by now. */
  #look(summary: Summary): void {
    // What is still being written may yet get what it has not.
    const total = summary.index.length - (this.#sealed ? 0 : 1)
    const wanted = new Uint8Array(total)
    if (this.#wantsChannel(MARK_CHANNEL, false)) markSteps(summary.markSteps, wanted)
    for (const [id, { lists, steps }] of summary.channels) if (this.#wantsChannel(id, lists)) markSteps(steps, wanted)
    for (let step = 0; step < total; step++)
      if (wanted[step] === 1 && !mayOverlap(spanOf(summary, step, step + 1), this.#query.range, this.#correctionMs))
        wanted[step] = 0
    this.#wanted = wanted
  }

  #isDefined(id: number): boolean {
    return id === MARK_CHANNEL || this.#names.get(id) !== undefined
  }

  #wantsChannel(id: number, lists: boolean): boolean {
    const verdicts = lists ? this.#listVerdicts : this.#verdicts
    const known = verdicts.get(id)
    if (known !== undefined) return known
    const name = id === MARK_CHANNEL ? MARKS : this.#names.get(id)
    if (name === undefined) return true
    const verdict = this.#query.wantsChannel(name, lists)
    verdicts.set(id, verdict)
    return verdict
  }
}
