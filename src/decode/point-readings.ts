// From points of InfluxDB line protocol to readings: which device they belong to, what they are called, when they were taken.

import type { Reading, UnixMs } from '../core/contract.ts'
import type { Point } from './line-protocol.ts'
import { payloadTime } from './time-field.ts'

export type Precision = 'ns' | 'us' | 'ms' | 's' | 'm' | 'h'

export interface PointNaming {
  /** Template of the device over {measurement}, {tags} and {tag.NAME}. */
  readonly device: string
  /** Template of the name over {field}, {measurement} and {tag.NAME}. */
  readonly name: string
}

/** A series is its measurement and its tags, so that is the device. */
export const POINT_NAMING: PointNaming = { device: '{measurement}/{tags}', name: '{field}' }

const DIGITS_BELOW_MS: ReadonlyMap<string, number> = new Map([
  ['ns', 6],
  ['us', 3],
  ['ms', 0],
])
const MS_PER: ReadonlyMap<string, number> = new Map([
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
])
const PLACE = /\{(measurement|tags|field|tag\.([^{}]+))\}/g

export const isPrecision = (text: string): text is Precision => DIGITS_BELOW_MS.has(text) || MS_PER.has(text)

/** `fallback` is the device of a point whose template comes out empty. */
export const readingsOfPoint = (
  point: Point,
  naming: PointNaming,
  precision: Precision,
  fallback: string,
): Reading[] => {
  const device = filled(naming.device, point, '', levelOf).split('/').filter(Boolean).join('/') || fallback
  const timeMs = point.timestamp === undefined ? undefined : payloadTime(timeOf(point.timestamp, precision), 'unix-ms')
  return point.fields.map(([field, value]) => {
    const name = filled(naming.name, point, field, String) || field
    return { device, name, value, ...(timeMs === undefined ? {} : { timeMs }) }
  })
}

/** Nanoseconds of today have more digits than a double: the last ones are cut off as text, down to microseconds. */
const timeOf = (digits: string, precision: Precision): UnixMs => {
  const below = DIGITS_BELOW_MS.get(precision)
  if (below === undefined) return Number(digits) * (MS_PER.get(precision) ?? Number.NaN)
  if (below === 0) return Number(digits)
  const whole = digits.slice(0, -below)
  const fraction = digits.slice(-below).padStart(below, '0').slice(0, 3)
  return Number(`${whole === '' || whole === '-' ? `${whole}0` : whole}.${fraction}`)
}

const filled = (template: string, point: Point, field: string, encode: (text: string) => string): string =>
  template.replace(PLACE, (_whole, place: string, tag: string | undefined) => {
    if (tag !== undefined) return encode(point.tags.get(tag) ?? '')
    if (place === 'measurement') return encode(point.measurement)
    if (place === 'field') return encode(field)
    // Their order means nothing to InfluxDB, and differs from writer to writer.
    const keys = [...point.tags.keys()].sort()
    return keys.map((key) => encode(point.tags.get(key) ?? '')).join('/')
  })

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const NO_PART_OF_A_LEVEL = /[%/+#\u0000-\u001f\u007f-\u009f]/g

/** One level of a device's name: what would make it two, or a wildcard, or no name at all, is percent-encoded. */
const levelOf = (text: string): string =>
  text.replace(NO_PART_OF_A_LEVEL, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
