// What is known about one device: when it was last heard and through what, its faults, how often it usually reports, and
// whether it is overdue. Ages are taken from the monotonic clock where the boot is the same, so a clock that jumps (the first
// synchronisation) makes no device stale.

import type { Clock, Entry, Seq, TimeQuality, UnixMs } from '../core/contract.ts'
import type { LiveReading } from './reading.ts'

/** Weight of the newest interval: about ten reports until a changed rhythm is learnt. */
const INTERVAL_WEIGHT = 0.2
/** An interval counts for at most this many expected ones, so that one outage does not hide the next. */
const OUTLIER_FACTOR = 4
/** What arrives within this part of the expected interval belongs to the same report (one topic per quantity). */
const BURST_PART = 0.2
/** So does what arrives this soon, before a rhythm is known: ESPHome sends all its topics within microseconds. */
const BURST_MS = 1_000
/** Overdue by this many expected intervals is stale. */
const STALE_FACTOR = 3
/** Fast devices are not called stale for a hiccup. */
const STALE_FLOOR_MS = 5_000
/** Intervals to see before an expectation is stated. */
const LEARN_INTERVALS = 3

export interface Fault {
  readonly seq: Seq
  readonly timeMs: UnixMs
  readonly reason: string
  /** Where the time was read from a clock that was not set. */
  readonly unsynced?: { readonly monotonicMs: number; readonly bootId: string }
}

/** One value in the list of all values, which is ordered by seq. */
export interface ValueNode {
  reading: LiveReading
  readonly device: DeviceRecord
  older: ValueNode | undefined
  newer: ValueNode | undefined
}

export interface DeviceReport {
  readonly device: string
  readonly profile: string
  readonly source: string
  readonly lastSeq: Seq
  readonly lastHeard: string
  /** Of `lastHeard`. */
  readonly timeQuality?: TimeQuality
  readonly values: number
  readonly faults: number
  readonly lastFault?: { readonly seq: Seq; readonly time: string; readonly reason: string }
  readonly expectedIntervalMs?: number
  readonly stale: boolean
}

export class DeviceRecord {
  readonly device: string
  readonly values = new Map<string, ValueNode>()
  lastSeq: Seq = 0
  #profile = ''
  #source = ''
  #heardAt: UnixMs = 0
  #heardMonotonicMs = 0
  #bootId = ''
  #timeQuality: TimeQuality | undefined
  /** Start of the present report; the next interval is measured from here. */
  #anchorMs = 0
  #intervalMs = 0
  #intervals = 0
  #faults = 0
  #lastFault: Fault | undefined

  constructor(device: string) {
    this.device = device
  }

  get faults(): number {
    return this.#faults
  }

  /** Notes an arrival; calls come in seq order. */
  hear(entry: Entry, profile: string): void {
    if (entry.seq <= this.lastSeq) return
    if (entry.bootId === this.#bootId) this.#learn(entry.monotonicMs)
    else this.#anchorMs = entry.monotonicMs
    this.lastSeq = entry.seq
    this.#profile = profile
    this.#source = entry.source
    this.#heardAt = entry.receivedAt
    this.#heardMonotonicMs = entry.monotonicMs
    this.#bootId = entry.bootId
    this.#timeQuality = entry.timeQuality
  }

  fault(entry: Entry, reason: string): void {
    this.#faults++
    const { seq, receivedAt: timeMs, timeQuality, monotonicMs, bootId } = entry
    this.#lastFault = {
      seq,
      timeMs,
      reason,
      ...(timeQuality === 'unsynced' ? { unsynced: { monotonicMs, bootId } } : {}),
    }
  }

  /** Brings times from before the clock was set to what they were. */
  correct(bootId: string, correctionMs: number): void {
    if (this.#timeQuality === 'unsynced' && this.#bootId === bootId) {
      this.#heardAt = this.#heardMonotonicMs + correctionMs
      this.#timeQuality = 'corrected'
    }
    const fault = this.#lastFault
    if (fault?.unsynced?.bootId !== bootId) return
    this.#lastFault = { seq: fault.seq, reason: fault.reason, timeMs: fault.unsynced.monotonicMs + correctionMs }
  }

  /** Takes over what an older stretch of the log knew about the same device. */
  adopt(older: DeviceRecord): void {
    this.#faults += older.#faults
    this.#lastFault ??= older.#lastFault
    if (this.#intervals < LEARN_INTERVALS && older.#intervals > this.#intervals) {
      this.#intervalMs = older.#intervalMs
      this.#intervals = older.#intervals
    }
    if (this.lastSeq !== 0) return
    this.lastSeq = older.lastSeq
    this.#profile = older.#profile
    this.#source = older.#source
    this.#heardAt = older.#heardAt
    this.#heardMonotonicMs = older.#heardMonotonicMs
    this.#timeQuality = older.#timeQuality
    this.#bootId = older.#bootId
    this.#anchorMs = older.#anchorMs
  }

  report(clock: Clock): DeviceReport {
    const fault = this.#lastFault
    const expectedMs = this.#intervals < LEARN_INTERVALS ? undefined : this.#intervalMs
    return {
      device: this.device,
      profile: this.#profile,
      source: this.#source,
      lastSeq: this.lastSeq,
      lastHeard: isoTime(this.#heardAt),
      ...(this.#timeQuality !== undefined && { timeQuality: this.#timeQuality }),
      values: this.values.size,
      faults: this.#faults,
      ...(fault && { lastFault: { seq: fault.seq, time: isoTime(fault.timeMs), reason: fault.reason } }),
      ...(expectedMs !== undefined && { expectedIntervalMs: Math.round(expectedMs) }),
      stale: expectedMs !== undefined && this.#ageMs(clock) > Math.max(STALE_FLOOR_MS, STALE_FACTOR * expectedMs),
    }
  }

  #learn(nowMs: number): void {
    const intervalMs = Math.max(0, nowMs - this.#anchorMs)
    if (intervalMs < Math.max(BURST_MS, BURST_PART * this.#intervalMs)) return
    this.#anchorMs = nowMs
    this.#intervals++
    if (this.#intervals === 1) this.#intervalMs = intervalMs
    else {
      const counted = Math.min(intervalMs, OUTLIER_FACTOR * Math.max(1, this.#intervalMs))
      this.#intervalMs += INTERVAL_WEIGHT * (counted - this.#intervalMs)
    }
  }

  #ageMs(clock: Clock): number {
    const nowMs = clock.monotonicMs()
    if (clock.bootId === this.#bootId) return nowMs - this.#heardMonotonicMs
    // Between boots only the wall clock knows, where it was right both times; silent since this boot it has been in any case.
    return clock.synced() && this.#timeQuality !== 'unsynced' ? clock.wallMs() - this.#heardAt : nowMs
  }
}

const isoTime = (ms: UnixMs): string => new Date(ms).toISOString()
