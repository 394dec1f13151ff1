// GET /api/v1/profile-draft: a device profile to go on with, from the newest messages on a topic that the log holds.

import type { FastifyInstance } from 'fastify'
import type { Entry, Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { topicFilterFault, topicMatcher } from '../core/topic.ts'
import { suggestProfile } from '../decode/suggest/draft.ts'
import type { Live } from '../live/live.ts'
import type { ApiContext } from './context.ts'
import { Query } from './parameters.ts'
import { badRequest } from './problem.ts'

/** The newest messages, which the draft is made from. */
const MAX_MESSAGES = 500
/** …but for the very newest, no more than this of them: all are decoded by every dialect, in one go. */
const MAX_MESSAGE_BYTES = 1024 * 1024
/** Where the newest ones are looked for first; mostly they are there, and the rest of the log need not be read. */
const NEAR = 100_000
const PAGE = { entries: 1_024, bytes: 1024 * 1024 }
/** A draft reads and decodes for a while: one at a time. */
const MAX_PENDING = 1

export const registerProfileDraft = (app: FastifyInstance, { options }: ApiContext): void => {
  let pending = 0
  app.get('/api/v1/profile-draft', async (request, reply) => {
    const { filter, matches } = wish(new Query(request.query))
    if (pending >= MAX_PENDING) throw new TidegateError('TG_TOO_MANY', 'another draft is worked on')
    pending++
    const gone = new AbortController()
    const onClose = () => gone.abort()
    reply.raw.once('close', onClose)
    try {
      const messages = await newestMessages(options.live, matches, gone.signal)
      const yaml = suggestProfile(messages, { filter, decoders: options.decoders })
      return reply
        .header('cache-control', 'no-store')
        .header('content-type', 'application/yaml; charset=utf-8')
        .send(yaml)
    } catch (error) {
      if (!gone.signal.aborted) throw error
      return reply.hijack() // nobody is there to be answered
    } finally {
      pending--
      reply.raw.removeListener('close', onClose)
    }
  })
}

// A device that no profile claims is the topic of its messages, or what stands before its last level (one value a topic).
const wish = (query: Query): { readonly filter: string; readonly matches: (topic: string) => boolean } => {
  const topic = query.one('topic')
  const device = query.one('device')
  if ((topic === undefined) === (device === undefined)) throw badRequest(`say 'topic' or 'device', one of them`)
  if (topic === undefined) {
    const name = device ?? ''
    return {
      filter: name,
      matches: (text) => text === name || (text.startsWith(`${name}/`) && !text.slice(name.length + 1).includes('/')),
    }
  }
  const fault = topicFilterFault(topic)
  if (fault !== undefined) throw badRequest(`'topic' ${fault}`)
  return { filter: topic, matches: topicMatcher(topic) }
}

const newestMessages = async (
  live: Live,
  matches: (topic: string) => boolean,
  signal: AbortSignal,
): Promise<readonly Entry[]> => {
  const upTo = live.seq
  const near = await messagesBetween(live, matches, Math.max(0, upTo - NEAR), upTo, signal)
  return near.length > 0 || upTo <= NEAR ? near : messagesBetween(live, matches, 0, upTo - NEAR, signal)
}

const messagesBetween = async (
  live: Live,
  matches: (topic: string) => boolean,
  from: Seq,
  upTo: Seq,
  signal: AbortSignal,
): Promise<readonly Entry[]> => {
  const filter = { channel: (topic: string) => topic !== '' && matches(topic) }
  let newest: Entry[] = []
  for (let after = from; after < upTo; ) {
    const { entries, next } = await live.scan.read(after, signal, PAGE, filter)
    const found = entries.filter(({ kind, seq }) => kind === 'message' && seq <= upTo)
    newest = newestWithin([...newest, ...found])
    if (next === after) break
    after = next
  }
  return newest
}

const newestWithin = (entries: readonly Entry[]): Entry[] => {
  let bytes = 0
  const beyond = entries.findLastIndex(({ payload }, index) => {
    bytes += payload.length
    return entries.length - index > MAX_MESSAGES || (bytes > MAX_MESSAGE_BYTES && index < entries.length - 1)
  })
  return entries.slice(beyond + 1)
}
