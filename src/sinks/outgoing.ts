// From a batch to the messages that go upstream: one device's readings each, in seq order, bounded in readings and bytes.
// Settlement looks at `first` alone: once every message with a lower `first` is settled, so is everything before it.

import type { Batch, Entry, Lane, Reading, Seq, TimeQuality, UnixMs } from '../core/contract.ts'
import { EARLIEST_DATE_MS, type SenmlReading, writeSenmlPack } from '../core/senml.ts'

export interface Outgoing {
  readonly kind: 'readings' | 'loss'
  /** '' for loss notes. */
  readonly device: string
  readonly lane: Lane
  readonly first: Seq
  readonly last: Seq
  /** The seqs it stands for, ascending. */
  readonly seqs: readonly Seq[]
  /** Number of readings, or of loss marks. */
  readonly count: number
  /** Counts up where one seq's readings need several messages: the place of this one among those that begin with `first`. */
  readonly part: number
  /** Arrival of the newest message in it: the same each time it is sent. */
  readonly timeMs: UnixMs
  /** The worst in it, where the clock had not been set at an arrival that stands for a reading's time. */
  readonly timeQuality?: TimeQuality
  readonly contentType: string
  readonly body: Buffer
}

export interface PackLimits {
  readonly maxReadings: number
  /** No body becomes larger, unless it holds a single reading. */
  readonly maxBodyBytes: number
}

/** Fits into one frame of RabbitMQ's default frame_max (128 KiB). */
export const DEFAULT_BODY_BYTES = 120 * 1_024
const SENML_CONTENT_TYPE = 'application/senml+json'
/** Value, time, seq, the labels and the punctuation of a SenML record; 24 digits for each number. */
const RECORD_BYTES = 110
/** A UTF-16 unit in JSON needs at most six bytes (\u0000). */
const JSON_UNIT_BYTES = 6
/** The label of a time quality. */
const QUALITY_BYTES = 26

interface Group {
  readonly device: string
  records: SenmlReading[]
  seqs: Seq[]
  bytes: number
  part: number
  timeMs: UnixMs
  timeQuality: TimeQuality | undefined
}

/** The readings of the batch, ascending by `first`; messages of one device stay in their order. */
export const packReadings = (batch: Batch, limits: PackLimits): Outgoing[] => {
  const packed: Outgoing[] = []
  const groups = new Map<string, Group>()
  let group: Group | undefined
  for (const { entry, decoding } of batch.deliveries) {
    for (const reading of decoding.readings) {
      if (group === undefined || group.device !== reading.device) {
        group = groups.get(reading.device)
        if (group === undefined) {
          group = {
            device: reading.device,
            records: [],
            seqs: [],
            bytes: baseBytes(reading.device),
            part: 0,
            timeMs: 0,
            timeQuality: undefined,
          }
          groups.set(reading.device, group)
        }
      }
      const record = toRecord(reading, entry)
      const sizeBytes = recordBytes(record)
      const continues = group.seqs.length > 0 && group.seqs[group.seqs.length - 1] === entry.seq
      // Closed between two seqs where possible, so that few seqs are spread over two messages.
      const readings = group.records.length + (continues ? 1 : Math.min(decoding.readings.length, limits.maxReadings))
      if (
        group.records.length > 0 &&
        (readings > limits.maxReadings || group.bytes + sizeBytes > limits.maxBodyBytes)
      ) {
        packed.push(packGroup(group, batch.lane))
        const part: number = continues ? (group.seqs.length === 1 ? group.part + 1 : 1) : 0
        group.records = []
        group.seqs = []
        group.bytes = baseBytes(group.device)
        group.part = part
        group.timeQuality = undefined
      }
      if (group.seqs[group.seqs.length - 1] !== entry.seq) group.seqs.push(entry.seq)
      group.records.push(record)
      group.bytes += sizeBytes
      group.timeMs = entry.receivedAt
      if (group.timeQuality !== 'unsynced') group.timeQuality = record.timeQuality ?? group.timeQuality
    }
  }
  for (const rest of groups.values()) if (rest.records.length > 0) packed.push(packGroup(rest, batch.lane))
  return packed.sort((left, right) => left.first - right.first || left.part - right.part)
}

const packGroup = (group: Group, lane: Lane): Outgoing => ({
  kind: 'readings',
  device: group.device,
  lane,
  first: group.seqs[0] ?? 0,
  last: group.seqs[group.seqs.length - 1] ?? 0,
  seqs: group.seqs,
  count: group.records.length,
  part: group.part,
  timeMs: group.timeMs,
  ...(group.timeQuality === undefined ? {} : { timeQuality: group.timeQuality }),
  contentType: SENML_CONTENT_TYPE,
  body: Buffer.from(writeSenmlPack(group.device, group.records)),
})

const toRecord = (reading: Reading, entry: Entry): SenmlReading => {
  const { seq, timeQuality } = entry
  const timeMs = reading.timeMs ?? entry.receivedAt
  const record =
    reading.unit === undefined
      ? { name: reading.name, value: reading.value, timeMs, seq }
      : { name: reading.name, unit: reading.unit, value: reading.value, timeMs, seq }
  return timeQuality === undefined || hasDate(reading, timeQuality) ? record : { ...record, timeQuality }
}

/** A payload's own date needs no remark; its distance from the arrival is worth what the arrival is. */
const hasDate = ({ timeMs }: Reading, quality: TimeQuality): boolean =>
  timeMs !== undefined && (quality !== 'unsynced' || timeMs >= EARLIEST_DATE_MS)

/** Of the base name, once in each message. */
const baseBytes = (device: string): number => JSON_UNIT_BYTES * device.length

/** Never less than what the record will need, so that only a single reading can exceed the limit. */
const recordBytes = (reading: SenmlReading): number => {
  const qualityBytes = reading.timeQuality === undefined ? 0 : QUALITY_BYTES
  const sizeBytes = RECORD_BYTES + qualityBytes + JSON_UNIT_BYTES * (reading.name.length + (reading.unit?.length ?? 0))
  return typeof reading.value === 'string' ? sizeBytes + Buffer.byteLength(JSON.stringify(reading.value)) : sizeBytes
}
