// The sources of a gateway: makes each with what it needs, starts them one after the other, closes them together, and says how
// they are. Also watches whether two of them bring the same messages.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config, PartConfig } from './config/config.ts'
import type { Clock, Entry, Seq, Source } from './core/contract.ts'
import { TidegateError } from './core/errors.ts'
import type { Log } from './core/log-contract.ts'
import type { DeviceProfile } from './core/profile.ts'
import type { SourceStatus } from './core/status.ts'
import type { RootLogger } from './ops/logger.ts'
import { type Loop, LoopWatch } from './ops/loop-watch.ts'
import type { Metrics } from './ops/metrics.ts'
import { sourcePlugin } from './plugins.ts'

/** A replay for a source is read in pieces of this size. */
const REPLAY_LIMIT = { entries: 4_096, bytes: 1024 * 1024 }

export interface GatewaySourcesOptions {
  readonly config: Config
  readonly profiles: readonly DeviceProfile[]
  readonly clock: Clock
  readonly logger: RootLogger
  readonly metrics: Metrics
}

export interface RunningSource {
  readonly config: PartConfig
  readonly source: Source
}

export class GatewaySources {
  readonly #options: GatewaySourcesOptions
  readonly #loops: LoopWatch
  readonly #running: RunningSource[] = []

  constructor(options: GatewaySourcesOptions) {
    this.#options = options
    const clients = options.config.sources.filter(({ type }) => type === 'mqtt-client')
    this.#loops = new LoopWatch({
      clients: new Set(clients.map(({ name }) => name)),
      onLoop: (loop) => this.#onLoop(loop),
    })
  }

  get running(): readonly RunningSource[] {
    return this.#running
  }

  /** In the order of the configuration. Rejects with what the first one that cannot start says. */
  async start(log: Log, signal: AbortSignal): Promise<void> {
    log.onDurable((entries) => this.#loops.observe(entries))
    for (const part of this.#options.config.sources) {
      await this.#start(part, log, signal)
      signal.throwIfAborted()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#running.map(({ source }) => source.close()))
  }

  statuses(): SourceStatus[] {
    return this.#running.map(({ config: { name, type }, source }) => {
      const health = source.health()
      const loop = this.#loops.loopOf(name)
      const status = { name, type, ...health }
      return loop === undefined ? status : { ...status, detail: { ...health.detail, sameMessagesAs: loop.other } }
    })
  }

  async #start(part: PartConfig, log: Log, signal: AbortSignal): Promise<void> {
    const { config, profiles, clock, logger, metrics } = this.#options
    const directory = join(config.gateway.data, 'sources', part.name)
    await makeDirectory(directory, `${directory} (for sources[${part.name}])`)
    const plugin = await sourcePlugin(part.type, config.gateway.plugins)
    const source = plugin.create(part.settings, {
      name: part.name,
      gateway: config.gateway.id,
      logger: logger.child({ source: part.name }),
      clock,
      meter: metrics,
      directory,
      replay: (after) => replay(log, after),
      profile: (name) => profiles.find((profile) => profile.name === name),
    })
    this.#running.push({ config: part, source })
    await source.start(log, signal)
  }

  #onLoop({ source, other, topic }: Loop): void {
    const { logger, metrics } = this.#options
    metrics.add('source_loops_total', { source })
    logger.warn({ source, other, topic }, 'the same messages come in twice: leave these topics out of one source')
  }
}

export const makeDirectory = async (path: string, name: string): Promise<void> => {
  try {
    await mkdir(path, { recursive: true, mode: 0o750 })
  } catch (error) {
    throw new TidegateError('TG_DATA_UNUSABLE', `${name} cannot be created`, { cause: error })
  }
}

async function* replay(log: Log, after: Seq): AsyncGenerator<readonly Entry[]> {
  const reader = log.reader()
  try {
    for (let position = after; ; ) {
      const { entries, next } = await reader.read(position, REPLAY_LIMIT)
      if (next === position) return
      if (entries.length > 0) yield entries
      position = next
    }
  } finally {
    await reader.close()
  }
}
