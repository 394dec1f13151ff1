// The TCP port: accepts connections, no more than allowed, and keeps account of them.

import { createServer, type Server, type Socket } from 'node:net'
import { describe, TidegateError } from '../../core/errors.ts'
import { Connection, type ConnectionEvents } from './connection.ts'
import { MAX_HANDSHAKE_BYTES, TCP_KEEP_ALIVE_MS } from './limits.ts'
import type { Refusals } from './refusal.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface ListenerOptions extends ListenAddress {
  /** For messages: the name of the source in the configuration. */
  readonly source: string
  readonly maxPacketBytes: number
  readonly maxConnections: number
  readonly connectTimeoutMs: number
}

/** What of a connection's events is not the listener's own. */
export interface ListenerEvents extends Pick<ConnectionEvents, 'connected' | 'mayProceed' | 'drained'> {
  closed(connection: Connection): void
  /** The number of connections has changed. */
  counted(connections: number): void
}

/** `127.0.0.1:1883` or `[::1]:1883`; undefined when the text is neither. */
export const parseAddress = (text: string): ListenAddress | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):([0-9]{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  return host === undefined || !(port <= 65_535) ? undefined : { host, port }
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #events: ListenerEvents
  readonly #refusals: Refusals
  readonly #server: Server
  readonly #connections = new Map<Connection, Socket>()
  /** Those that have not sent a CONNECT, the oldest first. */
  readonly #handshaking = new Set<Connection>()
  readonly #sockets = new Set<Socket>()
  #handshakeBytes = 0

  constructor(options: ListenerOptions, events: ListenerEvents, refusals: Refusals) {
    this.#options = options
    this.#events = events
    this.#refusals = refusals
    this.#server = createServer(
      // Half-open: what a client sent before it ended its side is still worked through and acknowledged.
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS },
      (socket) => this.#accept(socket),
    )
  }

  get connections(): Iterable<Connection> {
    return this.#connections.keys()
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** Where it listens: the port may have been left to the system. */
  get address(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return ''
    return `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
  }

  listen(): Promise<void> {
    const { host, port, source } = this.#options
    return new Promise((resolve, reject) => {
      const onError = (error: Error) => {
        const inUse = 'code' in error && error.code === 'EADDRINUSE'
        const message = inUse
          ? `port ${port} of ${host} is in use; it is set by sources[${source}].listen`
          : `${host}:${port} (sources[${source}].listen) cannot be listened on: ${describe(error)}`
        reject(new TidegateError(inUse ? 'TG_PORT_IN_USE' : 'TG_LISTEN_FAILED', message, { cause: error }))
      }
      this.#server.once('error', onError)
      this.#server.listen({ host, port, backlog: 511 }, () => {
        this.#server.off('error', onError)
        // Later errors are failed accepts, for want of file descriptors for one.
        this.#server.on('error', (error) => this.#refusals.count('connections', describe(error), ''))
        resolve()
      })
    })
  }

  /** Accepts nobody any more, and ends those that have not sent a CONNECT. */
  stop(): void {
    this.#server.close()
    for (const connection of this.#handshaking) connection.destroy()
  }

  /** Ends every connection. Resolves when all are gone. */
  async close(): Promise<void> {
    this.stop()
    for (const connection of this.#connections.keys()) connection.destroy()
    const closed = [...this.#sockets].map((socket) => new Promise<void>((resolve) => socket.once('close', resolve)))
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
  }

  #accept(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`
    if (this.#connections.size >= this.#options.maxConnections && !this.#makeRoom()) {
      this.#refusals.count('connections', `there are ${this.#connections.size} connections`, peer)
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const connection = new Connection(
      socket,
      { ...this.#options, peer },
      {
        ...this.#events,
        connected: (connected, connect) => {
          this.#handshaking.delete(connected)
          this.#events.connected(connected, connect)
        },
        refused: (refused, { reason, detail }) => this.#refusals.count(reason, detail, refused.label),
        handshakeBytes: (growing, change) => this.#countHandshakeBytes(growing, change),
      },
    )
    this.#connections.set(connection, socket)
    this.#handshaking.add(connection)
    connection.once('close', () => {
      this.#connections.delete(connection)
      this.#handshaking.delete(connection)
      this.#events.closed(connection)
      this.#events.counted(this.#connections.size)
    })
    this.#events.counted(this.#connections.size)
  }

  /** Whoever has not even said CONNECT gives way to a newcomer: silent connections keep nobody out. */
  #makeRoom(): boolean {
    for (const oldest of this.#handshaking) {
      oldest.refuse({ reason: 'connections', detail: 'sent no CONNECT while others came' })
      this.#connections.delete(oldest)
      this.#handshaking.delete(oldest)
      return true
    }
    return false
  }

  #countHandshakeBytes(connection: Connection, change: number): void {
    this.#handshakeBytes += change
    if (change > 0 && this.#handshakeBytes > MAX_HANDSHAKE_BYTES)
      connection.refuse({ reason: 'handshake-memory', detail: 'too many unfinished CONNECT packets' })
  }
}
