// GET /api/v1/events: readings as Server-Sent Events, with the messages of /api/v1/live as data. `id:` is the seq, so that a
// browser that reconnects by itself sends Last-Event-ID and goes on where it stopped.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Gap } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import type { Batch } from '../live/batch.ts'
import { Follower, type Outlet } from '../live/follower.ts'
import type { ApiContext } from './context.ts'
import { gapMembers } from './gaps.ts'
import { Query, seqFrom } from './parameters.ts'
import { HIGH_WATER_BYTES, type Stream } from './streams.ts'

const MAX_EVERY_MS = 86_400_000

export const registerEvents = (app: FastifyInstance, context: ApiContext): void => {
  app.route({
    method: 'GET',
    url: '/api/v1/events',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const query = new Query(request.query)
      const selection = query.selection()
      const after = lastEventId(request) ?? query.seq('after')
      const everyMs = query.durationMs('every', 0, MAX_EVERY_MS) ?? 0
      if (context.streams.full) throw new TidegateError('TG_TOO_MANY', 'too many live connections')
      const stream = new EventStream(reply, context)
      reply.hijack()
      stream.open(new Follower({ live: context.options.live, selection, everyMs, outlet: stream }), after)
      return reply
    },
  })
}

const lastEventId = (request: FastifyRequest): number | undefined => {
  const header = request.headers['last-event-id']
  if (typeof header !== 'string' || header === '') return undefined
  return seqFrom(/^\d{1,16}$/.test(header) ? Number(header) : Number.NaN, 'Last-Event-ID')
}

class EventStream implements Stream, Outlet {
  readonly #reply: FastifyReply
  readonly #context: ApiContext
  #follower: Follower | undefined
  #countedBytes = 0

  constructor(reply: FastifyReply, context: ApiContext) {
    this.#reply = reply
    this.#context = context
  }

  open(follower: Follower, after: number | undefined): void {
    const { raw } = this.#reply
    this.#follower = follower
    this.#context.streams.add(this)
    raw.on('error', () => this.destroy())
    raw.on('close', () => this.#release())
    raw.writeHead(200, {
      ...definedHeaders(this.#reply),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no', // nginx would hold events back
    })
    // Counts from the last time that bytes moved, in the middle of a large event too.
    raw.setTimeout(this.#context.limits.stallMs, () => this.#context.streams.stalled(this))
    this.#write(':\n\n')
    follower.start(after).catch((error: unknown) => {
      if (raw.destroyed || raw.writableEnded) return
      this.#context.options.logger.error({ error: describe(error) }, 'event stream failed')
      this.destroy()
    })
  }

  heartbeat(): void {
    if (this.ready()) this.#write(':\n\n')
  }

  close(): void {
    this.#follower?.close()
    this.#reply.raw.end()
  }

  destroy(): void {
    this.#reply.raw.destroy()
    this.#release()
  }

  ready(): boolean {
    const { raw } = this.#reply
    return !raw.destroyed && raw.writableLength < HIGH_WATER_BYTES
  }

  pageBytes(): number {
    return HIGH_WATER_BYTES
  }

  snapshotBytes(): number {
    return this.#context.streams.roomBytes
  }

  snapshot(batch: Batch): void {
    this.#write(batch.frame(`id: ${batch.seq}\ndata: {"type":"snapshot","seq":${batch.seq},"readings":`, '}\n\n'))
  }

  readings(batch: Batch, conflated: boolean): void {
    if (conflated) this.#context.options.meter.add('api_conflated_messages_total')
    const end = conflated ? ',"conflated":true}\n\n' : '}\n\n'
    this.#write(batch.frame(`id: ${batch.seq}\ndata: {"type":"readings","seq":${batch.seq},"readings":`, end))
  }

  gap(gap: Gap): void {
    // Who resumes from here must still get what is left in a gap that is only partial.
    const id = gap.partial === true ? gap.first - 1 : gap.last
    this.#write(`id: ${id}\ndata: {"type":"gap",${gapMembers(gap)}}\n\n`)
  }

  #write(data: string | Buffer): void {
    const { raw } = this.#reply
    if (raw.destroyed || raw.writableEnded) return
    raw.write(data, () => this.#taken())
    this.#count(raw.writableLength)
  }

  #taken(): void {
    const { raw } = this.#reply
    if (raw.destroyed) return
    this.#count(raw.writableLength)
    if (this.ready()) this.#follower?.drained()
  }

  #count(bytes: number): void {
    this.#context.streams.buffered(bytes - this.#countedBytes)
    this.#countedBytes = bytes
  }

  #release(): void {
    this.#follower?.close()
    this.#count(0)
    this.#context.streams.remove(this)
  }
}

/** Headers that hooks have set already (CORS). */
const definedHeaders = (reply: FastifyReply): Record<string, string> =>
  Object.fromEntries(Object.entries(reply.getHeaders()).map(([key, value]) => [key, String(value)]))
