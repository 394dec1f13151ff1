// Addresses to listen on, as they are written: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `0.0.0.0:1883` for every interface.

import { BlockList, isIP } from 'node:net'

export interface ListenAddress {
  readonly host: string
  /** 0 lets the system choose one. */
  readonly port: number
}

const MAX_PORT = 65_535

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** undefined when the text is not `HOST:PORT`. */
export const parseListen = (text: string): ListenAddress | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([^\s:[\]/]{1,253})):([0-9]{1,5})$/.exec(text)
  if (match === null) return undefined
  const host = match[1] ?? match[2] ?? ''
  const port = Number(match[3])
  if (port > MAX_PORT || (match[1] !== undefined && isIP(host) !== 6)) return undefined
  return { host, port }
}

/** Whether only this machine can reach the address. A name other than `localhost` may mean anything, so it is not trusted. */
export const isLoopback = (host: string): boolean => {
  const family = isIP(host)
  if (family === 0) return host.toLowerCase() === 'localhost'
  return loopback.check(host, family === 6 ? 'ipv6' : 'ipv4')
}

/** Whether two listeners would want the same port of the same interface. */
export const listenersCollide = (one: ListenAddress, other: ListenAddress): boolean => {
  if (one.port !== other.port || one.port === 0) return false
  return (
    one.host === other.host || [one, other].some(({ host }) => isWildcard(host)) || (isLocal(one) && isLocal(other))
  )
}

const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::'

// `localhost` is 127.0.0.1 or ::1, whichever the resolver prefers.
const isLocal = ({ host }: ListenAddress): boolean => ['localhost', '127.0.0.1'].includes(host.toLowerCase())
