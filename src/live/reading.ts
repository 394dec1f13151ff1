// A reading as clients see it: with its seq, and the time and time quality worked out. Its JSON text is written once, when
// somebody first looks, and shared by every answer and every subscriber after that.

import type { Entry, Reading, Seq, UnixMs } from '../core/contract.ts'

/** A gateway whose wall clock says less than this has never had it set (no battery, no network yet). */
const CLOCK_SET_AFTER_MS = Date.UTC(2025, 0, 1)
/** RFC 3339 knows the years 0000 to 9999 only; a payload's own time outside of them is worth less than the arrival. */
const EARLIEST_MS = -62_167_219_200_000
const LATEST_MS = 253_402_300_799_999
/** What a reading occupies in memory besides its texts, roughly. */
const OVERHEAD_BYTES = 160

export class LiveReading {
  readonly seq: Seq
  readonly device: string
  readonly name: string
  readonly value: number | string | boolean
  readonly unit: string | undefined
  readonly timeMs: UnixMs
  /** True when the time is the arrival by a clock that had never been set. */
  readonly unsynced: boolean
  #json: string | undefined

  constructor(seq: Seq, receivedAt: UnixMs, reading: Reading) {
    const own = reading.timeMs
    const usesOwn = own !== undefined && own >= EARLIEST_MS && own <= LATEST_MS
    this.seq = seq
    this.device = reading.device
    this.name = reading.name
    this.value = reading.value
    this.unit = reading.unit
    this.timeMs = usesOwn ? own : Math.min(LATEST_MS, Math.max(0, receivedAt))
    this.unsynced = !usesOwn && receivedAt < CLOCK_SET_AFTER_MS
  }

  get json(): string {
    this.#json ??= this.#write()
    return this.#json
  }

  /** Roughly what it occupies, for limits. */
  get sizeBytes(): number {
    const valueBytes = typeof this.value === 'string' ? 2 * this.value.length : 0
    return OVERHEAD_BYTES + this.device.length + 2 * this.name.length + valueBytes
  }

  #write(): string {
    const unit = this.unit === undefined ? '' : `,"unit":${JSON.stringify(this.unit)}`
    const quality = this.unsynced ? ',"timeQuality":"unsynced"' : ''
    const time = new Date(this.timeMs).toISOString()
    return `{"seq":${this.seq},"device":${JSON.stringify(this.device)},"name":${JSON.stringify(this.name)},"value":${JSON.stringify(this.value)}${unit},"time":"${time}"${quality}}`
  }
}

/** What one message says, in the payload's order. */
export const liveReadings = (entry: Entry, readings: readonly Reading[]): LiveReading[] =>
  readings.map((reading) => new LiveReading(entry.seq, entry.receivedAt, reading))

/** How many of the readings (ascending seq) fit, whole messages only and at least one message. */
export const pageLength = (readings: readonly LiveReading[], limit: { entries: number; bytes: number }): number => {
  let bytes = 0
  let whole = 0
  for (const [index, reading] of readings.entries()) {
    bytes += reading.sizeBytes
    const startsMessage = reading.seq !== readings[index - 1]?.seq
    if (startsMessage) whole = index
    if ((index >= limit.entries || bytes > limit.bytes) && whole > 0) return whole
  }
  return readings.length
}

/** Index of the first reading (ascending seq) that is newer than `after`. */
export const firstNewer = (readings: readonly LiveReading[], after: Seq, from = 0): number => {
  let low = from
  let high = readings.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((readings[middle]?.seq ?? 0) > after) high = middle
    else low = middle + 1
  }
  return low
}
