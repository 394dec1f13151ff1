// Which segments may go: pure decisions over facts. Whole segments, oldest first, never the one that is written to.
//
// Age is measured with the monotonic clock within a boot. Between boots only the wall clock knows how long the machine was
// off, and it counts only where it had been set on both sides: a clock that jumps must never delete the log.

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
}

export interface RetentionLimits {
  /** For segments that take no more. */
  readonly bytes: number
  readonly maxAgeMs: number
  readonly whenFull: 'dropOldest' | 'refuse'
}

export interface Moment {
  readonly bootId: string
  readonly synced: boolean
  readonly wallMs: UnixMs
  readonly monotonicMs: number
}

export interface RetentionDecision {
  /** Oldest first. */
  readonly remove: readonly SegmentFacts[]
  /** No room for another segment, and nothing may go. */
  readonly full: boolean
}

/** `settled`: everything up to here is settled by every sink. `segments` ascend by seq. */
export const decideRetention = (
  segments: readonly SegmentFacts[],
  limits: RetentionLimits,
  settled: Seq,
  now: Moment,
): RetentionDecision => {
  const ages = segmentAges(segments, now)
  let bytes = 0
  for (const segment of segments) bytes += segment.bytes
  const remove: SegmentFacts[] = []
  for (const [index, segment] of segments.entries()) {
    const over = bytes > limits.bytes || segments.length - index > MAX_SEGMENTS
    if (!over && (ages[index] ?? 0) <= limits.maxAgeMs) break
    if (segment.last > settled && limits.whenFull === 'refuse') return { remove, full: bytes > limits.bytes }
    remove.push(segment)
    bytes -= segment.bytes
  }
  return { remove, full: false }
}

/** How long ago each segment ended. */
const segmentAges = (segments: readonly SegmentFacts[], now: Moment): number[] => {
  const ages: number[] = []
  let age = 0
  let later = now
  for (const segment of [...segments].reverse()) {
    const ended = { ...segment, wallMs: segment.endedMs, monotonicMs: segment.endedMonotonicMs }
    age += elapsedMs(ended, later)
    ages.push(age)
    const created = { ...segment, wallMs: segment.createdMs, monotonicMs: segment.createdMonotonicMs }
    age += elapsedMs(created, ended)
    later = created
  }
  return ages.reverse()
}

const elapsedMs = (from: Moment, to: Moment): number => {
  if (from.bootId === to.bootId) return Math.max(0, to.monotonicMs - from.monotonicMs)
  return from.synced && to.synced ? Math.max(0, to.wallMs - from.wallMs) : 0
}

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
