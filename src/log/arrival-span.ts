// When things arrived, from the earliest to the latest, for a stretch of a segment or for all of it. Kept in both clocks where
// the wall clock had not been set: the monotonic one says when it really was, once the boot's correction is known.

import type { IndexPoint, Summary } from './summary.ts'

/** Microseconds; a from above its to is nothing. */
export interface ArrivalSpan {
  /** As the wall clock said it, while it was set. */
  readonly fromUs: number
  readonly toUs: number
  /** The same while it was not. */
  readonly unsetFromUs: number
  readonly unsetToUs: number
  /** The monotonic clock, while the wall clock was not set. */
  readonly monotonicFromUs: number
  readonly monotonicToUs: number
}

/** Milliseconds, the end excluded. */
export interface TimeRange {
  readonly fromMs: number
  readonly toMs: number
}

/** Of the index points from `first` up to `end`, excluded. */
export const spanOf = ({ index, lastMonotonicUs }: Summary, first: number, end: number): ArrivalSpan => {
  const span = { ...NOTHING }
  for (let step = first; step < end; step++) {
    const point = index[step]
    if (point !== undefined) widen(span, point, index[step + 1]?.monotonicUs ?? lastMonotonicUs)
  }
  return span
}

/** False only when nothing in the span arrived within the range. `correctionMs`: of the boot, where it is known. */
export const mayOverlap = (span: ArrivalSpan, range: TimeRange, correctionMs: number | undefined): boolean => {
  if (overlaps(span.fromUs, span.toUs, 0, range)) return true
  return correctionMs === undefined
    ? overlaps(span.unsetFromUs, span.unsetToUs, 0, range)
    : overlaps(span.monotonicFromUs, span.monotonicToUs, correctionMs, range)
}

const NOTHING: ArrivalSpan = {
  fromUs: Number.POSITIVE_INFINITY,
  toUs: Number.NEGATIVE_INFINITY,
  unsetFromUs: Number.POSITIVE_INFINITY,
  unsetToUs: Number.NEGATIVE_INFINITY,
  monotonicFromUs: Number.POSITIVE_INFINITY,
  monotonicToUs: Number.NEGATIVE_INFINITY,
}

/** Corrections are rounded to microseconds. */
const SLACK_MS = 0.01

const overlaps = (fromUs: number, toUs: number, addMs: number, { fromMs, toMs }: TimeRange): boolean =>
  fromUs <= toUs && fromUs / 1_000 + addMs - SLACK_MS < toMs && toUs / 1_000 + addMs + SLACK_MS >= fromMs

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

// A stretch with both kinds of blocks counts as both.
const widen = (span: Writable<ArrivalSpan>, point: IndexPoint, endMonotonicUs: number): void => {
  if (point.synced || !point.unsynced) {
    span.fromUs = Math.min(span.fromUs, point.minWallUs)
    span.toUs = Math.max(span.toUs, point.maxWallUs)
  }
  if (!point.unsynced) return
  span.unsetFromUs = Math.min(span.unsetFromUs, point.minWallUs)
  span.unsetToUs = Math.max(span.unsetToUs, point.maxWallUs)
  span.monotonicFromUs = Math.min(span.monotonicFromUs, point.monotonicUs)
  span.monotonicToUs = Math.max(span.monotonicToUs, endMonotonicUs)
}
