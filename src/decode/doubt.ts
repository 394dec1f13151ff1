// Values that are there and cannot be right: what a decoder says of them besides the text of the fault.

import type { Doubt } from '../core/contract.ts'
import type { Refused } from './fields.ts'
import { MAX_TEXT_LENGTH } from './limits.ts'

/** More wrong values in one message are one broken message; its fault says how many there are. */
export const MAX_DOUBTS = 100

export const doubtOf = (device: string, name: string, { reason, wrong }: Pick<Refused, 'reason' | 'wrong'>): Doubt =>
  typeof wrong === 'string' && wrong.length > MAX_TEXT_LENGTH
    ? { device, name, reason }
    : { device, name, reason, value: wrong }
