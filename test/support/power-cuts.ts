// A gateway on a disk whose power is cut again and again while clients publish: runs the cycles, and writes down what was
// acknowledged, what was shown live under which seq, and how long the starts took.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { temporaryDirectory } from './directory.ts'
import { Gateway, type GatewayOptions, type Test } from './gateway.ts'
import { Load } from './load.ts'
import { type DiskType, LoopDisk } from './loop-disk.ts'
import { until } from './until.ts'

/** Every so many cycles the cut comes while the gateway starts. */
const EARLY_EVERY = 5
const MAX_START_MS = 600
const MAX_LIFE_MS = 150
const CONNECTIONS = 4
const IN_FLIGHT = 10
const DEFAULT_PADDING = 200

/** What the load publishes as its message `n`. */
export const payloadOf = (n: number, padding = DEFAULT_PADDING): string => `{"n":${n},"text":"${'x'.repeat(padding)}"}`

export class PowerCuts {
  readonly gateway: Gateway
  readonly #disk: LoopDisk
  readonly #load: Load
  /** Seq → `device n` of every value that was shown live. */
  readonly live = new Map<number, string>()
  /** Seqs that were shown for two messages. */
  readonly repeated: string[] = []
  cycles = 0
  /** Cuts while the gateway was starting. */
  earlyCuts = 0
  startMs = 0
  starts = 0

  static async prepare(t: Test, type: DiskType, options: GatewayOptions, padding?: number): Promise<PowerCuts> {
    const directory = await temporaryDirectory(t)
    const disk = await LoopDisk.make(t, { type, path: join(directory, 'data') })
    const gateway = new Gateway(directory, options)
    t.teardown(async () => {
      if (!t.passing()) t.comment(`the gateway printed:\n${gateway.output}`)
      if (gateway.running) await gateway.kill()
    })
    await gateway.start()
    const cuts = new PowerCuts(gateway, disk, padding)
    t.teardown(() => cuts.#load.stop())
    return cuts
  }

  private constructor(gateway: Gateway, disk: LoopDisk, padding?: number) {
    this.gateway = gateway
    this.#disk = disk
    this.#load = new Load({
      port: gateway.mqttPort,
      connections: CONNECTIONS,
      inFlight: IN_FLIGHT,
      payload: (n) => payloadOf(n, padding),
    })
  }

  get load(): Load {
    return this.#load
  }

  /** The gateway runs before and after; in between the power was cut so many times. */
  async cut(times: number): Promise<void> {
    for (let cycle = 1; cycle <= times; cycle++) {
      const before = this.#load.acknowledgedCount
      const watched = this.#watch()
      await until('something is acknowledged', () => this.#load.acknowledgedCount > before, 30_000)
      await sleep(Math.random() * MAX_LIFE_MS)
      await this.#powerFails()
      watched.close()
      if (cycle % EARLY_EVERY === 0) {
        void this.gateway.launch()
        await sleep(Math.random() * MAX_START_MS)
        await this.#powerFails()
        this.earlyCuts++
      }
      const startedAt = performance.now()
      await this.gateway.start()
      this.startMs += performance.now() - startedAt
      this.starts++
    }
  }

  /** The power is back for good: some more messages, then everything that was sent is acknowledged. */
  async settle(): Promise<void> {
    const before = this.#load.acknowledgedCount
    await until('the load goes on', () => this.#load.acknowledgedCount > before + 100, 30_000)
    await this.#load.stop()
  }

  async #powerFails(): Promise<void> {
    await this.#disk.cutPower()
    await this.gateway.kill()
    await this.#disk.powerUp()
    this.cycles++
  }

  #watch(): { close(): void } {
    const ws = new WebSocket(`${this.gateway.url.replace(/^http/, 'ws')}/api/v1/live`)
    ws.on('error', () => undefined)
    ws.on('open', () => ws.send('{"type":"subscribe","id":1,"names":["n"]}'))
    ws.on('message', (data) => {
      const { readings = [] } = JSON.parse(String(data)) as {
        readings?: { seq: number; device: string; value: number }[]
      }
      for (const { seq, device, value } of readings) {
        const message = `${device} ${value}`
        const known = this.live.get(seq)
        if (known !== undefined && known !== message) this.repeated.push(`seq ${seq} was ${known}, then ${message}`)
        this.live.set(seq, message)
      }
    })
    return { close: () => ws.terminate() }
  }
}
