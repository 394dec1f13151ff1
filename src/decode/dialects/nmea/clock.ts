// The time of a sentence. RMC and ZDA have a date; for the others, the date is chosen that brings the time of day nearest
// to what is known: a dated sentence of the same message, else the arrival. So 23:59:59 that comes after midnight is of
// the day before.

import type { UnixMs } from '../../../core/contract.ts'
import { payloadTime } from '../../time-field.ts'
import type { Sentence } from './sentence.ts'

const DAY_MS = 86_400_000
const TIME_OF_DAY = /^(\d\d)(\d\d)(\d\d(?:\.\d{1,9})?)$/
/** RMC has two digits of the year; GPS began in 1980. */
const FIRST_YEAR = 80

export const timeOfDayMs = (text: string): number | undefined => {
  const match = TIME_OF_DAY.exec(text)
  if (match === null) return undefined
  const [hours, minutes, seconds] = [Number(match[1]), Number(match[2]), Number(match[3])]
  // 60 is a leap second.
  if (hours > 23 || minutes > 59 || seconds >= 61) return undefined
  return Math.round(((hours * 60 + minutes) * 60 + seconds) * 1e6) / 1e3
}

/** Before 2010 it is the time of a receiver that has none yet, or whose weeks rolled over: the arrival counts. */
export const nearestTime = (todMs: number, nearMs: UnixMs): UnixMs | undefined => {
  const today = Math.floor(nearMs / DAY_MS) * DAY_MS + todMs
  const [nearest] = [today - DAY_MS, today, today + DAY_MS].sort((a, b) => Math.abs(a - nearMs) - Math.abs(b - nearMs))
  return payloadTime(nearest, 'unix-ms')
}

/** The time of a sentence that has a date, and says that it is valid. */
export const datedTime = ({ type, fields }: Sentence): UnixMs | undefined => {
  const [time = ''] = fields
  const todMs = timeOfDayMs(time)
  if (todMs === undefined) return undefined
  if (type === 'ZDA') return at(fields[1], fields[2], fields[3], todMs)
  if (type !== 'RMC' || fields[1] !== 'A' || fields[11] === 'N' || !/^\d{6}$/.test(fields[8] ?? '')) return undefined
  const date = fields[8] ?? ''
  const year = Number(date.slice(4))
  return at(date.slice(0, 2), date.slice(2, 4), String(year + (year < FIRST_YEAR ? 2000 : 1900)), todMs)
}

const at = (day = '', month = '', year = '', todMs: number): UnixMs | undefined => {
  if (!/^\d{4}$/.test(year) || !/^\d\d?$/.test(month) || !/^\d\d?$/.test(day)) return undefined
  const midnight = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)))
  if (midnight.getUTCMonth() !== Number(month) - 1 || midnight.getUTCDate() !== Number(day)) return undefined
  return payloadTime(midnight.getTime() + todMs, 'unix-ms')
}
