// Fan-out: what became durable goes to every subscriber whose selection matches, once per short interval, so that thousands
// of subscribers cost little however many commits there are. Subscribers with equal selections share one batch. The hub
// keeps no queue for anybody: a subscriber that cannot take a batch catches up from the state by its seq.

import type { Seq } from '../core/contract.ts'
import { Batch } from './batch.ts'
import { type LiveReading, pageLength } from './reading.ts'
import type { Selection } from './selection.ts'

/** Commits closer together than this are sent together; nobody sees the difference, and the fan-out stays bounded. */
const FAN_OUT_INTERVAL_MS = 20
/** What one batch holds at most, but for one large message: whoever cannot take more is asked before the next one. */
const PAGE = { entries: 2_000, bytes: 64 * 1024 }

export interface Subscriber {
  readonly selection: Selection
  /**
   * Called with what is new and matches; must not throw, may remove the subscriber. The first batch may begin with readings
   * that are older than the subscription: see Batch.newerThan.
   */
  push(batch: Batch): void
}

interface Group {
  readonly selection: Selection
  readonly subscribers: Set<Subscriber>
  matched: LiveReading[]
}

export class Hub {
  readonly #intervalMs: number
  readonly #groups = new Map<string, Group>()
  /** Groups whose filters name devices exactly, found by device. */
  readonly #byDevice = new Map<string, Set<Group>>()
  /** Groups to be matched against each reading. */
  readonly #matching = new Set<Group>()
  #pending: LiveReading[] = []
  #seq: Seq = 0
  #flushed: Seq = 0
  #lastFlushMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #subscribers = 0

  constructor(intervalMs = FAN_OUT_INTERVAL_MS) {
    this.#intervalMs = intervalMs
  }

  get subscriberCount(): number {
    return this.#subscribers
  }

  /** Everything up to this seq has been handed to the subscribers. */
  get flushedSeq(): Seq {
    return this.#pending.length === 0 ? this.#seq : this.#flushed
  }

  /** Returns the subscriber's removal. */
  add(subscriber: Subscriber): () => void {
    const group = this.#groups.get(subscriber.selection.key) ?? this.#open(subscriber.selection)
    group.subscribers.add(subscriber)
    this.#subscribers++
    return () => {
      if (!group.subscribers.delete(subscriber)) return
      this.#subscribers--
      if (group.subscribers.size === 0) this.#close(group)
    }
  }

  /** Everything up to `seq` is in the state; these are the readings since the last call. */
  publish(readings: readonly LiveReading[], seq: Seq): void {
    if (this.#pending.length === 0) this.#flushed = this.#seq
    this.#seq = seq
    if (this.#groups.size === 0 || readings.length === 0) return
    for (const reading of readings) this.#pending.push(reading)
    if (this.#timer !== undefined) return
    const waitMs = this.#lastFlushMs + this.#intervalMs - performance.now()
    if (waitMs <= 0) this.#flush()
    else this.#timer = setTimeout(() => this.#flush(), waitMs)
  }

  /** What is about to be sent goes with the time that is known by now. */
  correct(bootId: string, correctionMs: number): void {
    this.#pending = this.#pending.map((reading) => reading.corrected(bootId, correctionMs) ?? reading)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#pending = []
  }

  #flush(): void {
    this.#timer = undefined
    this.#lastFlushMs = performance.now()
    const pending = this.#pending
    this.#pending = []
    const touched = new Set<Group>()
    for (const reading of pending) {
      for (const group of this.#matching) this.#match(group, reading, touched)
      for (const group of this.#byDevice.get(reading.device) ?? []) this.#match(group, reading, touched)
    }
    for (const group of touched) {
      const matched = group.matched
      group.matched = []
      this.#hand(group, matched)
    }
  }

  #hand(group: Group, matched: readonly LiveReading[]): void {
    let rest = matched
    while (rest.length > 0) {
      const length = pageLength(rest, PAGE)
      const page = rest.slice(0, length)
      rest = rest.slice(length)
      const batch = new Batch(rest.length === 0 ? this.#seq : (page.at(-1)?.seq ?? 0), page)
      for (const subscriber of group.subscribers) subscriber.push(batch)
    }
  }

  #match(group: Group, reading: LiveReading, touched: Set<Group>): void {
    if (!group.selection.matches(reading.device, reading.name)) return
    group.matched.push(reading)
    touched.add(group)
  }

  #open(selection: Selection): Group {
    const group: Group = { selection, subscribers: new Set(), matched: [] }
    this.#groups.set(selection.key, group)
    if (selection.exactDevices === undefined) this.#matching.add(group)
    else
      for (const device of selection.exactDevices) {
        const groups = this.#byDevice.get(device) ?? new Set()
        this.#byDevice.set(device, groups.add(group))
      }
    return group
  }

  #close(group: Group): void {
    this.#groups.delete(group.selection.key)
    this.#matching.delete(group)
    for (const device of group.selection.exactDevices ?? []) {
      const groups = this.#byDevice.get(device)
      groups?.delete(group)
      if (groups?.size === 0) this.#byDevice.delete(device)
    }
  }
}
