// Where a broker is: mqtt:// or mqtts://, with user and password where they are in the url. Shown without them.

import { TidegateError } from '../../core/errors.ts'

export interface BrokerAddress {
  readonly tls: boolean
  readonly host: string
  readonly port: number
  readonly username?: string
  readonly password?: string
  /** For messages and logs: scheme, host and port. */
  readonly shown: string
}

const PORTS: ReadonlyMap<string, number> = new Map([
  ['mqtt:', 1883],
  ['mqtts:', 8883],
])

/** `key` names the place in the configuration. Throws TG_CONFIG_INVALID without repeating a password. */
export const parseBrokerUrl = (url: string, key: string): BrokerAddress => {
  const wrong = (message: string) => new TidegateError('TG_CONFIG_INVALID', `${key} ${message}`)
  if (!URL.canParse(url)) throw wrong('is not a valid URL')
  const { protocol, hostname, port, username, password, pathname, search } = new URL(url)
  const usual = PORTS.get(protocol)
  if (usual === undefined) throw wrong(`must begin with mqtt:// or mqtts://, not ${protocol}//`)
  if (hostname === '') throw wrong('names no host')
  if ((pathname !== '' && pathname !== '/') || search !== '') throw wrong('has a path, which MQTT does not know')
  const number = port === '' ? usual : Number(port)
  return {
    tls: protocol === 'mqtts:',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: number,
    ...(username === '' ? {} : { username: decoded(username, wrong) }),
    ...(password === '' ? {} : { password: decoded(password, wrong) }),
    shown: `${protocol}//${hostname}:${number}`,
  }
}

const decoded = (text: string, wrong: (message: string) => TidegateError): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong('has a user or password with a broken percent-encoding')
  }
}
