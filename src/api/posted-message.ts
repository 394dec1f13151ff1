// From a posted body to the messages of the log. The log holds what arrived: a SenML Pack and line protocol go in as they came,
// because their decoders find everything in them again. Plain readings and CloudEvents are written as a SenML Pack, and so is
// whatever would decode to something else than was posted. What is not wholly right is refused as a whole, before it is written.

import type { Message, Reading } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { GENERIC_PROFILE } from '../core/profile.ts'
import { EARLIEST_DATE_MS, isSenmlPack, MAX_SENML_RECORDS, resolveSenml } from '../core/senml.ts'
import { parseJson, quoteLargeIntegers } from '../decode/json-text.ts'
import { type Lines, parseLines } from '../decode/line-protocol.ts'
import { POINT_NAMING, type Precision, readingsOfPoint } from '../decode/point-readings.ts'
import { packFromCbor, withExactValues } from '../decode/senml-pack.ts'
import type { ApiOptions } from './options.ts'
import { packOf, readingsFrom } from './posted-readings.ts'
import { badRequest } from './problem.ts'
import { bodyJson, bodyText, MAX_BODY_BYTES } from './request-body.ts'

/** Name of the source, and the topic of its messages: SenML records without a device of their own belong to device `http`. */
export const SOURCE = 'http'
/** Topic of line protocol; the level behind it is the unit of its timestamps. Profile line-protocol claims it. */
const LINES_TOPIC = `${SOURCE}/line-protocol`

/** What is known about a body besides its bytes. */
export interface Form {
  /** Without parameters, in lower case. */
  readonly type: string
  readonly precision: Precision
  readonly receivedAt: number
}

export interface Posted {
  /** In order; several only for line protocol with more values than one message holds. */
  readonly messages: readonly Message[]
  /** Whether the same body gives the same messages whenever it arrives. */
  readonly repeatable: boolean
}

type Context = Pick<ApiOptions, 'decode'>

export const JSON_TYPES = ['application/json', 'application/senml+json', 'application/sensml+json']
export const CBOR_TYPES = ['application/senml+cbor', 'application/sensml+cbor']
export const LINE_TYPES = ['text/plain']
const DATA_TYPES = [...JSON_TYPES, ...CBOR_TYPES, ...LINE_TYPES]

/** The messages of a body that is no CloudEvent. Throws what is wrong with it. */
export const messagesFrom = (bytes: Buffer, form: Form, context: Context): Posted => {
  if (LINE_TYPES.includes(form.type)) return messagesOfLines(bytes, form, context)
  const readings = readingsOf(bytes, form)
  const arrived = decodes(context, messageOf(bytes), readings, form.receivedAt)
  if (arrived !== undefined) return { messages: [arrived], repeatable: true }
  return {
    messages: [messageOfReadings(readings, form.receivedAt, context)],
    repeatable: form.type === 'application/json',
  }
}

/** What a body of one of the data types holds. Throws what is wrong with it; TG_MEDIA_TYPE for any other type. */
export const readingsOf = (bytes: Buffer, form: Form): readonly Reading[] => {
  const { type, receivedAt } = form
  if (CBOR_TYPES.includes(type)) return notNone(resolveSenml(bounded(packFromCbor(bytes)), SOURCE, receivedAt))
  if (LINE_TYPES.includes(type)) {
    const { points } = wholeLines(bodyText(bytes))
    const readings = points.flatMap((point) => readingsOfPoint(point, POINT_NAMING, form.precision, SOURCE))
    return notNone(bounded(readings))
  }
  if (!JSON_TYPES.includes(type)) throw mediaTypeFault(type, DATA_TYPES)
  const text = bodyText(bytes)
  const value = bodyJson(text)
  const quoted = quoteLargeIntegers(text)
  return readingsOfJson(value, quoted === text ? value : parseJson(quoted), form)
}

/** The same for parsed JSON; `exact` is the value with large integers as text. */
export const readingsOfJson = (value: unknown, exact: unknown, { type, receivedAt }: Form): readonly Reading[] => {
  if (type !== 'application/json' || isSenmlPack(value))
    return notNone(resolveSenml(withExactValues(bounded(value), exact), SOURCE, receivedAt))
  return notNone(readingsFrom(bounded(exact)))
}

