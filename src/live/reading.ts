// A reading as clients see it: with its seq, and the time and time quality worked out. Its JSON text is written once, when
// somebody first looks, and shared by every answer and every subscriber after that.

import type { Entry, Reading, Seq, TimeQuality, UnixMs } from '../core/contract.ts'
import { EARLIEST_DATE_MS } from '../core/senml.ts'
import { isoTime, shownMoment, type ValueDoubt } from './moment.ts'

/** RFC 3339 knows the years 0000 to 9999 only; a payload's own time outside of them is worth less than the arrival. */
const EARLIEST_MS = -62_167_219_200_000
const LATEST_MS = 253_402_300_799_999
/** What a reading occupies in memory besides its texts, roughly. */
const OVERHEAD_BYTES = 160
const ARRIVAL_BYTES = 56

/** What is to be known of an entry. */
type Arrival = Pick<Entry, 'seq' | 'receivedAt' | 'timeQuality' | 'monotonicMs' | 'bootId'>

export class LiveReading {
  readonly seq: Seq
  readonly device: string
  readonly name: string
  readonly value: number | string | boolean
  readonly unit: string | undefined
  readonly timeMs: UnixMs
  /** Of a time that is the arrival; a payload's own time needs none. */
  readonly timeQuality: TimeQuality | undefined
  /** The device sent it late: it is no live value. */
  readonly historical: boolean
  /** What came after it cannot be right: this is the last good value. */
  readonly doubt: ValueDoubt | undefined
  /** Where the time may still be corrected: by the clock that had been right all along. */
  readonly #arrival: Pick<Arrival, 'receivedAt' | 'monotonicMs' | 'bootId'> | undefined
  #json: string | undefined

  constructor(arrival: Arrival, reading: Reading, doubt?: ValueDoubt) {
    const { receivedAt, monotonicMs, bootId, timeQuality } = arrival
    const own = reading.timeMs
    const usesOwn = own !== undefined && own >= EARLIEST_MS && own <= LATEST_MS
    const isDate = usesOwn && (timeQuality !== 'unsynced' || own >= EARLIEST_DATE_MS)
    this.seq = arrival.seq
    this.device = reading.device
    this.name = reading.name
    this.value = reading.value
    this.unit = reading.unit
    this.timeMs = usesOwn ? own : Math.min(LATEST_MS, Math.max(0, receivedAt))
    this.timeQuality = isDate ? undefined : timeQuality
    this.historical = reading.historical === true
    this.doubt = doubt
    this.#arrival = this.timeQuality === 'unsynced' ? { receivedAt, monotonicMs, bootId } : undefined
  }

  /** The reading with its right time, now that one of its boot is known; undefined when it needs no correction. */
  corrected(bootId: string, correctionMs: number): LiveReading | undefined {
    const arrival = this.#arrival
    if (arrival?.bootId !== bootId) return undefined
    const { seq, timeMs } = this
    const receivedAt = arrival.monotonicMs + correctionMs
    // A distance from the arrival stays one.
    const own = timeMs === Math.max(0, arrival.receivedAt) ? {} : { timeMs: timeMs + receivedAt - arrival.receivedAt }
    const corrected = { ...arrival, seq, receivedAt, timeQuality: 'corrected' } as const
    return new LiveReading(corrected, { ...this.#reading(), ...own }, this.doubt)
  }

  /** The same value, marked, or no longer. */
  doubted(doubt: ValueDoubt | undefined): LiveReading {
    const { seq, timeMs, timeQuality } = this
    const { receivedAt = timeMs, monotonicMs = 0, bootId = '' } = this.#arrival ?? {}
    const arrival = { seq, receivedAt, monotonicMs, bootId, ...(timeQuality === undefined ? {} : { timeQuality }) }
    const own = receivedAt === timeMs && timeMs >= 0 ? {} : { timeMs }
    return new LiveReading(arrival, { ...this.#reading(), ...own }, doubt)
  }

  #reading(): Reading {
    const { device, name, value, unit, historical } = this
    return {
      device,
      name,
      value,
      ...(unit === undefined ? {} : { unit }),
      ...(historical ? { historical: true as const } : {}),
    }
  }

  get json(): string {
    this.#json ??= this.#write()
    return this.#json
  }

  /** Roughly what it occupies, for limits. */
  get sizeBytes(): number {
    const valueBytes = typeof this.value === 'string' ? 2 * this.value.length : 0
    const arrivalBytes = this.#arrival === undefined ? 0 : ARRIVAL_BYTES
    return OVERHEAD_BYTES + arrivalBytes + this.device.length + 2 * this.name.length + valueBytes
  }

  #write(): string {
    const unit = this.unit === undefined ? '' : `,"unit":${JSON.stringify(this.unit)}`
    const quality = this.timeQuality === undefined ? '' : `,"timeQuality":"${this.timeQuality}"`
    const time = isoTime(this.timeMs)
    const { doubt } = this
    const late = this.historical ? ',"historical":true' : ''
    const doubtful =
      doubt === undefined
        ? ''
        : `,"quality":"${doubt.quality}","qualitySince":${JSON.stringify(shownMoment(doubt.since))}`
    return `{"seq":${this.seq},"device":${JSON.stringify(this.device)},"name":${JSON.stringify(this.name)},"value":${JSON.stringify(this.value)}${unit},"time":"${time}"${quality}${late}${doubtful}}`
  }
}

/** What one message says, in the payload's order. */
export const liveReadings = (entry: Entry, readings: readonly Reading[]): LiveReading[] =>
  readings.map((reading) => new LiveReading(entry, reading))

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
