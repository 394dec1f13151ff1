// POST /api/v1/readings: readings that come over HTTP become one message of the log, a SenML Pack, and are answered once it is
// durable. What would not decode to exactly what was posted is refused before it is written.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Message, Reading, Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { isSenmlPack, resolveSenml } from '../core/senml.ts'
import { withDeadline } from '../core/time.ts'
import { parseJson, quoteLargeIntegers } from '../decode/json-text.ts'
import type { ApiContext } from './context.ts'
import { packOf, readingsFrom } from './posted-readings.ts'
import { badRequest } from './problem.ts'
import { parseBody } from './request-body.ts'

/** Name of the source, and the topic of its messages: SenML records without a device of their own belong to device `http`. */
const SOURCE = 'http'
/** Requests that wait for the log at a time; each holds a body of up to 1 MiB. */
const MAX_PENDING = 64
/** How long the log may take to make room, and then to become durable. */
const ROOM_DEADLINE_MS = 5_000
const DURABLE_DEADLINE_MS = 30_000
const SENML = 'application/senml+json'

export const registerIngest = (app: FastifyInstance, context: ApiContext): void => {
  let pending = 0
  app.post('/api/v1/readings', async (request, reply) => {
    const message = messageFrom(request, context)
    if (pending >= MAX_PENDING)
      throw new TidegateError('TG_UNAVAILABLE', `${MAX_PENDING} posted messages wait for the log`)
    pending++
    try {
      const seq = await deliver(context, message)
      return reply.code(201).header('cache-control', 'no-store').send({ seq })
    } finally {
      pending--
    }
  })
}

const deliver = async ({ options: { intake, meter } }: ApiContext, message: Message): Promise<Seq> => {
  // Not taken, so that whoever sends it again does not send it twice.
  if (intake.refusal !== undefined) throw new TidegateError('TG_LOG_WRITE', intake.refusal)
  const noRoom = () => new TidegateError('TG_UNAVAILABLE', 'the log has had no room for several seconds')
  await withDeadline(intake.ready(), ROOM_DEADLINE_MS, noRoom)
  meter.add('messages_received_total', { source: SOURCE })
  const notYet = () => new TidegateError('TG_UNAVAILABLE', 'the message is not durable yet; it may still become so')
  return withDeadline(intake.deliver(message), DURABLE_DEADLINE_MS, notYet)
}

const messageFrom = (request: FastifyRequest, { options }: ApiContext): Message => {
  const { bytes, text, value } = parseBody(request.body)
  const receivedAt = options.clock.wallMs()
  const declared = (request.headers['content-type'] ?? '').toLowerCase().startsWith(SENML)
  const isPack = declared || isSenmlPack(value)
  const expected = isPack ? resolveSenml(value, SOURCE, receivedAt) : readingsFrom(exact(text, value))
  if (expected.length === 0) throw badRequest('the request holds no reading')
  const payload = isPack ? bytes : Buffer.from(packOf(expected))
  // The log holds messages, not readings: what a reader will make of this one has to be what was posted.
  const { fault, readings } = options.decode({ topic: SOURCE, payload, source: SOURCE, receivedAt })
  if (fault !== undefined) throw new TidegateError('TG_DECODE', fault)
  if (!sameReadings(readings, expected))
    throw badRequest(`a device profile for the topic '${SOURCE}' makes something else of these readings`)
  return { topic: SOURCE, payload, source: SOURCE, qos: 1, retain: false }
}

/** The value with integers beyond 2^53 as text, as the decoders of other sources give them out. */
const exact = (text: string, value: unknown): unknown => {
  const quoted = quoteLargeIntegers(text)
  return quoted === text ? value : parseJson(quoted)
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