/** One message of these readings, as a SenML Pack. */
export const messageOfReadings = (readings: readonly Reading[], receivedAt: number, context: Context): Message => {
  // Relative to a clock that was never set, a time says less than the arrival.
  const dated = bounded(readings).map(({ timeMs, ...rest }) =>
    timeMs === undefined || timeMs < EARLIEST_DATE_MS ? rest : { ...rest, timeMs },
  )
  const payload = Buffer.from(packOf(dated))
  if (payload.length > MAX_BODY_BYTES)
    throw new TidegateError('TG_BODY_TOO_LARGE', `the readings take more than ${MAX_BODY_BYTES} bytes`)
  const message = messageOf(payload)
  // The log holds messages, not readings: what a reader will make of this one has to be what was posted.
  const { fault } = context.decode({ ...message, receivedAt })
  if (fault !== undefined) throw new TidegateError('TG_DECODE', fault)
  if (decodes(context, message, dated, receivedAt) !== undefined) return message
  throw badRequest(`a device profile for the topic '${SOURCE}' makes something else of these readings`)
}

export const mediaTypeFault = (type: string, taken: readonly string[]): TidegateError => {
  const what =
    type === '' ? 'the request states no media type' : `the media type '${type.slice(0, 80)}' is not supported`
  return new TidegateError('TG_MEDIA_TYPE', `${what}; taken are ${taken.join(', ')}`)
}

const messagesOfLines = (bytes: Buffer, form: Form, context: Context): Posted => {
  const { precision, receivedAt } = form
  const text = bodyText(bytes)
  const topic = `${LINES_TOPIC}/${precision}`
  const messages = portions(wholeLines(text)).map((points) => {
    const payload = Buffer.from(text.slice(points[0]?.start, points.at(-1)?.end))
    const message = { ...messageOf(payload), topic }
    // Each line is right, so it is taken whatever a profile thinks of its values: that is a fault to be shown, as with MQTT.
    if (context.decode({ ...message, receivedAt }).profile !== GENERIC_PROFILE) return message
    // Nobody claims the topic: the profile was left out.
    const readings = points.flatMap((point) => readingsOfPoint(point, POINT_NAMING, precision, SOURCE))
    return messageOfReadings(readings, receivedAt, context)
  })
  return { messages, repeatable: true }
}

/** Points in portions that one message may hold: a batch of Telegraf has 1,000 points and as many as 10,000 values. */
const portions = ({ points }: Lines): Lines['points'][] => {
  const all: Lines['points'][number][][] = []
  let count = 0
  for (const point of points) {
    const portion = all.at(-1)
    bounded(point.fields)
    count += point.fields.length
    if (portion !== undefined && count <= MAX_SENML_RECORDS) {
      portion.push(point)
      continue
    }
    count = point.fields.length
    all.push([point])
  }
  return all
}

const wholeLines = (text: string): Lines => {
  const lines = parseLines(text, 1)
  const [fault] = lines.faults
  if (fault !== undefined) throw badRequest(`line ${fault.line}: ${fault.reason}`)
  if (lines.points.length === 0) throw badRequest('the request holds no reading')
  return lines
}

const messageOf = (payload: Buffer): Message => ({ topic: SOURCE, payload, source: SOURCE, qos: 1, retain: false })

/** The message, if readers will make exactly these readings of it. */
const decodes = (
  { decode }: Context,
  message: Message,
  expected: readonly Reading[],
  receivedAt: number,
): Message | undefined => {
  const { fault, readings } = decode({ ...message, receivedAt })
  return fault === undefined && sameReadings(readings, expected) ? message : undefined
}

const notNone = (readings: readonly Reading[]): readonly Reading[] => {
  if (readings.length === 0) throw badRequest('the request holds no reading')
  return readings
}

const bounded = <Value>(list: Value): Value => {
  if (Array.isArray(list) && list.length > MAX_SENML_RECORDS)
    throw new TidegateError('TG_BODY_TOO_LARGE', `there are more than ${MAX_SENML_RECORDS} readings`)
  return list
}

const sameReadings = (some: readonly Reading[], others: readonly Reading[]): boolean =>
  some.length === others.length &&
  some.every((reading, index) => {
    const other = others[index]
    return (
      other !== undefined &&
      reading.device === other.device &&
      reading.name === other.name &&
      reading.value === other.value &&
      reading.unit === other.unit &&
      sameTime(reading.timeMs, other.timeMs)
    )
  })

/** Seconds with a fraction do not give back each millisecond to the last bit. */
const sameTime = (one: number | undefined, other: number | undefined): boolean =>
  one === other || Math.abs((one ?? Number.NaN) - (other ?? Number.NaN)) < 0.01
