// A private Mosquitto, a child of the test on a port of its own, with a data directory that survives its restarts.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { temporaryDirectory } from './directory.ts'
import { occupyPort } from './port.ts'
import { until } from './until.ts'

type TestRun = Parameters<typeof temporaryDirectory>[0]

export interface MosquittoBroker {
  readonly port: number
  readonly url: string
  /** SIGTERM: it writes down its sessions. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Rewrites the configuration for the next start. */
  configure(...lines: readonly string[]): Promise<void>
}

export const startMosquitto = async (t: TestRun, ...lines: readonly string[]): Promise<MosquittoBroker> => {
  const directory = await temporaryDirectory(t)
  const occupied = await occupyPort()
  const { port } = occupied
  await occupied.close()
  const file = join(directory, 'mosquitto.conf')
  let child: ChildProcess | undefined
  const configure = async (...own: readonly string[]) => {
    const common = [`listener ${port} 127.0.0.1`, 'user root', 'persistence true', `persistence_location ${directory}/`]
    const access = own.some((line) => line.startsWith('allow_anonymous')) ? [] : ['allow_anonymous true']
    await writeFile(file, `${[...common, ...access, ...own].join('\n')}\n`)
  }
  const start = async () => {
    const started = spawn('/usr/sbin/mosquitto', ['-c', file], { stdio: 'ignore' })
    child = started
    await until(`mosquitto listens on ${port}`, () => {
      if (started.exitCode !== null) throw new Error(`mosquitto ended with ${started.exitCode}`)
      return answers(port)
    })
  }
  const stop = async () => {
    const running = child
    child = undefined
    if (running === undefined || running.exitCode !== null) return
    running.kill('SIGTERM')
    await once(running, 'exit')
  }
  t.teardown(stop)
  await configure(...lines)
  await start()
  return { port, url: `mqtt://127.0.0.1:${port}`, stop, start, configure }
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port })
    const answer = (is: boolean) => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
  })
