// What a log must be like, kept beside the real one: who was promised what, which seq was ever seen to name what, and what
// may have gone for which reason. Every check throws with what is wrong.

import type { Entry, Gap, LossMark, Message, Seq } from '../../src/core/contract.ts'
import type { LogReader, ReadLimit } from '../../src/core/log-contract.ts'

import { MIN_LEAP } from '../../src/log/limits.ts'

export class Violation extends Error {}

const violated = (what: string): never => {
  throw new Violation(what)
}

/** Everything that a message consists of, as one text. */
const nameOf = ({ topic, source, qos, retain, origin, payload }: Message): string =>
  `${topic} ${source} ${qos} ${retain} ${origin?.clientHash ?? '-'} ${origin?.packetId ?? '-'} ${payload.length} ${payload.toString('latin1', 0, 24)} ${payload.subarray(-8).toString('hex')}`

interface Range {
  readonly first: Seq
  readonly last: Seq
}

const covers = (ranges: readonly Range[], seq: Seq): boolean =>
  ranges.some(({ first, last }) => first <= seq && seq <= last)

/** Reasons that may explain the absence of what was promised, when a loss mark that was durable before says the same. */
const MARKED_REASONS: ReadonlySet<string> = new Set(['retention', 'thinned'])

export class LogModel {
  /** Messages that were appended, by what they consist of; the value is the seq, once it is known. */
  readonly #appended = new Map<string, Seq | undefined>()
  /** What each seq was ever seen to name. */
  readonly #seen = new Map<Seq, string>()
  /** Seqs that must be readable, or be explained. */
  readonly #promised = new Map<Seq, Entry['kind']>()
  /** What the loss marks said that were durable. */
  readonly #marked: (Range & { readonly reason: string })[] = []
  /** Everything up to here was said to be settled. */
  settled: Seq = 0
  /** No seq up to here may be given again. */
  #given: Seq = 0
  /** The newest seq that was seen. */
  newest: Seq = 0
  /** Damage was done on purpose: what it destroyed may be a gap of reason corrupt. */
  readonly destroyed: Range[] = []
  /** The disk failed, or was full. */
  faulty = false
  /** It could not be read at times. */
  unreadable = false
  /** Everything works again, and had the time to be written. */
  settledDown = false

  get promised(): ReadonlyMap<Seq, Entry['kind']> {
    return this.#promised
  }

  appended(message: Message): void {
    const name = nameOf(message)
    if (this.#appended.has(name)) throw new Error(`the test appends ${name} twice`)
    this.#appended.set(name, undefined)
  }

  /** A seq was promised to the sender: the message is durable. */
  acknowledged(message: Message, seq: Seq): void {
    this.#names(seq, nameOf(message), 'acknowledged')
    this.#promised.set(seq, 'message')
  }

  /** The seq is one that no run before may have given. */
  isNew(seq: Seq): void {
    // A start that could not write at all went as far as that into the unknown, and nobody knows where.
    if (seq <= this.#given && this.#given - seq < MIN_LEAP)
      violated(`seq ${seq} is given again: ${this.#given} was given before`)
  }

  /** The log said to its listeners that this is durable. */
  durable(entry: Entry): void {
    this.#saw(entry, 'durable')
    this.#promised.set(entry.seq, entry.kind)
  }

  /** The log, or a reader of another process, showed it. */
  #saw(entry: Entry, how: string): void {
    if (entry.kind === 'message') {
      this.#names(entry.seq, nameOf(entry), how)
      return
    }
    const text = `${entry.kind} ${entry.payload.toString()}`
    const before = this.#seen.get(entry.seq)
    if (before !== undefined && before !== text)
      violated(`seq ${entry.seq} is ${how} as ${text}, and was ${before} before`)
    this.#remember(entry.seq, text)
    if (entry.kind === 'loss') this.#mark(JSON.parse(entry.payload.toString()) as LossMark)
  }

  /** The log showed what is not durable. A mark may still be told in other words. */
  shown(entry: Entry): void {
    if (entry.kind === 'message') this.#saw(entry, 'shown')
  }

  #remember(seq: Seq, name: string): void {
    this.#seen.set(seq, name)
    this.newest = Math.max(this.newest, seq)
  }

  /** A run ends: neither what was seen, nor the `beyond` seqs behind the durable one may be given again. */
  ends(durable: Seq, beyond: number): void {
    this.#given = Math.max(this.#given, this.newest, durable + beyond)
  }

  #mark({ first, last, reason }: LossMark): void {
    if (!this.#marked.some((one) => one.first === first && one.last === last && one.reason === reason))
      this.#marked.push({ first, last, reason })
  }

  #names(seq: Seq, name: string, how: string): void {
    if (!this.#appended.has(name)) violated(`seq ${seq} is ${how} as ${name}, which nobody appended`)
    const before = this.#seen.get(seq)
    if (before !== undefined && before !== name) violated(`seq ${seq} is ${how} as ${name}, and was ${before} before`)
    const other = this.#appended.get(name)
    if (other !== undefined && other !== seq) violated(`${name} is ${how} under ${seq}, and was under ${other} before`)
    this.#remember(seq, name)
    this.#appended.set(name, seq)
  }

