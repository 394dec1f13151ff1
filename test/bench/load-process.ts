// Starts the load generator and the null server as processes of their own.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export interface LoadRequest {
  readonly port: number
  readonly qos: 0 | 1
  readonly connections: number
  readonly payloadBytes: number
  /** QoS 1: unacknowledged messages on each connection, and for how long. */
  readonly inFlight: number
  readonly durationMs: number
  /** QoS 0: how many in all. */
  readonly messages: number
}

export interface LoadResult {
  readonly messages: number
  readonly perSecond: number
  readonly elapsedMs: number
  /** From PUBLISH to PUBACK; only where one message is in flight on each connection. */
  readonly medianMs: number
  readonly p99Ms: number
}

const program = (name: string) => join(import.meta.dirname, `${name}.mjs`)

export const runLoad = async (request: LoadRequest): Promise<LoadResult> => {
  const child = spawn(process.execPath, [program('load'), JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`the load generator ended with ${code}`)
  return JSON.parse(output) as LoadResult
}

export const startNullServer = async (): Promise<{ readonly port: number; readonly child: ChildProcess }> => {
  const child = spawn(process.execPath, [program('null-server')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { port: Number(line.toString()), child }
}
