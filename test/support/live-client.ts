// A WebSocket client of /api/v1/live that remembers what it was told.

import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { until } from './until.ts'

export interface LiveMessage {
  readonly type: string
  readonly id?: number | string
  readonly seq?: number
  readonly readings?: readonly {
    readonly seq: number
    readonly device: string
    readonly name: string
    readonly value: unknown
  }[]
  readonly conflated?: boolean
  readonly code?: string
  readonly [key: string]: unknown
}

export interface LiveClient {
  readonly ws: WebSocket
  /** Below the WebSocket. */
  readonly socket: Duplex
  readonly messages: LiveMessage[]
  readonly closeCode: number | undefined
  /** The HTTP status when the upgrade was refused. */
  readonly refused: number | undefined
  send(message: unknown): void
  /** The first message of the type at or behind `from`. */
  next(type: string, from?: number): Promise<LiveMessage>
  closed(): Promise<number>
}

interface Teardown {
  teardown: (work: () => void) => void
}

export const liveClient = (
  t: Teardown,
  url: string,
  options: { headers?: Record<string, string>; origin?: string } = {},
): LiveClient => {
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v1/live`, options)
  const messages: LiveMessage[] = []
  let closeCode: number | undefined
  let refused: number | undefined
  ws.on('message', (data) => messages.push(JSON.parse(String(data))))
  ws.on('close', (code) => {
    closeCode = code
  })
  ws.on('unexpected-response', (_request, response) => {
    refused = response.statusCode
    response.resume()
    ws.terminate()
  })
  ws.on('error', () => undefined)
  t.teardown(() => ws.terminate())
  let socket: Duplex | undefined
  ws.on('upgrade', (response) => {
    socket = response.socket
  })
  return {
    ws,
    get socket() {
      if (socket === undefined) throw new Error('there is no connection yet')
      return socket
    },
    messages,
    get closeCode() {
      return closeCode
    },
    get refused() {
      return refused
    },
    send: (message) => ws.send(typeof message === 'string' ? message : JSON.stringify(message)),
    next: (type, from = 0) =>
      until(`a message of type ${type}`, () => messages.slice(from).find((message) => message.type === type)),
    closed: () => until('the connection is closed', () => closeCode),
  }
}
