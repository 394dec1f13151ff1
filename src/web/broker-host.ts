// Where a client that reads this page can reach the broker: the broker says where it listens, the page knows by which
// name the gateway was reached.

export interface BrokerHost {
  readonly host: string
  readonly port: number
  /** Only programs on the gateway itself can connect. */
  readonly localOnly: boolean
}

const ANYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::', '*', ''])

/** `address` as `host:port`, `[v6]:port` or `mqtt://host:port`. Undefined when there is none. */
export const brokerHost = (address: string | undefined, pageHost: string): BrokerHost | undefined => {
  const match = /^(?:[a-z]+:\/\/)?(?:\[([^\]]*)\]|([^:/]*)):(\d+)\/?$/.exec(address ?? '')
  if (match === null) return undefined
  const listens = match[1] ?? match[2] ?? ''
  const port = Number(match[3])
  if (ANYWHERE.has(listens)) return { host: pageHost.replace(/^\[|\]$/g, ''), port, localOnly: false }
  const localOnly = listens === 'localhost' || listens === '::1' || listens.startsWith('127.')
  return { host: listens, port, localOnly }
}
