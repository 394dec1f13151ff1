// Which segments may go, and which are thinned before that: pure decisions over facts. Whole segments, oldest first, never
// the one that is written to.
//
// maxBytes and maxAge are kept to whatever sinks have had (after a loss mark), unless unsettled messages are to stay. For
// free disk space only settled segments go, and only when that helps: somebody else's flood must not eat the log.
//
// Age is time that the machine was running, by the monotonic clock: how long it was off between two boots only the wall
// clock could say, and a wall clock that jumps must never delete the log.

import type { Seq, UnixMs } from '../core/contract.ts'
import { MAX_SEGMENTS } from './limits.ts'

/** A segment that takes no more. */
export interface SegmentFacts {
  readonly first: Seq
  /** Newest seq in it; one before the first when it is empty. */
  readonly last: Seq
  /** Entries that are no marks. */
  readonly messages: number
  readonly bytes: number
  readonly bootId: string
  readonly synced: boolean
  readonly createdMs: UnixMs
  readonly createdMonotonicMs: number
  readonly endedMs: UnixMs
  readonly endedMonotonicMs: number
  /** Which `keep` policies it was thinned by (Keep.key); 0 or absent when by none. */
  readonly thinnedBy?: number
}

export interface RetentionLimits {
  /** For segments that take no more. */
  readonly bytes: number
  readonly maxAgeMs: number
  readonly whenFull: 'dropOldest' | 'refuse'
  /** How much is lacking of the free space that the disk should have. */
  readonly lackingBytes?: number
  /** There are neighbours that can become one: the number of segments calls for that first. */
  readonly mergeable?: boolean
  /** `keep` policies: segments are thinned from so many bytes on. */
  readonly thin?: { readonly key: number; readonly aboveBytes: number }
}

/** What was thinned may take this share of the log; the rest is for entries that nothing was taken from. */
const THINNED_SHARE = 0.5

export interface Moment {
  readonly bootId: string
  readonly monotonicMs: number
}

export interface RetentionDecision {
  /** Oldest first. */
  readonly remove: readonly SegmentFacts[]
  /** No room for another segment, and nothing may go. */
  readonly full: boolean
  /** To be thinned before anything is removed for want of room. */
  readonly thin?: SegmentFacts
}

/** `settled`: everything up to here is settled by every sink. `segments` ascend by seq. */
export const decideRetention = (
  segments: readonly SegmentFacts[],
  limits: RetentionLimits,
  settled: Seq,
  now: Moment,
): RetentionDecision => {
  const ages = segmentAges(segments, now)
  let bytes = totalBytes(segments)
  const remove: SegmentFacts[] = []
  let full = false
  const maxSegments = limits.mergeable === true ? 2 * MAX_SEGMENTS : MAX_SEGMENTS
  for (const [index, segment] of segments.entries()) {
    const over = bytes > limits.bytes || segments.length - index > maxSegments
    if (!over && (ages[index] ?? 0) <= limits.maxAgeMs) break
    if (segment.last > settled && limits.whenFull === 'refuse') {
      full = bytes > limits.bytes
      break
    }
    remove.push(segment)
    bytes -= segment.bytes
  }
  const rest = segments.slice(remove.length)
  remove.push(...forFreeSpace(rest, (limits.lackingBytes ?? 0) - totalBytes(remove), settled))
  const thin = remove.length > 0 ? undefined : toThin(segments, limits, settled)
  return { remove, full, ...(thin === undefined ? {} : { thin }) }
}

/** The fewest of the oldest settled segments that make up for what is lacking; none when all of them do not. */
const forFreeSpace = (segments: readonly SegmentFacts[], lackingBytes: number, settled: Seq): SegmentFacts[] => {
  let bytes = 0
  for (const [index, segment] of segments.entries()) {
    if (bytes >= lackingBytes) return segments.slice(0, index)
    if (segment.last > settled) return []
    bytes += segment.bytes
  }
  return bytes >= lackingBytes ? [...segments] : []
}

/** The oldest one that these policies have not been at yet. */
const toThin = (
  segments: readonly SegmentFacts[],
  { bytes, whenFull, thin }: RetentionLimits,
  settled: Seq,
): SegmentFacts | undefined => {
  if (thin === undefined || totalBytes(segments) <= thin.aboveBytes) return undefined
  const thinned = segments.filter(({ thinnedBy }) => thinnedBy === thin.key)
  if (totalBytes(thinned) > bytes * THINNED_SHARE) return undefined
  const oldest = segments.find(({ thinnedBy }) => thinnedBy !== thin.key)
  return oldest === undefined || (whenFull === 'refuse' && oldest.last > settled) ? undefined : oldest
}

const totalBytes = (segments: readonly SegmentFacts[]): number =>
  segments.reduce((sum, segment) => sum + segment.bytes, 0)

/** How long ago each segment ended. */
const segmentAges = (segments: readonly SegmentFacts[], now: Moment): number[] => {
  const ages: number[] = []
  let age = 0
  let later = now
  for (const { bootId, createdMonotonicMs, endedMonotonicMs } of [...segments].reverse()) {
    age += elapsedMs({ bootId, monotonicMs: endedMonotonicMs }, later)
    ages.push(age)
    // Of one whose header is destroyed it is not known when it began.
    if (bootId === '') continue
    age += Math.max(0, endedMonotonicMs - createdMonotonicMs)
    later = { bootId, monotonicMs: createdMonotonicMs }
  }
  return ages.reverse()
}

const elapsedMs = (from: Moment, to: Moment): number =>
  from.bootId === to.bootId ? Math.max(0, to.monotonicMs - from.monotonicMs) : 0

export interface UnsettledLoss {
  readonly first: Seq
  readonly last: Seq
  readonly count: number
}

/** What is lost when these segments go although not everything in them is settled; undefined when nothing is. */
export const unsettledIn = (segments: readonly SegmentFacts[], settled: Seq): UnsettledLoss | undefined => {
  const losing = segments.filter((segment) => segment.last > settled && segment.last >= segment.first)
  const first = losing[0]
  const last = losing.at(-1)
  if (first === undefined || last === undefined) return undefined
  let count = 0
  for (const segment of losing) count += Math.min(segment.messages, segment.last - Math.max(segment.first - 1, settled))
  return { first: Math.max(first.first, settled + 1), last: last.last, count }
}
