// A cursor in memory at the cursor's own seam. What was flushed is kept apart, so that a test can "crash" and go on from it.

import type { Seq } from '../../src/core/contract.ts'
import type { Cursor, Range } from '../../src/core/log-contract.ts'

export interface MemoryCursor extends Cursor {
  /** Unsettled ranges as of the last flush. */
  readonly flushed: readonly Range[]
  readonly flushes: number
  /** From now on flush() rejects with this error; undefined ends it. */
  fail(error: Error | undefined): void
}

export const memoryCursor = (
  ranges: readonly Range[] = [{ first: 1, last: Number.POSITIVE_INFINITY }],
): MemoryCursor => {
  let unsettled: readonly Range[] = ranges
  let flushed: readonly Range[] = ranges
  let flushes = 0
  let failure: Error | undefined
  return {
    get unsettled() {
      return unsettled
    },
    get position(): Seq {
      return (unsettled[0]?.first ?? 1) - 1
    },
    get flushed() {
      return flushed
    },
    get flushes() {
      return flushes
    },
    settle: (first, last) => {
      unsettled = unsettled.flatMap((range) => {
        if (last < range.first || first > range.last) return [range]
        const rest: Range[] = []
        if (first > range.first) rest.push({ first: range.first, last: first - 1 })
        if (last < range.last) rest.push({ first: last + 1, last: range.last })
        return rest
      })
    },
    flush: async () => {
      if (failure !== undefined) throw failure
      flushes++
      flushed = unsettled
    },
    close: async () => undefined,
    fail: (error) => {
      failure = error
    },
  }
}