  /** What a program that starts now may read, and what it must. */
  async check(reader: LogReader, durable: () => Seq, from: Seq, limit: ReadLimit): Promise<Entry[]> {
    const before = durable()
    const found: Entry[] = []
    const gaps: Gap[] = []
    let after = from
    for (let turns = 0; ; turns++) {
      const result = await reader.read(after, limit)
      this.#checkOrder(result.entries, result.gaps, after, result.next, limit)
      found.push(...result.entries)
      gaps.push(...result.gaps)
      if (result.next === after) break
      after = result.next
      if (turns > 100_000) violated(`reading from ${from} does not end`)
    }
    const now = durable()
    if (Number.isFinite(now) && (after < Math.max(from, before) || after > Math.max(from, now)))
      violated(`reading from ${from} ends at ${after}; durable was ${before} and is ${now}`)
    for (const entry of found) {
      this.#saw(entry, 'read')
      // What the log serves as durable must stay, whether anybody was promised it or not; on a disk on which recovery cannot
      // write the last segment anew, only what was promised.
      if (!this.faulty && Number.isFinite(before) && entry.seq <= before) this.#promised.set(entry.seq, entry.kind)
    }
    this.#checkPromises(new Set(found.map(({ seq }) => seq)), gaps, from, after)
    return found
  }

  /** A filter leaves out what does not match, and nothing else. `found` is what was read without it before. */
  async checkFiltered(
    reader: LogReader,
    { topic, limit, found }: { readonly topic: string; readonly limit: ReadLimit; readonly found: readonly Entry[] },
  ): Promise<void> {
    const filter = { channel: (name: string) => name === topic }
    const seqs = new Set<Seq>()
    const gaps: Gap[] = []
    let previous = 0
    for (let after = 0; ; ) {
      const result = await reader.read(after, limit, filter)
      gaps.push(...result.gaps)
      for (const entry of result.entries) {
        if (entry.topic !== topic) violated(`seq ${entry.seq} on ${entry.topic} is read where ${topic} was asked for`)
        if (entry.seq <= previous) violated(`seq ${entry.seq} is read behind ${previous}`)
        previous = entry.seq
        this.#saw(entry, 'read')
        seqs.add(entry.seq)
      }
      if (result.next === after) break
      after = result.next
    }
    for (const { seq, topic: name } of found)
      if (name === topic && !seqs.has(seq) && !covers(gaps, seq)) violated(`seq ${seq} is not found by its topic`)
  }

  /** Entries and gaps cover everything from `after` to `next`, each seq once. */
  #checkOrder(entries: readonly Entry[], gaps: readonly Gap[], after: Seq, next: Seq, limit: ReadLimit): void {
    if (entries.length > limit.entries) violated(`${entries.length} entries where ${limit.entries} were asked for`)
    let previous = after
    for (const { seq } of entries) {
      if (seq <= previous) violated(`seq ${seq} is read behind ${previous}`)
      previous = seq
    }
    const parts = [
      ...entries.map(({ seq }) => ({ first: seq, last: seq })),
      ...gaps.filter(({ partial }) => partial !== true),
    ].sort((a, b) => a.first - b.first)
    const partial = gaps.filter((gap) => gap.partial === true)
    let expected = after + 1
    for (const { first, last } of parts) {
      for (; expected < first; expected++)
        if (!covers(partial, expected)) violated(`${expected} is neither read nor missed (from ${after} to ${next})`)
      if (first < expected) violated(`${first} is both read and missed (from ${after} to ${next})`)
      expected = last + 1
    }
    for (; expected <= next; expected++)
      if (!covers(partial, expected)) violated(`${expected} is neither read nor missed (from ${after} to ${next})`)
    if (expected !== next + 1) violated(`a read from ${after} to ${next} covers ${expected - 1}`)
  }

  #checkPromises(found: ReadonlySet<Seq>, gaps: readonly Gap[], from: Seq, to: Seq): void {
    for (const [seq, kind] of this.#promised) {
      if (seq <= from || seq > to || found.has(seq)) continue
      const gap = gaps.find(({ first, last }) => first <= seq && seq <= last)
      if (gap === undefined) violated(`seq ${seq} was durable; it is neither read nor missed`)
      else this.#checkReason(seq, kind, gap)
    }
  }

  #checkReason(seq: Seq, kind: Entry['kind'], { first, last, reason }: Gap): void {
    if (covers(this.destroyed, seq)) return
    // A segment that cannot be read at a start is set aside, with a mark, and the marks in it with it.
    if (this.unreadable && (covers(this.#marked, seq) || reason === 'retention' || !this.settledDown)) return
    const what = `seq ${seq} (${kind}) was durable and is missed as ${reason} (${first} to ${last})`
    if (!MARKED_REASONS.has(reason)) violated(what)
    // A mark of its own would be needed for a mark that goes, and another for that.
    if (kind !== 'message' || seq <= this.settled) return
    // A disk that takes nothing takes no mark: the log owes it.
    if (this.faulty && !this.settledDown) return
    if (
      !covers(
        this.#marked.filter((one) => MARKED_REASONS.has(one.reason)),
        seq,
      )
    )
      violated(`${what} without a loss mark`)
  }
}
