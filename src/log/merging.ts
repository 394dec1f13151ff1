// Which neighbouring segments become one: pure. Crash loops and thinning leave many small ones, and the number of segments
// is to follow from the bytes. Only segments of one boot, because a file has one boot id. An entry is written again only when
// it ends up in a file of twice the size at least, so that merging costs a small share of what was written.

import type { SegmentFacts } from './retention.ts'

/** Fewer small neighbours are left alone. */
const MIN_MERGED = 8
/** Open files at a time. */
const MAX_MERGED = 64

/** Neighbours to be merged, oldest first; undefined when there are none. */
export const segmentsToMerge = (
  segments: readonly SegmentFacts[],
  segmentBytes: number,
  mayMerge: (segment: SegmentFacts) => boolean,
): readonly SegmentFacts[] | undefined => {
  for (let start = 0; start + MIN_MERGED <= segments.length; start++) {
    const run = runFrom(segments, start, segmentBytes, mayMerge)
    if (run.length >= MIN_MERGED && isWorthIt(run)) return run
  }
  return undefined
}

const runFrom = (
  segments: readonly SegmentFacts[],
  start: number,
  segmentBytes: number,
  mayMerge: (segment: SegmentFacts) => boolean,
): readonly SegmentFacts[] => {
  const first = segments[start]
  let bytes = 0
  let end = start
  for (; end < segments.length && end - start < MAX_MERGED; end++) {
    const segment = segments[end]
    if (segment === undefined || segment.bootId !== first?.bootId || segment.thinnedBy !== first.thinnedBy) break
    if (!mayMerge(segment)) break
    bytes += segment.bytes
    if (bytes > segmentBytes) break
  }
  return segments.slice(start, end)
}

const isWorthIt = (run: readonly SegmentFacts[]): boolean => {
  let bytes = 0
  let largest = 0
  for (const segment of run) {
    bytes += segment.bytes
    largest = Math.max(largest, segment.bytes)
  }
  return 2 * largest <= bytes
}
