// Loss marks as they stand in the log: JSON in the payload of an entry of kind 'loss'.

import type { LossMark } from '../core/contract.ts'

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
