// Loss marks as they stand in the log: JSON in the payload of an entry of kind 'loss'.

import type { Entry, LossMark } from '../core/contract.ts'

export const encodeLossMark = (mark: LossMark): Buffer => Buffer.from(JSON.stringify(mark))

/** The loss mark in the payload of a 'loss' entry; undefined when it is not one. */
export const parseLossMark = (payload: Buffer): LossMark | undefined => {
  try {
    const mark: unknown = JSON.parse(payload.toString())
    return isLossMark(mark) ? mark : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** A mark that was written before the clock was set, and when by the monotonic clock of which boot. */
export interface UnsetArrival {
  readonly bootId: string
  readonly monotonicMs: number
}

/** The mark as it is shown, with the best time that is known. `correctionMs`: of that boot, where it is known. */
export const shownLoss = (mark: LossMark, unset: UnsetArrival | undefined, correctionMs?: number): LossMark => {
  if (unset === undefined) return mark
  if (correctionMs === undefined) return { ...mark, timeQuality: 'unsynced' }
  return { ...mark, time: unset.monotonicMs + correctionMs, timeQuality: 'corrected' }
}

/** The same of an entry of kind 'loss' that a reader gave; undefined when it is none. */
export const lossOf = ({ payload, receivedAt, timeQuality }: Entry): LossMark | undefined => {
  const mark = parseLossMark(payload)
  if (mark === undefined || timeQuality === undefined) return mark
  return timeQuality === 'corrected' ? { ...mark, time: receivedAt, timeQuality } : { ...mark, timeQuality }
}

const isLossMark = (value: unknown): value is LossMark =>
  typeof value === 'object' &&
  value !== null &&
  'first' in value &&
  typeof value.first === 'number' &&
  'last' in value &&
  typeof value.last === 'number' &&
  'count' in value &&
  typeof value.count === 'number' &&
  'reason' in value &&
  typeof value.reason === 'string'
