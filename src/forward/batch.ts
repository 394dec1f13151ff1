// Reads one batch of a lane from the log and decodes it: every seq from first to last is in it, as a delivery or in a gap.

import type { Batch, Decode, Decoding, Delivery, Gap, LogReader, Reading, ReadLimit, Seq } from '../core/contract.ts'
import type { Stretch } from './lanes.ts'

/** Which readings a sink wants. */
export type ReadingFilter = (reading: Reading) => boolean

const NO_READINGS: readonly Reading[] = []

/** Undefined when the log has nothing there (yet). */
export const readBatch = async (
  reader: LogReader,
  decode: Decode,
  stretch: Stretch,
  limit: ReadLimit,
  filter?: ReadingFilter,
): Promise<Batch | undefined> => {
  const after = stretch.first - 1
  const found = await reader.read(after, limit)
  const last = Math.min(found.next, stretch.last)
  if (last < stretch.first) return undefined
  const deliveries: Delivery[] = []
  for (const entry of found.entries) {
    // The reader does not know where the lane ends.
    if (entry.seq > last) break
    const decoding = entry.kind === 'message' ? decode(entry) : undecoded(entry.topic)
    deliveries.push({ entry, decoding: filter === undefined ? decoding : filtered(decoding, filter) })
  }
  return { lane: stretch.lane, first: stretch.first, last, deliveries, gaps: within(found.gaps, stretch.first, last) }
}

/** The log's own marks are no payloads. */
const undecoded = (device: string): Decoding => ({ profile: '', device, readings: NO_READINGS })

const filtered = (decoding: Decoding, filter: ReadingFilter): Decoding => {
  const readings = decoding.readings.filter(filter)
  return readings.length === decoding.readings.length ? decoding : { ...decoding, readings }
}

const within = (gaps: readonly Gap[], first: Seq, last: Seq): readonly Gap[] => {
  if (gaps.length === 0) return gaps
  return gaps
    .filter((gap) => gap.last >= first && gap.first <= last)
    .map((gap) => ({ first: Math.max(gap.first, first), last: Math.min(gap.last, last), reason: gap.reason }))
}
