// Errors as HTTP says them: RFC 9457 problem details with the code of the error table. What is not an operating error says
// nothing about itself to strangers; it goes to the log.

import type { FastifyReply } from 'fastify'
import { type ErrorCode, errorTable, TidegateError } from '../core/errors.ts'

const STATUS: Partial<Record<ErrorCode, number>> = {
  TG_BAD_REQUEST: 400,
  TG_FILTER_INVALID: 400,
  TG_TOPIC_INVALID: 400,
  TG_DECODE: 400,
  TG_UNAUTHORIZED: 401,
  TG_FORBIDDEN: 403,
  TG_NOT_FOUND: 404,
  TG_NO_MESSAGES: 404,
  TG_METHOD_NOT_ALLOWED: 405,
  TG_COMMAND_UNDELIVERABLE: 409,
  TG_KEY_PENDING: 409,
  TG_BODY_TOO_LARGE: 413,
  TG_MESSAGE_TOO_LARGE: 413,
  TG_MEDIA_TYPE: 415,
  TG_KEY_REUSED: 422,
  TG_TOO_MANY: 429,
  TG_UNAVAILABLE: 503,
  TG_LOG_WRITE: 503,
  TG_LOG_CLOSED: 503,
}
/** Said with 429, 503 and a key that is pending: when trying again is reasonable. */
const RETRY_AFTER_S = 5

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

export const badRequest = (message: string): TidegateError => new TidegateError('TG_BAD_REQUEST', message)

export const statusOf = (code: ErrorCode): number => STATUS[code] ?? 500

/** The body of a problem. */
export const problemText = (error: TidegateError, extra: Readonly<Record<string, unknown>> = {}): string => {
  const [title, remedy] = errorTable[error.code]
  const { code, message } = error
  return JSON.stringify({
    type: `urn:tidegate:error:${code}`,
    title,
    status: statusOf(code),
    detail: message,
    code,
    remedy,
    ...extra,
  })
}

export const sendProblem = (
  reply: FastifyReply,
  error: TidegateError,
  extra?: Readonly<Record<string, unknown>>,
): FastifyReply => {
  const status = statusOf(error.code)
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="tidegate"')
  if (status === 429 || status === 503 || error.code === 'TG_KEY_PENDING') reply.header('retry-after', RETRY_AFTER_S)
  return reply
    .code(status)
    .header('content-type', PROBLEM_TYPE)
    .header('cache-control', 'no-store')
    .send(problemText(error, extra))
}

/** An operating error for whatever was thrown; undefined when it is a fault of ours. */
export const toTidegateError = (error: unknown): TidegateError | undefined => {
  if (error instanceof TidegateError) return statusOf(error.code) === 500 ? undefined : error
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error ? error.code : undefined
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new TidegateError('TG_BODY_TOO_LARGE', error.message)
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return new TidegateError('TG_MEDIA_TYPE', error.message)
  const status = 'statusCode' in error ? error.statusCode : undefined
  return typeof status === 'number' && status >= 400 && status < 500 ? badRequest(error.message) : undefined
}
