// Live values: what the log made durable, decoded once, as the last value of each device and name, as a window of the newest
// readings, and as a stream to subscribers. Fed by the gateway with each commit; rebuilt from the log at start.

import type { Clock, Decode, Decoding, Entry, Gap, Logger, Meter, Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import type { LogReader } from '../core/log-contract.ts'
import type { LiveStatus } from '../core/status.ts'
import { delay } from '../core/time.ts'
import type { Shaping } from '../decode/shaping.ts'
import { Hub } from './hub.ts'
import type { LiveReading } from './reading.ts'
import { rebuild } from './rebuild.ts'
import { type MayBeDevice, Scan } from './scan.ts'
import { type IntervalOf, LiveState, STATE_LIMITS, type StateLimits } from './state.ts'
import { WINDOW_LIMITS, Window, type WindowLimits } from './window.ts'

/** How long the start may wait for the rebuild; the rest of it runs beside the live traffic. */
const FOREGROUND_MS = 250

export interface LiveOptions {
  readonly decode: Decode
  /** Lets reads of the log pass over what others sent; by default, every message may be from any device. */
  readonly mayBeDevice?: MayBeDevice
  readonly reader: () => LogReader
  /** The newest durable seq. */
  readonly durable: () => Seq
  readonly clock: Clock
  readonly meter: Meter
  readonly logger: Logger
  /** Called with each message that comes in, in order; not with what is rebuilt. */
  readonly onDecoded?: (entry: Entry, decoding: Decoding) => void
  readonly stateLimits?: StateLimits
  /** How often devices of a profile report, where it says so. */
  readonly intervalMs?: IntervalOf
  /** What profiles say about the shape of readings; what is read from the log (history, resuming) keeps its own. */
  readonly shaping?: Shaping
  readonly windowLimits?: WindowLimits
}

export class Live {
  readonly state: LiveState
  readonly window: Window
  readonly hub = new Hub()
  readonly scan: Scan
  readonly durable: () => Seq
  readonly #options: LiveOptions
  readonly #abort = new AbortController()
  /** Those that came since the start, by boot. */
  readonly #corrections = new Map<string, number>()
  #work: Promise<void> | undefined
  #seq: Seq = 0

  constructor(options: LiveOptions) {
    this.#options = options
    this.durable = options.durable
    this.state = new LiveState(options.stateLimits ?? STATE_LIMITS, options.meter, options.intervalMs)
    this.window = new Window(options.windowLimits ?? WINDOW_LIMITS)
    this.scan = new Scan(options.reader, options.decode, options.mayBeDevice)
  }

  /** Everything up to this seq has been applied. */
  get seq(): Seq {
    return this.#seq
  }

  /** Called once, before the first feed(): rebuilds from the log, and resolves after a bounded time with the rest going on. */
  async start(signal: AbortSignal): Promise<void> {
    const upTo = this.durable()
    this.#seq = upTo
    this.state.completeAfter = upTo
    this.window.reset(upTo)
    this.hub.publish([], upTo)
    const foreground = new AbortController()
    this.#work = this.#rebuild(upTo, AbortSignal.any([signal, this.#abort.signal]), foreground.signal).finally(() =>
      foreground.abort(),
    )
    await delay(FOREGROUND_MS, foreground.signal).catch(() => undefined)
    foreground.abort()
    signal.throwIfAborted()
  }

  /**
   * What lies behind a seq and cannot be had: the log does not have it yet, or never will, and the window has forgotten it.
   * Only while the disk takes nothing.
   */
  beyondReach(after: Seq): Gap | undefined {
    if (this.durable() > after || this.window.covers(after)) return undefined
    return { first: after + 1, last: this.window.floor, reason: 'refused' }
  }

  /** Called with each commit, and before it with what the disk does not take; in order. What it has seen it passes over. */
  feed(entries: readonly Entry[]): void {
    const { decode, meter, shaping } = this.#options
    const fresh: LiveReading[] = []
    for (const entry of entries) {
      if (entry.seq <= this.#seq) continue
      this.#seq = entry.seq
      if (entry.kind !== 'message') continue
      const decoding = decode(entry)
      if (decoding.fault !== undefined) meter.add('decode_faults_total', { profile: decoding.profile })
      this.#options.onDecoded?.(entry, decoding)
      const shown = shaping?.shape(decoding, entry.receivedAt).readings
      for (const reading of this.state.apply(entry, decoding, shown)) fresh.push(reading)
    }
    this.window.push(fresh)
    this.hub.publish(fresh, this.#seq)
  }

  /**
   * The clock of a boot was set after all: times that were shown by it before are corrected. What subscribers got stays as it
   * was marked, unsynced; it is not sent again, because each seq comes once.
   */
  correct(bootId: string, correctionMs: number): void {
    this.#corrections.set(bootId, correctionMs)
    this.state.correct(bootId, correctionMs)
    this.window.correct(bootId, correctionMs)
    this.hub.correct(bootId, correctionMs)
  }

  status(): LiveStatus {
    return {
      devices: this.state.deviceCount,
      stale: this.state.staleCount(this.#options.clock),
      values: this.state.valueCount,
      faults: this.state.faultCount,
      subscribers: this.hub.subscriberCount,
    }
  }

  async close(): Promise<void> {
    this.#abort.abort()
    this.hub.close()
    await this.#work
    await this.scan.close()
  }

  async #rebuild(upTo: Seq, signal: AbortSignal, foreground: AbortSignal): Promise<void> {
    const { decode, logger, shaping, stateLimits = STATE_LIMITS } = this.#options
    const startedMs = performance.now()
    try {
      const { scan, state, window } = this
      const background = () => foreground.aborted
      const common = { scan, decode, state, window, limits: stateLimits, upTo, signal, background }
      await rebuild(shaping === undefined ? common : { ...common, shaping })
      // What was read before they came.
      for (const [bootId, correctionMs] of this.#corrections) this.correct(bootId, correctionMs)
      const { devices, values } = this.status()
      logger.info({ devices, values, elapsedMs: Math.round(performance.now() - startedMs) }, 'live values rebuilt')
    } catch (error) {
      // Values come back as devices report; questions about older seqs are answered from the log meanwhile.
      if (!signal.aborted) logger.warn({ error: describe(error) }, 'live values not rebuilt from the log')
    }
  }
}
