// What an AMQP url says, for both versions of the protocol, and how it may be shown: never with its password.

import { TidegateError } from './errors.ts'

export interface AmqpEndpoint {
  readonly tls: boolean
  readonly host: string
  readonly port: number
  readonly username?: string
  readonly password?: string
  /** The path without its slash, decoded: the virtual host in 0-9-1. Empty when the url has none. */
  readonly path: string
  /** For messages and logs: scheme, host and port. */
  readonly shown: string
}

const PLAIN_PORT = 5672
const TLS_PORT = 5671

/** `key` names the place in the configuration. Throws TG_CONFIG_INVALID without repeating a password. */
export const parseAmqpUrl = (url: string, key: string): AmqpEndpoint => {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw new TidegateError('TG_CONFIG_INVALID', `${key} is not a valid URL`)
  }
  const tls = parsed.protocol === 'amqps:'
  if (!tls && parsed.protocol !== 'amqp:')
    throw new TidegateError('TG_CONFIG_INVALID', `${key} must begin with amqp:// or amqps://, not ${parsed.protocol}//`)
  if (parsed.hostname === '') throw new TidegateError('TG_CONFIG_INVALID', `${key} names no host`)
  const port = parsed.port === '' ? (tls ? TLS_PORT : PLAIN_PORT) : Number(parsed.port)
  return {
    tls,
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port,
    ...(parsed.username === '' ? {} : { username: decode(parsed.username, key) }),
    ...(parsed.password === '' ? {} : { password: decode(parsed.password, key) }),
    path: decode(parsed.pathname.slice(1), key),
    shown: `${parsed.protocol}//${parsed.hostname}:${port}`,
  }
}

const decode = (text: string, key: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new TidegateError('TG_CONFIG_INVALID', `${key} has a % that is not followed by two hexadecimal digits`)
  }
}
