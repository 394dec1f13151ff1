// GET /api/v1/readings: the last values, made to be polled (entity tags, 304); with `after`, what is newer than a seq, in
// order, waiting for it if there is nothing yet.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { jsonArray } from '../live/batch.ts'
import type { ApiContext } from './context.ts'
import { gapJson } from './gaps.ts'
import type { Question } from './long-polls.ts'
import { Query } from './parameters.ts'

const MAX_WAIT_MS = 60_000
const DEFAULT_LIMIT = 1_000
const MAX_LIMIT = 10_000

export const registerReadings = (app: FastifyInstance, context: ApiContext): void => {
  app.get('/api/v1/readings', async (request, reply) => {
    const query = new Query(request.query)
    const selection = query.selection()
    const after = query.seq('after')
    if (after === undefined) return sendPrepared(request, reply, context.bodies.get(selection))
    const waitMs = query.durationMs('wait', 0, MAX_WAIT_MS) ?? 0
    const limit = query.integer('limit', 1, MAX_LIMIT, DEFAULT_LIMIT)
    return sendAnswer(reply, context, { selection, after, limit, waitMs })
  })
}

const sendPrepared = (
  request: FastifyRequest,
  reply: FastifyReply,
  { body, etag }: { body: Buffer; etag: string },
): FastifyReply => {
  reply.header('etag', etag).header('cache-control', 'no-cache')
  if (matchesTag(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.header('content-type', 'application/json; charset=utf-8').send(body)
}

const sendAnswer = async (reply: FastifyReply, context: ApiContext, question: Question): Promise<FastifyReply> => {
  const { live } = context.options
  const gone = new AbortController()
  const onClose = () => gone.abort()
  reply.raw.once('close', onClose)
  try {
    const answer = await context.longPolls.ask(question, gone.signal)
    reply.header('cache-control', 'no-store')
    if (answer === undefined) return reply.header('tidegate-seq', live.seq).code(204).send()
    const gaps = answer.gaps.length === 0 ? '' : `,"gaps":[${answer.gaps.map(gapJson).join()}]`
    return reply
      .header('content-type', 'application/json; charset=utf-8')
      .send(`{"seq":${answer.seq}${gaps},"readings":${jsonArray(answer.readings)}}`)
  } catch (error) {
    if (!gone.signal.aborted) throw error
    return reply.hijack() // nobody is there to be answered
  } finally {
    reply.raw.removeListener('close', onClose)
  }
}

/** If-None-Match compares weakly (RFC 9110, 13.1.2): a proxy that compressed the answer has marked the tag as weak. */
export const matchesTag = (header: string | undefined, etag: string): boolean => {
  if (header === undefined) return false
  return header.split(',').some((text) => {
    const tag = text.trim()
    return tag === '*' || tag === etag || tag === `W/${etag}`
  })
}
