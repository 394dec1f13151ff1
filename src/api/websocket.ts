// The upgrade to /api/v1/live: who is let in, and how many. What is refused here is refused as an HTTP problem, before any
// WebSocket exists; a page of another origin never gets further.

import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { TidegateError } from '../core/errors.ts'
import type { ApiContext } from './context.ts'
import { LiveConnection } from './live-connection.ts'
import { badRequest, PROBLEM_TYPE, problemText, statusOf } from './problem.ts'

const LIVE_PATH = '/api/v1/live'
/** A subscription with all its filters fits many times; more is refused by ws with 1009. */
const MAX_MESSAGE_BYTES = 64 * 1024
const CLOSE_TOO_MANY = 4429
/** How long a client that is one too many has to take the news. */
const FAREWELL_MS = 1_000

export class LiveSockets {
  readonly #context: ApiContext
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    // Pongs are ours to send: a client that pings and never reads would fill the socket's buffer.
    autoPong: false,
    clientTracking: false,
  })
  readonly #refused = new Set<WebSocket>()

  constructor(context: ApiContext) {
    this.#context = context
  }

  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => this.#upgrade(server, request, socket, head))
  }

  /** Cuts what has not said goodbye by itself. */
  destroy(): void {
    for (const socket of this.#refused) socket.terminate()
  }

  #upgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      answerWithoutUpgrade(server, request, socket)
      return
    }
    const refusal = this.#refusal(request)
    if (refusal !== undefined) {
      this.#context.options.meter.add('api_refused_total', { reason: refusal.code })
      refuse(socket, refusal)
      return
    }
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#opened(ws, request))
  }

  #refusal({ url = '', headers, method }: IncomingMessage): TidegateError | undefined {
    const { access } = this.#context
    const { host, origin } = headers
    if (!access.hostAllowed(host)) return new TidegateError('TG_FORBIDDEN', `host '${cut(host)}' is not this gateway's`)
    if (url.split('?', 1)[0] !== LIVE_PATH || method !== 'GET')
      return new TidegateError('TG_NOT_FOUND', `the WebSocket is at ${LIVE_PATH}`)
    if (!access.originAllowed(origin, host))
      return new TidegateError('TG_FORBIDDEN', `origin '${cut(origin)}' may not open a WebSocket`)
    return undefined
  }

  #opened(ws: WebSocket, request: IncomingMessage): void {
    if (this.#context.streams.full) {
      this.#context.options.meter.add('api_refused_total', { reason: 'TG_TOO_MANY' })
      this.#refused.add(ws)
      const timer = setTimeout(() => ws.terminate(), FAREWELL_MS)
      ws.on('error', () => ws.terminate())
      ws.on('close', () => {
        clearTimeout(timer)
        this.#refused.delete(ws)
      })
      ws.close(CLOSE_TOO_MANY, 'too many connections')
      return
    }
    // A program may send its token with the upgrade already; a browser cannot.
    const connection = new LiveConnection(ws, this.#context, request.headers.authorization)
    // Counts from the last time that bytes moved, in the middle of a large message too.
    request.socket.setTimeout(this.#context.limits.stallMs, () => connection.stalled())
    connection.open()
  }
}

const refuse = (socket: Duplex, error: TidegateError): void => {
  const body = problemText(error)
  const head = `HTTP/1.1 ${statusOf(error.code)} Refused\r\nConnection: close\r\nContent-Type: ${PROBLEM_TYPE}`
  socket.once('finish', () => socket.destroy()) // whether the client closes its side or not
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

/** Some HTTP clients offer another protocol (h2c) with each first request; they get their answer in HTTP/1.1 (RFC 9110, 7.8). */
const answerWithoutUpgrade = (server: Server, request: IncomingMessage, socket: Duplex): void => {
  const { headers } = request
  if ('transfer-encoding' in headers || (headers['content-length'] ?? '0') !== '0') {
    refuse(socket, badRequest('a request that asks for an upgrade has no body'))
    return
  }
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(request.socket)
  response.once('finish', () => request.socket.destroySoon())
  server.emit('request', request, response)
}

const cut = (text = ''): string => text.slice(0, 100)
