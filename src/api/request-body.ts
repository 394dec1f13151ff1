// Request bodies: bytes first, then strict UTF-8, then JSON; each refusal says which it was not.

import { badRequest } from './problem.ts'

/** As large as the largest message that an MQTT client may send by default, and some room. */
export const MAX_BODY_BYTES = 2 ** 20

export const BODY_TYPES = ['application/json', 'application/senml+json']

export const parseBody = (body: unknown): { bytes: Buffer; text: string; value: unknown } => {
  if (!Buffer.isBuffer(body) || body.length === 0) throw badRequest('the request has no body')
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw badRequest('the body is not valid UTF-8')
  }
  try {
    return { bytes: body, text, value: JSON.parse(text) }
  } catch (error) {
    throw badRequest(`the body is not valid JSON: ${error instanceof Error ? error.message.slice(0, 120) : ''}`)
  }
}
