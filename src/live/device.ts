// What is known about one device: when it was last heard and through what, its faults, how often it usually reports, whether it
// is there, and whether it is overdue. Ages are taken from the monotonic clock where the boot is the same, so a clock that jumps
// (the first synchronisation) makes no device stale.

import type { Clock, Doubt, Entry, Seq, TimeQuality, UnixMs } from '../core/contract.ts'
import {
  correctedMoment,
  isoTime,
  type Moment,
  momentOf,
  type ShownMoment,
  shownMoment,
  type ValueDoubt,
} from './moment.ts'
import { DevicePresence, type PresenceState } from './presence.ts'
import type { LiveReading } from './reading.ts'
import { type Expectation, Rhythm, statedExpectation } from './rhythm.ts'

/** Names in doubt that are remembered for one device, values or not: a device with more of them is out of its mind. */
const MAX_DOUBTS = 16

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
  /** Values whose newest word cannot be right; what is shown is the last good one. */
  readonly doubtful?: readonly DoubtfulValue[]
  readonly faults: number
  readonly lastFault?: { readonly seq: Seq; readonly time: string; readonly reason: string }
  readonly presence: PresenceState
  readonly presenceSince?: ShownMoment
  readonly expectedIntervalMs?: number
  readonly stale: boolean
  /** offline: it, or its bridge, said so. overdue: it is silent for several of its intervals. */
  readonly staleReason?: 'offline' | 'overdue'
}

export interface DoubtfulValue extends ShownMoment {
  readonly name: string
  readonly quality: Doubt['reason']
}

/** What the report is to know besides the device. */
export interface Circumstances {
  readonly clock: Clock
  /** Since when a bridge above the device is gone. */
  gone(device: string): Moment | undefined
  /** Where the profile states it. */
  intervalMs(profile: string): number | undefined
}

export class DeviceRecord {
  readonly device: string
  readonly values = new Map<string, ValueNode>()
  /** By name; also of names that have no value here, while an older stretch of the log may bring one. */
  readonly doubts = new Map<string, ValueDoubt>()
  readonly presence = new DevicePresence()
  lastSeq: Seq = 0
  #profile = ''
  #source = ''
  #heardAt: UnixMs = 0
  #heardMonotonicMs = 0
  #bootId = ''
  #timeQuality: TimeQuality | undefined
  readonly #rhythm = new Rhythm()
  #faults = 0
  #lastFault: { readonly moment: Moment; readonly reason: string } | undefined

  constructor(device: string) {
    this.device = device
  }

  get profile(): string {
    return this.#profile
  }

  get source(): string {
    return this.#source
  }

  /** Notes an arrival; calls come in seq order. */
  hear(entry: Entry, profile: string): void {
    if (entry.seq <= this.lastSeq) return
    this.#rhythm.note(entry.monotonicMs, entry.bootId)
    if (!entry.retain) this.presence.heard(entry.seq, () => momentOf(entry))
    this.#note(entry, profile)
  }

  /** Notes what others said about it: that it is gone. Where nothing else is known, this is when it was heard. */
  hearOf(entry: Entry, profile: string): void {
    if (this.lastSeq === 0) this.#note(entry, profile)
    else this.lastSeq = entry.seq
  }

  fault(entry: Entry, reason: string): void {
    this.#faults++
    this.#lastFault = { moment: momentOf(entry), reason }
  }

  /** Returns false where that was known: the value is in doubt already, for the same reason. */
  doubt(name: string, doubt: ValueDoubt): boolean {
    if (this.doubts.get(name)?.quality === doubt.quality) return false
    this.doubts.delete(name)
    this.doubts.set(name, doubt)
    for (const oldest of this.doubts.keys()) {
      if (this.doubts.size <= MAX_DOUBTS) break
      this.doubts.delete(oldest)
    }
    return true
  }

