// What RabbitMQ and the network say, as operating errors: who refused what, and whether it is a matter of size.

import type { AmqpEndpoint } from './amqp-url.ts'
import { describe, systemCode, TidegateError } from './errors.ts'

/** AMQP reply codes (specification, 1.2, and RabbitMQ's extensions). */
const CONTENT_TOO_LARGE = 311
const CONNECTION_FORCED = 320
const PRECONDITION_FAILED = 406

/** Errors of amqplib carry the broker's reply code as a number. */
export const replyCode = (error: unknown): number | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined

/** An attempt to connect that failed. */
export const connectFailure = (error: unknown, endpoint: AmqpEndpoint): TidegateError => {
  if (error instanceof TidegateError) return error
  const { shown } = endpoint
  const code = networkCode(error)
  if (code !== undefined) return new TidegateError('TG_UPSTREAM_UNREACHABLE', `cannot connect to ${shown}: ${code}`)
  const text = describe(error)
  if (/closed abruptly|Unexpected close|timed ?out|ETIMEDOUT/i.test(text))
    return new TidegateError('TG_UPSTREAM_UNREACHABLE', `${shown} closed the connection while it was opened: ${text}`)
  // amqplib keeps the broker's own words to itself here.
  if (/Expected ConnectionOpenOk/.test(text)) {
    const host = endpoint.path === '' ? '/' : endpoint.path
    const why = 'it does not exist, or the user may not use it'
    return new TidegateError('TG_UPSTREAM_REFUSED', `${shown} refused the virtual host '${host}': ${why}`)
  }
  const reply = /with message "(.*?)"$/.exec(text)?.[1]
  return new TidegateError('TG_UPSTREAM_REFUSED', `${shown} refused the connection: ${reply ?? text}`)
}

/** A declaration of the exchange that failed; a mismatch names both sides. */
export const declareFailure = (error: unknown, exchange: string, wanted: string, shown: string): TidegateError => {
  const text = describe(error)
  if (replyCode(error) === undefined && !/closed by server|Operation failed/.test(text))
    return connectionLost(error, shown)
  const [, key, received, current] =
    /inequivalent arg '([^']*)'.*?received (.*?) but current is (.*?)(?:"|$)/.exec(text) ?? []
  if (replyCode(error) === PRECONDITION_FAILED && key !== undefined)
    return new TidegateError(
      'TG_UPSTREAM_REFUSED',
      `exchange '${exchange}' at ${shown} differs: this sink wants ${key} ${received} (${wanted}), the broker has ${current}`,
    )
  return new TidegateError('TG_UPSTREAM_REFUSED', `exchange '${exchange}' at ${shown} cannot be declared: ${text}`)
}

/** The channel or the connection ended while messages were on their way. */
export const connectionLost = (error: unknown, shown: string): TidegateError => {
  if (error instanceof TidegateError) return error
  const code = replyCode(error)
  const text = error === undefined ? 'the connection was closed' : describe(error)
  // An operator closed it, or the broker is being stopped: it has refused nothing.
  return code === undefined || code === CONNECTION_FORCED
    ? new TidegateError('TG_UPSTREAM_UNREACHABLE', `lost ${shown}: ${networkCode(error) ?? text}`)
    : new TidegateError('TG_UPSTREAM_REFUSED', `${shown} closed the channel: ${text}`)
}

/** The broker's limit when the channel was closed because a message exceeds it; 'unknown' when it does not say the limit. */
export const sizeLimit = (error: unknown): number | 'unknown' | undefined => {
  const code = replyCode(error)
  const text = describe(error)
  if (code !== CONTENT_TOO_LARGE && !(code === PRECONDITION_FAILED && /message size/.test(text))) return undefined
  const limit = /max(?:imum)? size:? (\d+)/.exec(text)?.[1]
  return limit === undefined ? 'unknown' : Number(limit)
}

/** ECONNREFUSED and its like, also of a host with several addresses. */
const networkCode = (error: unknown): string | undefined => {
  const code = systemCode(error)
  if (code !== undefined || !(error instanceof AggregateError)) return code
  for (const inner of error.errors) {
    const innerCode = systemCode(inner)
    if (innerCode !== undefined) return innerCode
  }
  return undefined
}
