// An HTTP server that answers like a gateway, from a script: what the next requests get, and what they asked for.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Scripted {
  readonly status?: number
  readonly body?: unknown
}

/** Answers one request; undefined leaves it without an answer. */
export type Script = (path: string, request: IncomingMessage) => Scripted | undefined

export interface ScriptedGateway {
  readonly url: string
  /** Paths with queries, in order. */
  readonly asked: readonly string[]
  /** Ends all connections and listens no more. */
  stop(): Promise<void>
  /** The same again on the same port. */
  restart(script: Script): Promise<void>
}

interface Test {
  teardown(work: () => Promise<void>): void
}

export const scriptedGateway = async (t: Test, first: Script): Promise<ScriptedGateway> => {
  const asked: string[] = []
  const listen = async (script: Script, port: number): Promise<Server> => {
    const server = createServer((request, response) => {
      const path = request.url ?? ''
      asked.push(path)
      const answer = script(path, request)
      if (answer === undefined) return
      response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' })
      response.end(answer.body === undefined ? '' : JSON.stringify(answer.body))
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server
  }
  let server = await listen(first, 0)
  const { port } = server.address() as AddressInfo
  const stop = async () => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  t.teardown(stop)
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    stop,
    restart: async (script) => {
      server = await listen(script, port)
    },
  }
}
