// Readings as JSON objects, one or several: each member is checked, and together they are written as a SenML Pack that names
// the device of each record, so that decoding gives back exactly what was posted.

import type { Reading } from '../core/contract.ts'
import { EARLIEST_DATE_MS } from '../core/senml.ts'
import { topicNameFault } from '../core/topic.ts'
import { timeFrom } from './parameters.ts'
import { badRequest } from './problem.ts'

/** `seq` and `timeQuality` are what this gateway gives out; a client may send back what it got, and gets a new seq. */
const KEYS = new Set(['device', 'name', 'value', 'unit', 'time', 'seq', 'timeQuality'])
const MAX_UNIT_LENGTH = 64
const MAX_NAME_LENGTH = 256
/** SenML takes smaller times as relative to now (RFC 8428, 4.5.3). */
const EARLIEST_MS = EARLIEST_DATE_MS
const LATEST_MS = 253_402_300_799_999

/** How many there may be is checked before. Throws TG_BAD_REQUEST, naming the reading and the member. */
export const readingsFrom = (value: unknown): readonly Reading[] => {
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.map((item, index) => readingFrom(item, Array.isArray(value) ? `reading ${index}` : 'the reading'))
}

const readingFrom = (item: unknown, where: string): Reading => {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw badRequest(`${where} is not an object`)
  const members = new Map<string, unknown>(Object.entries(item))
  for (const key of members.keys())
    if (!KEYS.has(key)) throw badRequest(`${where} has the unknown member '${key.slice(0, 40)}'`)
  const device = members.get('device')
  const name = members.get('name')
  const unit = members.get('unit')
  if (typeof device !== 'string') throw badRequest(`${where}: 'device' is not a text`)
  const fault = topicNameFault(device)
  if (fault !== undefined) throw badRequest(`${where}: 'device' ${fault}`)
  if (typeof name !== 'string' || !isText(name, MAX_NAME_LENGTH))
    throw badRequest(`${where}: 'name' is not a text of 1 to ${MAX_NAME_LENGTH} characters`)
  if (unit !== undefined && (typeof unit !== 'string' || !isText(unit, MAX_UNIT_LENGTH)))
    throw badRequest(`${where}: 'unit' is not a text of 1 to ${MAX_UNIT_LENGTH} characters`)
  const timeMs = timeOf(members.get('time'), where)
  return {
    device,
    name,
    value: checkedValue(members.get('value'), where),
    ...(unit !== undefined && { unit }),
    ...(timeMs !== undefined && { timeMs }),
  }
}

const checkedValue = (value: unknown, where: string): Reading['value'] => {
  if (typeof value === 'string' || typeof value === 'boolean') return value
  // JSON has no NaN, but 1e999 parses as Infinity.
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw badRequest(`${where}: 'value' is not a finite number, a text, true or false`)
}

const timeOf = (time: unknown, where: string): number | undefined => {
  if (time === undefined) return undefined
  const ms = typeof time === 'string' ? timeFrom(time) : time
  if (typeof ms === 'number' && ms >= EARLIEST_MS && ms <= LATEST_MS) return ms
  throw badRequest(`${where}: 'time' is not a time like 2026-11-20T10:00:00Z, or Unix milliseconds, after July 1978`)
}

const isText = (text: string, maxLength: number): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  text.length > 0 && text.length <= maxLength && !/[\u0000-\u001f\u007f]|[\ud800-\udfff]/u.test(text)

/** A SenML Pack of the readings, in their order. */
export const packOf = (readings: readonly Reading[]): string => {
  let device: string | undefined
  const records = readings.map((reading) => {
    const { name, value, unit, timeMs } = reading
    const base = reading.device === device ? {} : { bn: `${reading.device}/` }
    device = reading.device
    const kind = typeof value === 'number' ? 'v' : typeof value === 'string' ? 'vs' : 'vb'
    return {
      ...base,
      n: name,
      ...(unit !== undefined && { u: unit }),
      [kind]: value,
      ...(timeMs !== undefined && { t: timeMs / 1_000 }),
    }
  })
  return JSON.stringify(records)
}
