// YYMMDDhhmmssX (DSMR 5.0.2 P1, 6.4): local time, X is S in summer and W in winter. Without the letter (DSMR 2.2) the time
// has no zone, and cannot be trusted.

import type { UnixMs } from '../../../core/contract.ts'
import { payloadTime } from '../../time-field.ts'

const HOUR_MS = 3_600_000
const TIMESTAMP = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([SW]?)$/

/** `impossible`: no such time exists, as the meter says it when it never heard of the device. */
export type Timestamp = { readonly timeMs: UnixMs | undefined } | 'impossible' | undefined

export const parseTimestamp = (text: string, winterOffsetHours: number): Timestamp => {
  const match = TIMESTAMP.exec(text)
  if (match === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number)
  const localMs = Date.UTC(2000 + year, month - 1, day, hour, minute, second)
  const local = new Date(localMs)
  const possible =
    local.getUTCMonth() === month - 1 && local.getUTCDate() === day && hour < 24 && minute < 60 && second < 60
  if (!possible) return 'impossible'
  if (match[7] === '') return { timeMs: undefined }
  const offsetHours = winterOffsetHours + (match[7] === 'S' ? 1 : 0)
  return { timeMs: payloadTime(localMs - offsetHours * HOUR_MS, 'unix-ms') }
}
