// Work that ends when its client goes away.

import type { FastifyReply } from 'fastify'

/** Runs it with a signal that aborts when the client has gone; then nobody is there to be answered. */
export const goneWith = async (
  reply: FastifyReply,
  work: (signal: AbortSignal) => Promise<FastifyReply>,
): Promise<FastifyReply> => {
  const gone = new AbortController()
  const onClose = () => gone.abort()
  reply.raw.once('close', onClose)
  try {
    return await work(gone.signal)
  } catch (error) {
    if (!gone.signal.aborted) throw error
    return reply.hijack()
  } finally {
    reply.raw.removeListener('close', onClose)
  }
}
