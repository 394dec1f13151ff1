// A hole as clients see it: in answers, in messages, in events.

import type { Gap } from '../core/contract.ts'

/** The members of a gap, without braces. */
export const gapMembers = (gap: Gap): string =>
  `"from":${gap.first},"to":${gap.last},"reason":${JSON.stringify(gap.reason)}${gap.partial === true ? ',"partial":true' : ''}`

export const gapJson = (gap: Gap): string => `{${gapMembers(gap)}}`
