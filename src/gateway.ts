// The composition root: builds the parts, starts them against the flow (log, live, API, forward thread, sources last), and
// closes them with it. Everything that the gateway is stands on this page; what the parts do stands in their rooms.

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { ApiServer } from './api/server.ts'
import { createServer } from './api/server.ts'
import { Commander } from './commands/commander.ts'
import type { Config } from './config/config.ts'
import type { ClockMark, Entry, Seq } from './core/contract.ts'
import { describe, TidegateError } from './core/errors.ts'
import type { Log } from './core/log-contract.ts'
import type { DecoderPlugin } from './core/plugin-contract.ts'
import type { DeviceProfile, SourceBinding } from './core/profile.ts'
import type { StatusReport } from './core/status.ts'
import { Knowledge } from './decode/knowledge.ts'
import type { Router } from './decode/router.ts'
import { createRouter } from './decode/router.ts'
import { createShaping } from './decode/shaping.ts'
import { ForwardThread } from './forward/thread.ts'
import { GatewaySources, makeDirectory } from './gateway-sources.ts'
import { DescriptionKeeper } from './live/description-keeper.ts'
import { DeviceRequests } from './live/device-requests.ts'
import { Live } from './live/live.ts'
import { readDescriptions, setDescriptionsAside, writeDescriptions } from './log/description-file.ts'
import { nodeFileSystem } from './log/file-system.ts'
import { openLog } from './log/log.ts'
import { systemClock } from './ops/clock.ts'
import { ClockWatch } from './ops/clock-watch.ts'
import { tryLock } from './ops/libc.ts'
import type { LogFormat, LogLevel, RootLogger } from './ops/logger.ts'
import type { Metrics } from './ops/metrics.ts'
import { Readiness } from './ops/readiness.ts'

/** How long sinks may finish what they are writing when the gateway stops. */
const FORWARD_STOP_MS = 5_000
/** By then the forward thread has said where the sinks stand, unless it cannot start. */
const SETTLED_WITHIN_MS = 30_000

export interface GatewayOptions {
  readonly config: Config
  readonly profiles: readonly DeviceProfile[]
  /** The dialects that profiles may name, by type. */
  readonly decoders: ReadonlyMap<string, DecoderPlugin>
  /** Profiles that sources choose. */
  readonly bindings: readonly SourceBinding[]
  readonly version: string
  readonly logger: RootLogger
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  readonly metrics: Metrics
  /** The JSON Schema of the configuration, served by the API. */
  readonly configSchema?: object
}

export class Gateway {
  readonly #options: GatewayOptions
  readonly #clock = systemClock()
  readonly #startedAt: number
  readonly #startedMonotonicMs: number
  readonly #clockWatch: ClockWatch
  readonly #readiness: Readiness
  readonly #sources: GatewaySources
  #log: Log | undefined
  #keeper: DescriptionKeeper | undefined
  #live: Live | undefined
  #commander: Commander | undefined
  #api: ApiServer | undefined
  #forward: ForwardThread | undefined
  #apiAddress: string | undefined
  #started = false
  #closing: Promise<void> | undefined

  constructor(options: GatewayOptions) {
    this.#options = options
    this.#startedAt = this.#clock.wallMs()
    this.#startedMonotonicMs = this.#clock.monotonicMs()
    this.#clockWatch = new ClockWatch({ clock: this.#clock, onMark: (mark) => this.#onClock(mark) })
    this.#readiness = new Readiness(this.#clock)
    this.#sources = new GatewaySources({ ...options, clock: this.#clock })
  }

