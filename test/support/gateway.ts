// The built gateway as a child process with a private data directory and ports of its own: started, asked, stopped, killed, restarted.
// What it printed is attached to whatever fails; the process never outlives its test.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { StatusReport } from '../../src/core/status.ts'
import { temporaryDirectory } from './directory.ts'
import { until } from './until.ts'

export const PROGRAM = resolve(import.meta.dirname, '../../dist/main.js')

const START_DEADLINE_MS = 20_000
/** A graceful stop confirms what is in flight and closes every part; each has a shorter deadline of its own. */
const STOP_DEADLINE_MS = 20_000
/** Enough to see what went wrong; a gateway under load in a failing test may say the same thing often. */
const MAX_OUTPUT_CHARACTERS = 20_000

export interface Test {
  teardown(work: () => Promise<void>): void
  passing(): boolean
  comment(message: string): void
}

export interface GatewayOptions {
  /** Further keys of the mqtt-broker source. */
  readonly broker?: object
  /** Further keys of `gateway`. */
  readonly gateway?: object
  readonly log?: object
  readonly api?: object
  /** Besides the broker. */
  readonly sources?: readonly object[]
  readonly sinks?: readonly object[]
  readonly env?: Readonly<Record<string, string>>
  /** Without any configuration: the built-in defaults, on their well-known ports. */
  readonly embedded?: boolean
}

export interface Reading {
  readonly seq: number
  readonly device: string
  readonly name: string
  readonly value: number | string | boolean
  readonly unit?: string
  readonly time: string
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly tookMs: number
}

/** The environment without what tap puts into it for its own test processes. */
export const plainEnvironment = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(NODE_OPTIONS|NODE_V8_COVERAGE|_?TAP.*|TS_NODE.*)$/.test(name),
  )
  return { ...Object.fromEntries(own), ...more }
}

export class Gateway {
  readonly directory: string
  readonly data: string
  readonly configFile: string
  readonly #arguments: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  readonly #config: (apiListen: string, brokerListen: string) => object
  #child: ChildProcess | undefined
  #exit: Promise<Exit> | undefined
  #output = ''
  #api = '127.0.0.1:0'
  #mqtt = '127.0.0.1:0'

  constructor(directory: string, options: GatewayOptions) {
    this.directory = directory
    this.data = join(directory, 'data')
    this.configFile = join(directory, 'tidegate.yaml')
    this.#arguments = options.embedded === true ? ['run'] : ['run', '--config', this.configFile]
    this.#env = plainEnvironment({ HOME: directory, XDG_STATE_HOME: directory, ...options.env })
    this.#config = (apiListen, brokerListen) => ({
      gateway: { id: 'test', data: this.data, ...options.gateway },
      ...(options.log === undefined ? {} : { log: options.log }),
      api: { listen: apiListen, ...options.api },
      sources: [
        { name: 'broker', type: 'mqtt-broker', listen: brokerListen, ...options.broker },
        ...(options.sources ?? []),
      ],
      sinks: options.sinks ?? [],
    })
  }

  /** `http://127.0.0.1:PORT` */
  get url(): string {
    return `http://${this.#api}`
  }

  get mqttPort(): number {
    return Number(this.#mqtt.split(':').at(-1))
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('the gateway is not running')
    return pid
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Standard output and standard error since the last start, the newest part. */
  get output(): string {
    return this.#output
  }

  /** The first start takes free ports, every later one the same again. */
  async writeConfig(): Promise<void> {
    // JSON is YAML.
    await writeFile(this.configFile, `${JSON.stringify(this.#config(this.#api, this.#mqtt), null, 2)}\n`)
  }

  /** Spawns the process and does not wait for it. */
  launch(): Promise<Exit> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run 'npm run build' first`)
    const startedAt = performance.now()
    this.#output = ''
    const child = spawn(process.execPath, [PROGRAM, ...this.#arguments], {
      cwd: this.directory,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-MAX_OUTPUT_CHARACTERS)
      })
    }
    this.#exit = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal, tookMs: performance.now() - startedAt }))
    })
    return this.#exit
  }

  /** Resolves when the gateway has printed its addresses: everything listens then. */
  async start(): Promise<void> {
    await this.writeConfig()
    void this.launch()
    const addresses = await until(
      'the gateway prints its addresses',
      () => {
        const api = /^dashboard\s+http:\/\/(\S+:\d+)/m.exec(this.#output)?.[1]
        const mqtt = /^mqtt\s+(\S+:\d+)/m.exec(this.#output)?.[1]
        if (api !== undefined && mqtt !== undefined) return { api, mqtt }
        return this.running ? undefined : { api: undefined, mqtt: undefined }
      },
      START_DEADLINE_MS,
    ).catch((cause) => {
      throw new Error(`the gateway did not start:\n${this.#output}`, { cause })
    })
    if (addresses.api === undefined) throw new Error(`the gateway ended while starting:\n${this.#output}`)
    this.#api = addresses.api
    this.#mqtt = addresses.mqtt
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exit
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** SIGTERM; rejects when the process has not ended within the deadline, and kills it then. */
  async stop(deadlineMs = STOP_DEADLINE_MS): Promise<Exit> {
    const exit = this.#exit
    if (exit === undefined) throw new Error('the gateway was never started')
    const askedAt = performance.now()
    this.#child?.kill('SIGTERM')
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, deadlineMs, 'late')
    })
    const end = await Promise.race([exit, late])
    clearTimeout(timer)
    if (end !== 'late') return { ...end, tookMs: performance.now() - askedAt }
    await this.kill()
    throw new Error(`the gateway did not stop within ${deadlineMs} ms of SIGTERM:\n${this.#output}`)
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, { signal: AbortSignal.timeout(10_000), ...init })
  }

  async json<T>(path: string): Promise<T> {
    const response = await this.fetch(path)
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  status(): Promise<StatusReport> {
    return this.json<StatusReport>('/api/v1/status')
  }

  async readings(query = ''): Promise<readonly Reading[]> {
    return (await this.json<{ readings: readonly Reading[] }>(`/api/v1/readings${query}`)).readings
  }

  /** Sum of a metric over all its labels, those given fixed. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await this.fetch('/metrics')).text()
    let sum = 0
    for (const line of text.split('\n')) {
      const [, found, given = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      if (found !== name) continue
      if (Object.entries(labels).every(([label, text]) => given.includes(`${label}="${text}"`))) sum += Number(value)
    }
    return sum
  }

  /** Starts the measurement of peak memory anew. */
  async resetPeak(): Promise<void> {
    await writeFile(`/proc/${this.pid}/clear_refs`, '5')
  }

  /** Resident memory now, and the most it was since the start or resetPeak(). */
  async memory(): Promise<{ readonly rssBytes: number; readonly peakBytes: number }> {
    const text = await readFile(`/proc/${this.pid}/status`, 'utf8')
    const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024
    return { rssBytes: kilobytes('VmRSS'), peakBytes: kilobytes('VmHWM') }
  }
}

/** A gateway that is not started yet; the test's end stops it. */
export const prepareGateway = async (t: Test, options: GatewayOptions = {}): Promise<Gateway> => {
  const gateway = new Gateway(await temporaryDirectory(t), options)
  t.teardown(async () => {
    if (!t.passing()) t.comment(`the gateway printed:\n${gateway.output}`)
    if (gateway.running) await gateway.kill()
  })
  return gateway
}

export const startGateway = async (t: Test, options: GatewayOptions = {}): Promise<Gateway> => {
  const gateway = await prepareGateway(t, options)
  await gateway.start()
  return gateway
}
