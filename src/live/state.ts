// The last value of each device and name, and the table of devices. Everything is a copy of what the log holds and can be
// thrown away. Numbers and bytes are bounded: what was heard least recently goes first and is counted. Keys come from
// strangers, so they live in Maps only.
//
// All values stand in one list ordered by seq. So "what changed since SEQ" walks only what changed, a slow subscriber needs
// no queue but the seq it has reached, and the value to evict is the first of the list.

import { COMMAND_SOURCE } from '../core/command.ts'
import type { Clock, Decoding, Doubt, Entry, Meter, Presence, Reading, Seq } from '../core/contract.ts'
import { type Circumstances, DeviceRecord, type DeviceReport, type ValueNode } from './device.ts'
import { momentOf } from './moment.ts'
import { Bridges } from './presence.ts'
import { type LiveReading, liveReadings } from './reading.ts'
import type { Selection } from './selection.ts'

export interface StateLimits {
  readonly devices: number
  readonly values: number
  readonly bytes: number
}

/** Far more than one gateway's sensors; a client that invents topics costs at most this, and as much again for JSON texts. */
export const STATE_LIMITS: StateLimits = { devices: 10_000, values: 50_000, bytes: 32 * 2 ** 20 }
/** What a device occupies besides its name, roughly; names may have 65,535 bytes. */
const DEVICE_BYTES = 1_200
/** Part of the devices that goes at once when there are too many: finding the oldest walks them all. */
const EVICTED_PART = 0.02

/** How often devices of a profile report, where it says so. */
export type IntervalOf = (profile: string) => number | undefined

const NOBODY: readonly Presence[] = []

export class LiveState {
  readonly #limits: StateLimits
  readonly #meter: Meter | undefined
  readonly #devices = new Map<string, DeviceRecord>()
  #oldest: ValueNode | undefined
  #newest: ValueNode | undefined
  #values = 0
  #bytes = 0
  #deviceBytes = 0
  #faults = 0
  #epoch = 0
  readonly #bridges = new Bridges()
  readonly #intervalMs: IntervalOf
  #evictedSeq: Seq = 0
  #completeAfter: Seq = 0

  /** `intervalMs`: what profiles state about their devices. */
  constructor(limits: StateLimits = STATE_LIMITS, meter?: Meter, intervalMs: IntervalOf = () => undefined) {
    this.#limits = limits
    this.#intervalMs = intervalMs
    this.#meter = meter
  }

  get deviceCount(): number {
    return this.#devices.size
  }

  get valueCount(): number {
    return this.#values
  }

  get faultCount(): number {
    return this.#faults
  }

  /** Changes whenever something other than a newer value came or went: answers prepared before are void. */
  get epoch(): number {
    return this.#epoch
  }

  /** Everything after this seq is in the state, unless evicted; older stretches of the log are still to be read. */
  set completeAfter(seq: Seq) {
    this.#completeAfter = seq
  }

  get full(): boolean {
    return this.#values >= this.#limits.values || this.#bytes >= this.#limits.bytes
  }

