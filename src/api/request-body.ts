// Request bodies: bytes first, inflated in bounds where they are compressed, then strict UTF-8, then JSON; each refusal says
// which it was not.

import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { systemCode, TidegateError } from '../core/errors.ts'
import { badRequest } from './problem.ts'

/** As large as the largest message that an MQTT client may send by default, and some room. Compressed ones, when inflated. */
export const MAX_BODY_BYTES = 2 ** 20

export const BODY_TYPES = ['application/json', 'application/senml+json']

export const parseBody = (body: unknown): { bytes: Buffer; text: string; value: unknown } => {
  const bytes = bodyBytes(body)
  const text = bodyText(bytes)
  return { bytes, text, value: bodyJson(text) }
}

/** Throws TG_BAD_REQUEST where there is no body. */
export const bodyBytes = (body: unknown): Buffer => {
  if (!Buffer.isBuffer(body) || body.length === 0) throw badRequest('the request has no body')
  return body
}

export const bodyText = (bytes: Buffer): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw badRequest('the body is not valid UTF-8')
  }
}

export const bodyJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw badRequest(`the body is not valid JSON: ${error instanceof Error ? error.message.slice(0, 120) : ''}`)
  }
}

/** The body without its Content-Encoding: gzip or none. What would inflate beyond the limit is never held as a whole. */
export const inflated = async (bytes: Buffer, encoding: string | undefined): Promise<Buffer> => {
  const coding = (encoding ?? '').trim().toLowerCase()
  if (coding === '' || coding === 'identity') return bytes
  if (coding !== 'gzip' && coding !== 'x-gzip') {
    const shown = coding.slice(0, 40)
    throw new TidegateError('TG_MEDIA_TYPE', `the content encoding '${shown}' is not supported; gzip is`)
  }
  try {
    return bodyBytes(await promisify(gunzip)(bytes, { maxOutputLength: MAX_BODY_BYTES }))
  } catch (error) {
    if (error instanceof TidegateError) throw error
    if (systemCode(error) === 'ERR_BUFFER_TOO_LARGE')
      throw new TidegateError('TG_BODY_TOO_LARGE', `the body inflates to more than ${MAX_BODY_BYTES} bytes`)
    throw badRequest('the body is not valid gzip')
  }
}

/** `text/plain; charset=utf-8` → `text/plain`. */
export const mediaType = (header: string | undefined): string =>
  (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