  /** Brings times from before the clock was set to what they were. */
  correct(bootId: string, correctionMs: number): void {
    this.presence.correct(bootId, correctionMs)
    for (const [name, { quality, since }] of this.doubts)
      this.doubts.set(name, { quality, since: correctedMoment(since, bootId, correctionMs) })
    if (this.#timeQuality === 'unsynced' && this.#bootId === bootId) {
      this.#heardAt = this.#heardMonotonicMs + correctionMs
      this.#timeQuality = 'corrected'
    }
    const fault = this.#lastFault
    if (fault !== undefined)
      this.#lastFault = { reason: fault.reason, moment: correctedMoment(fault.moment, bootId, correctionMs) }
  }

  /** Takes over what an older stretch of the log knew about the same device. */
  adopt(older: DeviceRecord): void {
    this.#faults += older.#faults
    this.#lastFault ??= older.#lastFault
    this.#rhythm.adopt(older.#rhythm)
    this.presence.adopt(older.presence)
    if (this.lastSeq !== 0) return
    this.lastSeq = older.lastSeq
    this.#profile = older.#profile
    this.#source = older.#source
    this.#heardAt = older.#heardAt
    this.#heardMonotonicMs = older.#heardMonotonicMs
    this.#timeQuality = older.#timeQuality
    this.#bootId = older.#bootId
  }

  report(circumstances: Circumstances): DeviceReport {
    const fault = this.#lastFault
    const { presence, since } = this.presence.state(circumstances.gone(this.device))
    const expectation = this.#expectation(circumstances)
    const staleReason = this.staleReason(circumstances)
    const doubtful = this.#doubtful()
    return {
      device: this.device,
      profile: this.#profile,
      source: this.#source,
      lastSeq: this.lastSeq,
      lastHeard: isoTime(this.#heardAt),
      ...(this.#timeQuality !== undefined && { timeQuality: this.#timeQuality }),
      values: this.values.size,
      ...(doubtful.length > 0 && { doubtful }),
      faults: this.#faults,
      ...(fault && { lastFault: { ...shownMoment(fault.moment), reason: fault.reason } }),
      presence,
      ...(since && { presenceSince: shownMoment(since) }),
      ...(expectation && { expectedIntervalMs: Math.round(expectation.intervalMs) }),
      stale: staleReason !== undefined,
      ...(staleReason && { staleReason }),
    }
  }

  staleReason(circumstances: Circumstances): 'offline' | 'overdue' | undefined {
    if (this.presence.state(circumstances.gone(this.device)).presence === 'offline') return 'offline'
    const expectation = this.#expectation(circumstances)
    return expectation !== undefined && this.#ageMs(circumstances.clock) > expectation.limitMs ? 'overdue' : undefined
  }

  #note(entry: Entry, profile: string): void {
    this.lastSeq = entry.seq
    this.#profile = profile
    this.#source = entry.source
    this.#heardAt = entry.receivedAt
    this.#heardMonotonicMs = entry.monotonicMs
    this.#bootId = entry.bootId
    this.#timeQuality = entry.timeQuality
  }

  #expectation({ intervalMs }: Circumstances): Expectation | undefined {
    const statedMs = intervalMs(this.#profile)
    return statedMs === undefined ? this.#rhythm.expectation : statedExpectation(statedMs)
  }

  #doubtful(): readonly DoubtfulValue[] {
    if (this.doubts.size === 0) return []
    return [...this.doubts]
      .filter(([name]) => this.values.has(name))
      .map(([name, { quality, since }]) => ({ name, quality, ...shownMoment(since) }))
  }

  #ageMs(clock: Clock): number {
    const nowMs = clock.monotonicMs()
    if (clock.bootId === this.#bootId) return nowMs - this.#heardMonotonicMs
    // Between boots only the wall clock knows, where it was right both times; silent since this boot it has been in any case.
    return clock.synced() && this.#timeQuality !== 'unsynced' ? clock.wallMs() - this.#heardAt : nowMs
  }
}