  get #crowded(): boolean {
    return this.#devices.size > this.#limits.devices || this.#deviceBytes > this.#limits.bytes
  }

  /**
   * Applies one message; calls come in seq order. Returns what is shown of it: where readings are shaped, fewer of its own, and
   * figures of other devices whose time is over, which are no sign of life.
   */
  apply(entry: Entry, decoding: Decoding, shown: readonly Reading[] = decoding.readings): readonly LiveReading[] {
    if (entry.source !== COMMAND_SOURCE) this.#take(entry, decoding)
    const readings = liveReadings(entry, shown)
    for (const reading of readings) {
      const device = this.#devices.get(reading.device)
      if (device !== undefined) this.#put(reading, device)
    }
    while (this.#devices.size > 1 && this.#crowded) this.#evictDevices()
    while (this.#oldest !== undefined && (this.#values > this.#limits.values || this.#bytes > this.#limits.bytes))
      this.#evictValue(this.#oldest)
    return readings
  }

  /** Brings times from before the clock was set to what they were, now that this is known. */
  correct(bootId: string, correctionMs: number): void {
    for (const record of this.#devices.values()) record.correct(bootId, correctionMs)
    this.#bridges.correct(bootId, correctionMs)
    for (let node = this.#newest; node !== undefined; node = node.older) {
      const corrected = node.reading.corrected(bootId, correctionMs)
      if (corrected !== undefined) this.#replace(node, corrected)
      const doubt = node.reading.doubt === undefined ? undefined : node.device.doubts.get(node.reading.name)
      if (doubt !== undefined) this.#replace(node, node.reading.doubted(doubt))
    }
    this.#epoch++
  }

  /** Takes over an older stretch of the log: only what is not known yet. Returns false when there is no room for more. */
  adopt(older: LiveState): boolean {
    this.#epoch++
    this.#faults += older.#faults
    this.#evictedSeq = Math.max(this.#evictedSeq, older.#evictedSeq)
    this.#bridges.adopt(older.#bridges)
    for (const [device, record] of older.#devices) {
      const known = this.#devices.get(device)
      if (known !== undefined) known.adopt(record)
      else if (this.#devices.size < this.#limits.devices && this.#deviceBytes < this.#limits.bytes)
        this.#addDevice(device).adopt(record)
    }
    for (let node = older.#newest; node !== undefined; node = node.older) {
      const record = this.#devices.get(node.device.device)
      const { reading } = node
      if (record?.values.has(reading.name)) continue
      const { full } = this
      if (record === undefined || full) this.#evictedSeq = Math.max(this.#evictedSeq, reading.seq)
      else {
        // The doubt may be newer than this stretch.
        const doubt = record.doubts.get(reading.name) ?? reading.doubt
        this.#insertOldest(doubt === undefined ? reading : reading.doubted(doubt), record)
        if (doubt !== undefined) record.doubt(reading.name, doubt)
      }
      if (full) return false
    }
    return true
  }

  /** The newest value of each device and name that is newer than `after`, ascending by seq. */
  since(selection: Selection, after: Seq): LiveReading[] {
    const found: LiveReading[] = []
    for (let node = this.#newest; node !== undefined && node.reading.seq > after; node = node.older)
      if (selection.matches(node.reading.device, node.reading.name)) found.push(node.reading)
    return found.reverse()
  }

  /** Whether anything newer than `after` may match; false is certain for the whole log. */
  mayHaveSince(selection: Selection, after: Seq): boolean {
    if (after < this.#completeAfter || after < this.#evictedSeq) return true
    return this.changedSince(selection, after)
  }

  /** Whether a value that matches is newer than `after`. */
  changedSince(selection: Selection, after: Seq): boolean {
    for (let node = this.#newest; node !== undefined && node.reading.seq > after; node = node.older)
      if (selection.matches(node.reading.device, node.reading.name)) return true
    return false
  }

  devices(clock: Clock): DeviceReport[] {
    const circumstances = this.#circumstances(clock)
    return Array.from(this.#devices.values(), (record) => record.report(circumstances))
  }

  device(device: string, clock: Clock): DeviceReport | undefined {
    return this.#devices.get(device)?.report(this.#circumstances(clock))
  }

  /** How many devices are offline or overdue. */
  staleCount(clock: Clock): number {
    const circumstances = this.#circumstances(clock)
    let count = 0
    for (const record of this.#devices.values()) if (record.staleReason(circumstances) !== undefined) count++
    return count
  }

  /** Through what the device was heard last, and which profile decoded it. */
  origin(device: string): { readonly source: string; readonly profile: string } | undefined {
    return this.#devices.get(device)
  }

  /** The device's last values, by name as first heard. */
  readingsOf(device: string): LiveReading[] {
    return Array.from(this.#devices.get(device)?.values.values() ?? [], (node) => node.reading)
  }

  /** What the message says about devices. */
  #take(entry: Entry, { device: own, readings, fault, profile, presence = NOBODY, doubtful }: Decoding): void {
    const gone: ReadonlySet<string> | undefined =
      presence.length === 0 ? undefined : new Set(presence.filter(({ online }) => !online).map(({ device }) => device))
    if (readings.length === 0 || fault !== undefined) this.#hear(own, entry, profile, gone)
    if (fault !== undefined) {
      this.#faults++
      this.#devices.get(own)?.fault(entry, fault)
    }
    if (presence.length > 0) this.#say(presence, entry, profile)
    for (const { device, name, historical } of readings) {
      const record = this.#hear(device, entry, profile, gone)
      if (historical !== true) this.#trust(record, name)
    }
    if (doubtful !== undefined) for (const doubt of doubtful) this.#doubt(doubt, entry)
  }

  #circumstances(clock: Clock): Circumstances {
    return { clock, gone: (device) => this.#bridges.gone(device), intervalMs: this.#intervalMs }
  }

  #hear(device: string, entry: Entry, profile: string, gone: ReadonlySet<string> | undefined): DeviceRecord {
    const record = this.#devices.get(device) ?? this.#addDevice(device)
    // A will is the broker's word.
    if (gone?.has(device) === true) record.hearOf(entry, profile)
    else record.hear(entry, profile)
    return record
  }

  #say(presence: readonly Presence[], entry: Entry, profile: string): void {
    const moment = momentOf(entry)
    for (const { device, online, below } of presence) {
      if (below === true) this.#bridges.say(device, online, moment)
      const known = this.#devices.get(device)
      if (known === undefined && below === true) continue
      const record = known ?? this.#addDevice(device)
      if (online) record.hear(entry, profile)
      else record.hearOf(entry, profile)
      record.presence.say(online, moment)
    }
  }

  // What is shown stays, marked: the representation changes although no value came.
  #doubt({ device, name, reason }: Doubt, entry: Entry): void {
    const record = this.#devices.get(device)
    const doubt = { quality: reason, since: momentOf(entry) }
    if (record?.doubt(name, doubt) !== true) return
    const node = record.values.get(name)
    if (node === undefined) return
    this.#replace(node, node.reading.doubted(doubt))
    this.#epoch++
  }

  // A good value came; where readings are shaped it may not be shown itself.
  #trust(record: DeviceRecord, name: string): void {
    if (record.doubts.size === 0 || !record.doubts.delete(name)) return
    const node = record.values.get(name)
    if (node === undefined) return
    this.#replace(node, node.reading.doubted(undefined))
    this.#epoch++
  }

  #replace(node: ValueNode, reading: LiveReading): void {
    this.#bytes += reading.sizeBytes - node.reading.sizeBytes
    node.reading = reading
  }

  #addDevice(device: string): DeviceRecord {
    const record = new DeviceRecord(device)
    this.#devices.set(device, record)
    this.#deviceBytes += DEVICE_BYTES + device.length
    return record
  }

  #put(reading: LiveReading, device: DeviceRecord): void {
    if (reading.historical) {
      // It is no live value, but somebody who asks for what is newer gets it from the log.
      this.#evictedSeq = Math.max(this.#evictedSeq, reading.seq)
      return
    }
    device.doubts.delete(reading.name)
    const known = device.values.get(reading.name)
    if (known === undefined) {
      const node: ValueNode = { reading, device, older: undefined, newer: undefined }
      device.values.set(reading.name, node)
      this.#values++
      this.#bytes += reading.sizeBytes
      this.#append(node)
      return
    }
    if (reading.seq < known.reading.seq) return
    this.#bytes += reading.sizeBytes - known.reading.sizeBytes
    known.reading = reading
    if (known === this.#newest) return
    this.#unlink(known)
    this.#append(known)
  }

  #append(node: ValueNode): void {
    node.older = this.#newest
    node.newer = undefined
    if (this.#newest === undefined) this.#oldest = node
    else this.#newest.newer = node
    this.#newest = node
  }

  #insertOldest(reading: LiveReading, device: DeviceRecord): void {
    const node: ValueNode = { reading, device, older: undefined, newer: this.#oldest }
    if (this.#oldest === undefined) this.#newest = node
    else this.#oldest.older = node
    this.#oldest = node
    device.values.set(reading.name, node)
    this.#values++
    this.#bytes += reading.sizeBytes
  }

  #unlink(node: ValueNode): void {
    if (node.older === undefined) this.#oldest = node.newer
    else node.older.newer = node.newer
    if (node.newer === undefined) this.#newest = node.older
    else node.newer.older = node.older
  }

  #evictValue(node: ValueNode): void {
    this.#unlink(node)
    node.device.values.delete(node.reading.name)
    this.#values--
    this.#bytes -= node.reading.sizeBytes
    this.#evictedSeq = Math.max(this.#evictedSeq, node.reading.seq)
    this.#epoch++
    this.#meter?.add('live_evicted_total', { reason: 'values' })
  }

  #evictDevices(): void {
    const excess = this.#devices.size - this.#limits.devices
    const count = Math.max(excess, Math.ceil(EVICTED_PART * this.#devices.size))
    const oldestFirst = [...this.#devices.values()].sort((a, b) => a.lastSeq - b.lastSeq)
    for (const record of oldestFirst.slice(0, count)) {
      for (const node of record.values.values()) this.#evictValue(node)
      this.#devices.delete(record.device)
      this.#deviceBytes -= DEVICE_BYTES + record.device.length
      this.#meter?.add('live_evicted_total', { reason: 'devices' })
    }
    this.#epoch++
  }
}