  /** Resolves when every part runs. Rejects with what is in the way; close() then releases what was started. */
  async start(signal: AbortSignal): Promise<void> {
    const { profiles, decoders, bindings, logger, metrics } = this.#options
    const router = createRouter(profiles, { decoders, bindings })
    const log = await this.#openLog(router)
    const piled = log.durable
    signal.throwIfAborted()

    const keeper = await this.#startKeeper(router, log, signal)
    const requests = this.#newRequests()
    const intervals = new Map(profiles.map(({ name, intervalMs }) => [name, intervalMs]))
    const shaping = createShaping(profiles)
    const live = new Live({
      decode: router.decode,
      ...(shaping === undefined ? {} : { shaping }),
      mayBeDevice: (...about) => router.mayBeDevice(...about),
      reader: () => log.reader(),
      durable: () => log.durable,
      clock: this.#clock,
      meter: metrics,
      logger: logger.child({ part: 'live' }),
      intervalMs: (name) => intervals.get(name),
      onDecoded: (entry, decoding) => requests.observe(entry, decoding),
    })
    this.#live = live
    const feed = (entries: readonly Entry[]) => {
      keeper.learn(entries)
      live.feed(entries)
    }
    log.onDurable(feed)
    log.onUndurable(feed)
    log.onCorrection((bootId, correctionMs) => live.correct(bootId, correctionMs))
    await live.start(signal)
    this.#clockWatch.start()

    const commander = this.#newCommander(log, live)
    this.#commander = commander
    const api = createServer(await this.#apiOptions(log, live, router.decode))
    this.#api = api
    this.#apiAddress = (await api.start()).address
    signal.throwIfAborted()

    this.#startForwarding(log, piled, commander)
    metrics.beforeText(() => {
      metrics.set('clock_synced', this.#clock.synced() ? 1 : 0)
      metrics.set('devices_stale', live.state.staleCount(this.#clock))
    })
    await this.#sources.start(log, signal)
    this.#started = true
  }

  /** Idempotent, in any state: sources first, so that nothing comes in any more, and the log last. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#clockWatch.close()
    await this.#sources.close()
    await this.#forward?.close(FORWARD_STOP_MS)
    await this.#api?.close()
    await this.#commander?.close()
    await this.#live?.close()
    await this.#keeper?.close()
    await this.#log?.close()
  }

  /** URL of the HTTP server without a path, once it listens. */
  get apiAddress(): string | undefined {
    return this.#apiAddress
  }

  status(): StatusReport {
    const { config, version } = this.#options
    const log = this.#log
    const live = this.#live
    if (log === undefined || live === undefined)
      throw new TidegateError('TG_UNAVAILABLE', 'the gateway has not started')
    const now = this.#clock.wallMs()
    const { rss, heapUsed, external } = process.memoryUsage()
    const sinks = this.#forward?.statuses() ?? []
    const parts = { sources: this.#sources.statuses().map(this.#dated), log: log.info(), sinks: sinks.map(this.#dated) }
    // The API answers before the sources listen; what is not there yet must not look well.
    const reasons = [...(this.#started ? [] : ['the gateway is starting']), ...this.#readiness.faults(parts)]
    return {
      gateway: config.gateway.id,
      version,
      healthy: reasons.length === 0,
      reasons,
      startedAt: this.#clockWatch.corrected(this.#startedAt),
      uptimeSeconds: Math.round((this.#clock.monotonicMs() - this.#startedMonotonicMs) / 1_000),
      seq: log.durable,
      ...parts,
      live: live.status(),
      clock: { time: now, synced: this.#clock.synced(), bootId: this.#clock.bootId },
      memory: { rssBytes: rss, heapUsedBytes: heapUsed, externalBytes: external },
    }
  }

  async #openLog(router: Router): Promise<Log> {
    const { config, logger, metrics } = this.#options
    const { data, id } = config.gateway
    await makeDirectory(data, `${data} (gateway.data)`)
    this.#log = await openLog({
      ...config.log,
      directory: data,
      gateway: id,
      clock: this.#clock,
      logger: logger.child({ part: 'log' }),
      meter: metrics,
      fileSystem: nodeFileSystem(),
      tryLock,
      settledWithinMs: SETTLED_WITHIN_MS,
      ofDevice: (topic, source, matches) => router.mayBeDevice(topic, source, false, matches),
    })
    return this.#log
  }

  async #apiOptions(log: Log, live: Live, decode: ReturnType<typeof createRouter>['decode']) {
    const { config, version, logger, metrics, configSchema } = this.#options
    const { listen, tls, tokens, origins } = config.api
    return {
      listen,
      tls:
        tls === undefined
          ? undefined
          : { cert: await readFile(tls.cert, 'utf8'), key: await readFile(tls.key, 'utf8') },
      gateway: config.gateway.id,
      version,
      logger: logger.child({ part: 'api' }),
      meter: metrics,
      clock: this.#clock,
      tokens,
      origins,
      live,
      intake: log,
      decode,
      decoders: this.#options.decoders,
      status: () => this.status(),
      metrics: () => metrics.text(),
      readiness: () => {
        const { healthy, reasons } = this.status()
        return { ready: healthy, reasons }
      },
      commands: this.#commander,
      configSchema,
      webDirectory: fileURLToPath(new URL('./web', import.meta.url)),
    }
  }

  async #startKeeper(router: Router, log: Log, signal: AbortSignal): Promise<DescriptionKeeper> {
    const { config, logger, metrics } = this.#options
    const files = { directory: config.gateway.data, fileSystem: nodeFileSystem() }
    const keeper = new DescriptionKeeper({
      router,
      knowledge: new Knowledge(router, () => log.reader()),
      read: () => readDescriptions(files),
      setAside: () => setDescriptionsAside(files),
      write: (known) => writeDescriptions(files, known),
      durable: () => log.durable,
      logger: logger.child({ part: 'descriptions' }),
      meter: metrics,
    })
    this.#keeper = keeper
    await keeper.start(signal)
    return keeper
  }

  #newRequests(): DeviceRequests {
    return new DeviceRequests({
      send: async ({ to, topic, payload, reason }, { source }) =>
        this.#commander?.send({ device: to, topic, payload, qos: 0, by: 'automatic', reason, source }),
      logger: this.#options.logger.child({ part: 'requests' }),
      meter: this.#options.metrics,
      monotonicMs: () => this.#clock.monotonicMs(),
    })
  }

  #newCommander(log: Log, live: Live): Commander {
    const { profiles, logger, metrics } = this.#options
    return new Commander({
      sources: () => this.#sources.running.map(({ config: { name }, source }) => ({ name, source })),
      heard: (device) => live.state.origin(device),
      profiles,
      intake: log,
      clock: this.#clock,
      logger: logger.child({ part: 'commands' }),
      meter: metrics,
    })
  }

  #startForwarding(log: Log, piled: Seq, commander: Commander): void {
    const { config, profiles, bindings, logger, logLevel, logFormat, metrics } = this.#options
    if (config.sinks.length === 0) {
      log.settledUpTo(Number.POSITIVE_INFINITY)
      return
    }
    const forward = new ForwardThread({
      entry: new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
      data: {
        dataDirectory: config.gateway.data,
        gateway: config.gateway.id,
        sinks: config.sinks.map(({ name, type, settings }) => ({ name, type, config: settings })),
        plugins: config.gateway.plugins,
        profiles,
        bindings,
        piled,
        clockWaitUntilMs: this.#startedMonotonicMs + config.gateway.clockWaitMs,
        logLevel,
        logFormat,
      },
      durable: () => log.durable,
      clock: this.#clock,
      logger: logger.child({ part: 'forward' }),
      meter: metrics,
      recordLoss: (loss) => log.recordLoss(loss),
      command: (device, body, by) => commander.request(device, body, by),
      onDamage: ({ first, last }) => log.damageFound(first, last),
      onStatus: (sinks) => {
        this.#readiness.observe(sinks)
        log.settledUpTo(forward.settled())
      },
    })
    this.#forward = forward
    log.onDurable(() => forward.durableAdvanced())
    forward.start()
  }

  #onClock(mark: ClockMark): void {
    const logger = this.#options.logger.child({ part: 'clock' })
    const { reason, offsetMs } = mark
    logger.info({ offsetMs: Math.round(offsetMs) }, reason === 'set' ? 'the clock is set' : 'the clock has stepped')
    this.#log?.recordClock(mark).catch((error: unknown) => {
      logger.warn({ error: describe(error) }, 'a clock mark could not be written')
    })
  }

  /** What parts noted by a clock that was wrong then. */
  #dated = <Part extends { readonly since: number; readonly lastProgressAt?: number }>(part: Part): Part => {
    const since = this.#clockWatch.corrected(part.since)
    const lastProgressAt =
      part.lastProgressAt === undefined ? undefined : this.#clockWatch.corrected(part.lastProgressAt)
    return { ...part, since, ...(lastProgressAt === undefined ? {} : { lastProgressAt }) }
  }
}
