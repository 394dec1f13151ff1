// CloudEvents 1.0 over HTTP: one event as JSON (structured), several (batched), or its attributes as headers and its data as
// the body (binary). Their data is what could be posted without them; a reading without a time of its own has the event's.

import type { IncomingHttpHeaders } from 'node:http'
import type { Reading } from '../core/contract.ts'
import { EARLIEST_DATE_MS } from '../core/senml.ts'
import { parseJson, quoteLargeIntegers } from '../decode/json-text.ts'
import { timeFrom } from './parameters.ts'
import { type Form, JSON_TYPES, mediaTypeFault, readingsOf, readingsOfJson } from './posted-message.ts'
import { badRequest } from './problem.ts'
import { bodyJson, bodyText, mediaType } from './request-body.ts'

export const EVENT_TYPE = 'application/cloudevents+json'
export const BATCH_TYPE = 'application/cloudevents-batch+json'
/** Each event is checked and resolved by itself. */
const MAX_EVENTS = 1_000
const REQUIRED = ['id', 'source', 'type'] as const
const MAX_BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

type Members = Readonly<Record<string, unknown>>

/** Whether a body is an event, or several, rather than plain data. */
export const isEvent = (type: string, headers: IncomingHttpHeaders): boolean =>
  type.startsWith('application/cloudevents') || headers['ce-specversion'] !== undefined

/** The readings of all events, in order. Throws what is wrong with the first that is not right. */
export const readingsOfEvents = (bytes: Buffer, form: Form, headers: IncomingHttpHeaders): readonly Reading[] => {
  if (!form.type.startsWith('application/cloudevents')) return ofBinary(bytes, form, headers)
  if (form.type !== EVENT_TYPE && form.type !== BATCH_TYPE) throw mediaTypeFault(form.type, [EVENT_TYPE, BATCH_TYPE])
  const text = bodyText(bytes)
  const value = bodyJson(text)
  const quoted = quoteLargeIntegers(text)
  const exact = quoted === text ? value : parseJson(quoted)
  if (form.type === EVENT_TYPE) return ofStructured(value, exact, form, 'the event')
  if (!Array.isArray(value) || !Array.isArray(exact)) throw badRequest('a batch of events is an array')
  if (value.length > MAX_EVENTS) throw badRequest(`there are more than ${MAX_EVENTS} events`)
  const exacts: unknown[] = exact
  return value.flatMap((event: unknown, index) => ofStructured(event, exacts[index], form, `event ${index}`))
}

const ofBinary = (bytes: Buffer, form: Form, headers: IncomingHttpHeaders): readonly Reading[] => {
  const attributes: Record<string, unknown> = Object.create(null)
  // Values of headers are percent-encoded UTF-8 (HTTP binding, 3.1.3.2).
  for (const name of [...REQUIRED, 'specversion', 'time']) attributes[name] = decoded(headers[`ce-${name}`], name)
  checkAttributes(attributes, 'the event')
  return withTime(readingsOf(bytes, form), attributes, 'the event')
}

const ofStructured = (event: unknown, exact: unknown, form: Form, where: string): readonly Reading[] => {
  const members = membersOf(event, where)
  checkAttributes(members, where)
  const stated = members['datacontenttype'] ?? 'application/json'
  if (typeof stated !== 'string') throw badRequest(`${where}: 'datacontenttype' is not a text`)
  const own = { ...form, type: mediaType(stated) }
  const { data, data_base64: base64 } = members
  if (data !== undefined && base64 !== undefined) throw badRequest(`${where} has both 'data' and 'data_base64'`)
  if (base64 !== undefined) {
    if (typeof base64 !== 'string' || base64.length % 4 !== 0 || !MAX_BASE64.test(base64))
      throw badRequest(`${where}: 'data_base64' is not base64`)
    return withTime(readingsOf(Buffer.from(base64, 'base64'), own), members, where)
  }
  if (data === undefined) throw badRequest(`${where} has no data`)
  // JSON format, 3.1.1: with a JSON media type the data is a JSON value, else a text.
  if (JSON_TYPES.includes(own.type))
    return withTime(readingsOfJson(data, membersOf(exact, where)['data'], own), members, where)
  if (typeof data !== 'string') throw badRequest(`${where}: 'data' of type '${own.type.slice(0, 80)}' is not a text`)
  return withTime(readingsOf(Buffer.from(data), own), members, where)
}

const checkAttributes = (attributes: Members, where: string): void => {
  if (attributes['specversion'] !== '1.0') throw badRequest(`${where}: 'specversion' is not 1.0`)
  for (const name of REQUIRED)
    if (typeof attributes[name] !== 'string' || attributes[name] === '')
      throw badRequest(`${where}: '${name}' is not a text that says something`)
}

const withTime = (readings: readonly Reading[], { time }: Members, where: string): readonly Reading[] => {
  if (time === undefined || time === null) return readings
  const timeMs = typeof time === 'string' ? timeFrom(time) : undefined
  if (timeMs === undefined || timeMs < EARLIEST_DATE_MS)
    throw badRequest(`${where}: 'time' is not a time like 2026-11-20T10:00:00Z, after July 1978`)
  return readings.map((reading) => (reading.timeMs === undefined ? { ...reading, timeMs } : reading))
}

const membersOf = (value: unknown, where: string): Members => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badRequest(`${where} is not an object`)
  return { ...value }
}

const decoded = (header: string | string[] | undefined, name: string): string | undefined => {
  if (header === undefined) return undefined
  try {
    return decodeURIComponent(String(header))
  } catch {
    throw badRequest(`the header ce-${name} is not percent-encoded UTF-8`)
  }
}
