// Arithmetic of unsettled ranges: ascending, disjoint, the last one open. Where the list would grow too long, settled seqs
// become unsettled again (delivered twice), never the other way round (lost).

import type { Seq } from '../core/contract.ts'
import type { Range } from '../core/log-contract.ts'

/** What fits into a cursor file's slot many times over; outages and rejections make a handful. */
export const MAX_RANGES = 64

/** Everything is unsettled. */
export const ALL_UNSETTLED: readonly Range[] = [{ first: 1, last: Number.POSITIVE_INFINITY }]

/** Takes first…last out of the ranges; the same list when nothing of it was unsettled. The open end always stays. */
export const settleRange = (ranges: readonly Range[], first: Seq, last: Seq): readonly Range[] => {
  const end = Math.min(last, Number.MAX_SAFE_INTEGER - 1)
  if (first > end || !ranges.some((range) => range.first <= end && range.last >= first)) return ranges
  const result: Range[] = []
  for (const range of ranges) {
    if (range.last < first || range.first > end) {
      result.push(range)
      continue
    }
    if (range.first < first) result.push({ first: range.first, last: first - 1 })
    if (range.last > end) result.push({ first: end + 1, last: range.last })
  }
  while (result.length > MAX_RANGES) widen(result)
  return result
}

/** Joins the two neighbours with the fewest settled seqs between them. */
const widen = (ranges: Range[]): void => {
  let best = 1
  let fewest = Number.POSITIVE_INFINITY
  for (let index = 1; index < ranges.length; index++) {
    const settled = (ranges[index]?.first ?? 0) - (ranges[index - 1]?.last ?? 0)
    if (settled < fewest) {
      fewest = settled
      best = index
    }
  }
  const left = ranges[best - 1]
  const right = ranges[best]
  if (left !== undefined && right !== undefined) ranges.splice(best - 1, 2, { first: left.first, last: right.last })
}

/** Ascending, disjoint ranges with one more; neighbours are joined. */
export const addRange = (ranges: readonly Range[], { first, last }: Range): readonly Range[] => {
  const before = ranges.filter((range) => range.last < first - 1)
  const behind = ranges.filter((range) => range.first > last + 1)
  const joined = ranges.filter((range) => range.last >= first - 1 && range.first <= last + 1)
  const from = Math.min(first, joined[0]?.first ?? first)
  return [...before, { first: from, last: Math.max(last, joined.at(-1)?.last ?? last) }, ...behind]
}

/** Whether one of the ranges holds all of first…last. */
export const covers = (ranges: readonly Range[], first: Seq, last: Seq): boolean =>
  ranges.some((range) => range.first <= first && range.last >= last)

/** What of first…last is in none of the ranges, ascending. */
export const without = (ranges: readonly Range[], first: Seq, last: Seq): Range[] => {
  const rest: Range[] = []
  let from = first
  for (const range of ranges) {
    if (range.last < from || range.first > last) continue
    if (range.first > from) rest.push({ first: from, last: range.first - 1 })
    from = range.last + 1
  }
  if (from <= last) rest.push({ first: from, last })
  return rest
}
