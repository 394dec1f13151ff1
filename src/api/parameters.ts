// Parameters of requests: query strings and what WebSocket messages carry, checked one by one. Each refusal names the
// parameter and what would be right.

import { parse } from 'node:querystring'
import type { Seq, UnixMs } from '../core/contract.ts'
import { type Selection, selectionOf } from '../live/selection.ts'
import { badRequest } from './problem.ts'

/** Filters and names of one request; a dashboard needs a handful. */
const MAX_FILTERS = 64
/** Longer texts are no names; they would only be carried around. */
const MAX_TEXT_LENGTH = 1_024

const MS_PER: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/**
 * Parses a query string. A `+` is a space there, but nobody who types `device=house/+/temperature` means one: as a whole
 * level of a filter it is the wildcard.
 */
export const parseQuery = (text: string): Record<string, unknown> =>
  parse(text.replace(/(^|[=/&]|%2f)\+(?=$|[/&]|%2f)/gi, '$1%2B'))

export class Query {
  readonly #query: Readonly<Record<string, unknown>>

  /** `query` as fastify parsed it: texts, or lists of texts for what was given more than once. */
  constructor(query: unknown) {
    this.#query = typeof query === 'object' && query !== null ? { ...query } : {}
  }

  all(key: string): string[] {
    const value = Object.hasOwn(this.#query, key) ? this.#query[key] : undefined
    const list: unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value]
    return list.map(String)
  }

  one(key: string): string | undefined {
    const values = this.all(key)
    if (values.length > 1) throw badRequest(`parameter '${key}' is given more than once`)
    return values[0] === '' ? undefined : values[0]
  }

  selection(): Selection {
    return selectionFrom(
      this.all('device').filter((text) => text !== ''),
      this.all('name').filter((text) => text !== ''),
    )
  }

  seq(key: string): Seq | undefined {
    const text = this.one(key)
    return text === undefined ? undefined : seqFrom(/^\d{1,16}$/.test(text) ? Number(text) : Number.NaN, key)
  }

  integer(key: string, minimum: number, maximum: number, otherwise: number): number {
    const text = this.one(key)
    if (text === undefined) return otherwise
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= minimum)) throw badRequest(`parameter '${key}' is not a whole number from ${minimum} on`)
    return Math.min(value, maximum)
  }

  durationMs(key: string, minimumMs: number, maximumMs: number): number | undefined {
    const text = this.one(key)
    return text === undefined ? undefined : durationFrom(text, key, minimumMs, maximumMs)
  }

  /** RFC 3339 with a zone, or a date; or Unix milliseconds. */
  time(key: string): UnixMs | undefined {
    const text = this.one(key)
    if (text === undefined) return undefined
    const ms = /^\d{1,16}$/.test(text) ? Number(text) : timeFrom(text)
    if (ms === undefined) throw badRequest(`parameter '${key}' is not a time like 2026-11-20T10:00:00Z`)
    return ms
  }
}

export const selectionFrom = (devices: readonly unknown[], names: readonly unknown[]): Selection =>
  selectionOf(texts(devices, 'device filters'), texts(names, 'names'))

const texts = (list: readonly unknown[], what: string): string[] => {
  if (list.length > MAX_FILTERS) throw badRequest(`there are more than ${MAX_FILTERS} ${what}`)
  return list.map((text) => {
    if (typeof text === 'string' && text.length > 0 && text.length <= MAX_TEXT_LENGTH) return text
    throw badRequest(`${what} are texts of 1 to ${MAX_TEXT_LENGTH} characters`)
  })
}

export const seqFrom = (value: unknown, key: string): Seq => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw badRequest(`'${key}' is not a seq: a whole number from 0 on`)
}

/** `500ms`, `30s`, `1m`, `1h`; clamped to the maximum. */
export const durationFrom = (value: unknown, key: string, minimumMs: number, maximumMs: number): number => {
  const match = typeof value === 'string' ? /^(\d{1,9}(?:\.\d{1,3})?)([a-z]{1,3})$/.exec(value) : null
  const ms = Number(match?.[1]) * (MS_PER.get(match?.[2] ?? '') ?? Number.NaN)
  if (ms >= minimumMs) return Math.min(ms, maximumMs)
  throw badRequest(`'${key}' is not a duration with a unit, such as 500ms or 30s, from ${minimumMs} ms on`)
}

/** Milliseconds of an RFC 3339 time with a zone, or of a date in UTC; undefined for anything else. */
export const timeFrom = (text: string): UnixMs | undefined => {
  const match = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)([Zz]|[ +-]\d\d:\d\d))?$/.exec(text)
  if (match === null) return undefined
  const [, date, time = '00:00', zone = 'Z'] = match
  // In a query string the + of a zone arrives as a space.
  const ms = Date.parse(`${date}T${time}${zone.replace(' ', '+').toUpperCase()}`)
  return Number.isNaN(ms) || !isCalendarDate(date) ? undefined : ms
}

/** Date.parse takes the 31st of any month and moves it. */
const isCalendarDate = (date: string | undefined): boolean => {
  const ms = Date.parse(`${date}T00:00Z`)
  return !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 10) === date
}
