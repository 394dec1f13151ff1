// Reads one batch of a lane from the log and decodes it: every seq from first to last is in it, as a delivery or in a gap.

import type { Batch, Decode, Decoding, Delivery, Entry, Gap, Reading, Seq } from '../core/contract.ts'
import type { LogReader, ReadLimit } from '../core/log-contract.ts'
import { readLossMark } from '../core/loss.ts'
import type { Knowledge } from '../decode/knowledge.ts'
import type { DeviceNames } from './device-names.ts'
import type { LaneShaping } from './lane-shaping.ts'
import type { Stretch } from './lanes.ts'

/** Which readings a sink wants. */
export type ReadingFilter = (reading: Reading) => boolean

export interface BatchParts {
  readonly reader: LogReader
  readonly decode: Decode
  readonly knowledge?: Knowledge
  readonly filter?: ReadingFilter
  /** Absent where readings go on as they are. */
  readonly shaping?: LaneShaping
  readonly devices: DeviceNames
  /** The sink that the batch is for: what only another one lost is not its affair. */
  readonly sink: string
}

type Shape = Awaited<ReturnType<LaneShaping['begin']>>

/** The log's own marks are no payloads. */
const UNDECODED: Decoding = { profile: '', device: '', readings: [] }

/** Undefined when the log has nothing there (yet). */
export const readBatch = async (parts: BatchParts, stretch: Stretch, limit: ReadLimit): Promise<Batch | undefined> => {
  const after = stretch.first - 1
  // What was told in between is known before anything behind it is decoded: a fresh lane begins beyond a backlog.
  await parts.knowledge?.reach(after)
  const found = await parts.reader.read(after, limit)
  const last = Math.min(found.next, stretch.last)
  if (last < stretch.first) return undefined
  parts.knowledge?.follow(found.entries, last)
  const shape = await parts.shaping?.begin(stretch.first, last)
  const deliveries: Delivery[] = []
  for (const entry of found.entries) {
    // The reader does not know where the lane ends.
    if (entry.seq > last) break
    deliveries.push(entry.kind === 'message' ? delivered(entry, parts, shape) : marked(entry, parts))
  }
  return { lane: stretch.lane, first: stretch.first, last, deliveries, gaps: within(found.gaps, stretch.first, last) }
}

const delivered = (entry: Entry, { decode, filter, devices }: BatchParts, shape: Shape | undefined): Delivery => {
  const decoding = decode(entry)
  devices.learn(entry.topic, decoding.device)
  const wanted = filter === undefined ? decoding : filtered(decoding, filter)
  return { entry, decoding: shape === undefined ? wanted : shape(entry, wanted) }
}

const marked = (entry: Entry, { devices, sink }: BatchParts): Delivery => {
  const mark = entry.kind === 'loss' ? readLossMark(entry.payload) : undefined
  if (mark === undefined || (mark.sink !== undefined && mark.sink !== sink)) return { entry, decoding: UNDECODED }
  const named = devices.named(mark)
  // The mark says the time of a clock that was not set; by now it is known better.
  const time = entry.timeQuality === 'corrected' ? entry.receivedAt : named.time
  return { entry, decoding: UNDECODED, mark: { ...named, time } }
}

export const filtered = (decoding: Decoding, filter: ReadingFilter): Decoding => {
  const readings = decoding.readings.filter(filter)
  return readings.length === decoding.readings.length ? decoding : { ...decoding, readings }
}

const within = (gaps: readonly Gap[], first: Seq, last: Seq): readonly Gap[] => {
  if (gaps.length === 0) return gaps
  return gaps
    .filter((gap) => gap.last >= first && gap.first <= last)
    .map((gap) => ({ ...gap, first: Math.max(gap.first, first), last: Math.min(gap.last, last) }))
}
