// The payload's own time. What cannot be trusted is left out, and the arrival stands in: a local time without a zone, and
// the small numbers of a device whose clock was never set.

import type { UnixMs } from '../core/contract.ts'
import type { TimeFormat } from '../core/profile.ts'

/** Devices that start at 1970 or 2000 and count have no clock. */
const EARLIEST_MS = Date.UTC(2010, 0)
/** Later than any device of today will live. */
const LATEST_MS = Date.UTC(2100, 0)
/** `any`: seconds stay below it until 5138, milliseconds are above it since 1973. */
const MILLISECONDS_FROM = 1e11

const WITH_ZONE = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[-+]\d\d(?::?\d\d)?)$/i

export const payloadTime = (value: unknown, format: TimeFormat): UnixMs | undefined => {
  const timeMs = typeof value === 'number' ? fromNumber(value, format) : fromText(value, format)
  return timeMs !== undefined && timeMs >= EARLIEST_MS && timeMs < LATEST_MS ? timeMs : undefined
}

const fromNumber = (value: number, format: TimeFormat): UnixMs | undefined => {
  if (format === 'iso8601') return undefined
  const milliseconds = format === 'unix-ms' || (format === 'any' && value >= MILLISECONDS_FROM)
  return milliseconds ? value : Math.round(value * 1e6) / 1e3
}

const fromText = (value: unknown, format: TimeFormat): UnixMs | undefined => {
  if (typeof value !== 'string' || value.length > 40) return undefined
  if (format !== 'iso8601' && /^\d+(\.\d+)?$/.test(value)) return fromNumber(Number(value), format)
  if (format === 'unix' || format === 'unix-ms' || !WITH_ZONE.test(value) || !isCalendarDay(value)) return undefined
  const text = value.toUpperCase().replace(' ', 'T').replace(',', '.')
  const zoned = text.replace(
    /([-+]\d\d):?(\d\d)?$/,
    (_, hours: string, minutes?: string) => `${hours}:${minutes ?? '00'}`,
  )
  const timeMs = Date.parse(zoned)
  return Number.isNaN(timeMs) ? undefined : timeMs
}

// Date.parse() takes the 31st of February for the 3rd of March.
const isCalendarDay = (text: string): boolean => {
  const [year, month, day] = [Number(text.slice(0, 4)), Number(text.slice(5, 7)), Number(text.slice(8, 10))]
  return day >= 1 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
}
