// Readings that come over HTTP: POST /api/v1/readings in every form, and the doors of InfluxDB that devices know already. A
// request is taken as a whole or not at all, and answered once what it held is durable. Which messages it becomes:
// posted-message.ts. What an Idempotency-Key promises: ingest-keys.ts.

import { crc32 } from 'node:zlib'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Message, Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { withDeadline } from '../core/time.ts'
import { isPrecision, type Precision } from '../decode/point-readings.ts'
import type { ApiContext } from './context.ts'
import { IngestKeys, type Keyed, keyFrom, messageCrc, originOf } from './ingest-keys.ts'
import { Query } from './parameters.ts'
import { BATCH_TYPE, EVENT_TYPE, isEvent, readingsOfEvents } from './posted-events.ts'
import * as posted from './posted-message.ts'
import { badRequest } from './problem.ts'
import { bodyBytes, inflated, mediaType } from './request-body.ts'

/** Requests that wait for the log at a time; each holds a body of up to 1 MiB. */
const MAX_PENDING = 64
/** How long the log may take to make room, and then to become durable. */
const ROOM_DEADLINE_MS = 5_000
const DURABLE_DEADLINE_MS = 30_000
/** How long the log may be read for keys of before the start. */
const KEYS_DEADLINE_MS = 30_000
const READING_TYPES = [...posted.JSON_TYPES, ...posted.CBOR_TYPES, ...posted.LINE_TYPES, EVENT_TYPE, BATCH_TYPE]
/** As InfluxDB 1 and 2 spell them. */
const PRECISIONS: ReadonlyMap<string, Precision> = new Map([
  ['n', 'ns'],
  ['u', 'us'],
  ['µ', 'us'],
])

interface Taken {
  /** Of the first message, where there are several. */
  readonly first?: Seq
  readonly seq: Seq
}

export const registerIngest = async (app: FastifyInstance, context: ApiContext): Promise<void> => {
  const ingest = new Ingest(context)
  // Bodies of every type come here as bytes; what they may be depends on the route.
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    scope.addHook('onClose', async () => ingest.close())
    scope.post('/api/v1/readings', async (request, reply) => {
      const taken = await ingest.take(request, mediaType(request.headers['content-type']))
      return reply.code(201).header('cache-control', 'no-store').send(taken)
    })
    // Whatever the type says: curl calls line protocol a form, and libraries call it nothing.
    for (const url of ['/write', '/api/v2/write'])
      scope.post(url, async (request, reply) => {
        await ingest.take(request, 'text/plain')
        return reply.code(204).send()
      })
    scope.get('/ping', async (_request, reply) => reply.code(204).send())
  })
}

class Ingest {
  readonly #context: ApiContext
  readonly #keys: IngestKeys
  #pending = 0

  constructor(context: ApiContext) {
    this.#context = context
    this.#keys = new IngestKeys(context.options.live, context.options.clock)
  }

  close(): void {
    this.#keys.close()
  }

  async take(request: FastifyRequest, type: string): Promise<Taken> {
    if (this.#pending >= MAX_PENDING)
      throw new TidegateError('TG_UNAVAILABLE', `${MAX_PENDING} posted messages wait for the log`)
    this.#pending++
    try {
      const key = keyFrom(request.headers['idempotency-key'])
      const bytes = await inflated(bodyBytes(request.body), request.headers['content-encoding'])
      const precision = precisionFrom(new Query(request.query))
      const { messages, repeatable } = this.#messages(request, bytes, type, precision)
      if (key === undefined) return answer(messages, await this.#deliver(messages))
      const last = messages.at(-1)
      const keyed = {
        origin: originOf(key),
        body: crc32(bytes, crc32(`${type} ${precision}`)),
        message: repeatable && last !== undefined ? messageCrc(last) : undefined,
      }
      return answer(messages, await this.#once(keyed, messages))
    } finally {
      this.#pending--
    }
  }

  #messages({ headers }: FastifyRequest, bytes: Buffer, type: string, precision: Precision): posted.Posted {
    const { options } = this.#context
    const form = { type, precision, receivedAt: options.clock.wallMs() }
    if (isEvent(type, headers)) {
      const readings = readingsOfEvents(bytes, form, headers)
      // Relative times of SenML in events are resolved here, so the same event may become another Pack later.
      return { messages: [posted.messageOfReadings(readings, form.receivedAt, options)], repeatable: false }
    }
    if (!READING_TYPES.includes(type)) throw posted.mediaTypeFault(type, READING_TYPES)
    return posted.messagesFrom(bytes, form, options)
  }

  async #once(key: Keyed, messages: readonly Message[]): Promise<Seq> {
    const notRead = () => new TidegateError('TG_UNAVAILABLE', 'the log is still read for earlier idempotency keys')
    await withDeadline(this.#keys.loaded(), KEYS_DEADLINE_MS, notRead)
    const earlier = this.#keys.claim(key)
    if (earlier !== undefined) return earlier
    const keyed = messages.map((message, index) =>
      index === messages.length - 1 ? { ...message, origin: key.origin } : message,
    )
    // Claimed until the log has spoken, even where the client no longer waits for it.
    const settle = (durable: Promise<Seq>) =>
      durable.then(
        (seq) => this.#keys.keep(key, seq),
        () => this.#keys.giveUp(key),
      )
    let appended = false
    try {
      return await this.#deliver(keyed, (durable) => {
        appended = true
        void settle(durable)
      })
    } catch (error) {
      if (!appended) this.#keys.giveUp(key)
      throw error
    }
  }

  /** Resolves with the seq of the last when all are durable. `appended` is called with the outcome once the log has them. */
  async #deliver(messages: readonly Message[], appended?: (durable: Promise<Seq>) => void): Promise<Seq> {
    const { intake, meter } = this.#context.options
    // Not taken, so that whoever sends it again does not send it twice.
    if (intake.refusal !== undefined) throw new TidegateError('TG_LOG_WRITE', intake.refusal)
    const noRoom = () => new TidegateError('TG_UNAVAILABLE', 'the log has had no room for several seconds')
    await withDeadline(intake.ready(), ROOM_DEADLINE_MS, noRoom)
    meter.add('messages_received_total', { source: posted.SOURCE }, messages.length)
    // In one go, so that their seqs follow each other.
    const durable = Promise.all(messages.map((message) => intake.deliver(message))).then((seqs) => seqs.at(-1) ?? 0)
    appended?.(durable)
    const notYet = () => new TidegateError('TG_UNAVAILABLE', 'the message is not durable yet; it may still become so')
    return withDeadline(durable, DURABLE_DEADLINE_MS, notYet)
  }
}

const answer = ({ length }: readonly Message[], seq: Seq): Taken =>
  length === 1 ? { seq } : { first: seq - length + 1, seq }

const precisionFrom = (query: Query): Precision => {
  const text = query.one('precision') ?? 'ns'
  const precision = PRECISIONS.get(text) ?? text
  if (isPrecision(precision)) return precision
  throw badRequest(`parameter 'precision' is not one of ns, us, ms, s, m, h`)
}
