// The loop that brings one sink everything in the log, at least once and in order within a lane. Connecting again, backing
// off, batching, dead letters and the cursor are written here once, so that a sink only connects and writes.

import type { Batch, Clock, Decode, Health, Logger, Meter, Seq, Sink, UnixMs, WriteResult } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import type { Cursor, LogReader } from '../core/log-contract.ts'
import type { SinkStatus } from '../core/status.ts'
import { type Backoff, retryDelayMs, withDeadline } from '../core/time.ts'
import type { Knowledge } from '../decode/knowledge.ts'
import { abortable } from './abortable.ts'
import { type ReadingFilter, readBatch } from './batch.ts'
import { CursorFlush } from './cursor-flush.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { DeviceNames } from './device-names.ts'
import { GuardedHealth } from './guarded-health.ts'
import type { LaneShaping } from './lane-shaping.ts'
import { type LaneOptions, Lanes, type Stretch } from './lanes.ts'
import type { LossRecorder } from './loss-recorder.ts'
import { rejectedMessages } from './rejected.ts'
import { SettingAside } from './setting-aside.ts'
import { Settling } from './settling.ts'

export interface ForwarderOptions {
  readonly name: string
  readonly type: string
  readonly sink: Sink
  readonly cursor: Cursor
  readonly reader: LogReader
  readonly decode: Decode
  /** What messages tell about others; this forwarder brings it along with what it reads. */
  readonly knowledge?: Knowledge
  /** Newest durable seq, as far as is known. */
  readonly durable: () => Seq
  /** What is unsettled up to here had piled up before the start: backlog, if it is much. */
  readonly piled: Seq
  /** Resolves when durable() may have advanced; rejects when the signal aborts. */
  readonly wake: (signal: AbortSignal) => Promise<void>
  readonly deadLetters: DeadLetters
  readonly losses: Pick<LossRecorder, 'record' | 'damage'>
  readonly devices: DeviceNames
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
  readonly batch: { readonly maxReadings: number; readonly maxDelayMs: number }
  readonly filter?: ReadingFilter
  readonly shaping?: LaneShaping
  /** A write without progress for this long is given up. */
  readonly stallMs?: number
  readonly backoff?: Backoff
  readonly lanes?: LaneOptions
}

/** Bounds what one batch holds in memory: decoded, some tens of megabytes at worst. */
const READ_LIMIT = { entries: 8_192, bytes: 1_024 * 1_024 }
const DEFAULT_STALL_MS = 30_000
/** A thousand gateways that lost the same broker come back spread over up to half a minute. */
const DEFAULT_BACKOFF: Backoff = { baseMs: 500, capMs: 30_000 }
const CONNECT_DEADLINE_MS = 20_000
const CLOSE_DEADLINE_MS = 2_000
/** While idle: how often a connection that was lost is noticed. */
const IDLE_CHECK_MS = 1_000
/** A backlog batch should not keep fresh readings waiting for longer than this. */
const BACKLOG_WRITE_MS = 400
const MIN_BACKLOG_ENTRIES = 64
/** A shorter interruption leaves everything in one lane, in order. */
const OUTAGE_MS = 3_000
/** What the log promised and the reader did not find is asked for again, without haste. */
const EMPTY_READ_PAUSE_MS = 200

export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #lanes: Lanes
  readonly #flush: CursorFlush
  readonly #aside: SettingAside
  readonly #guarded: GuardedHealth
  readonly #labels: { readonly sink: string }
  #loop: Promise<void> | undefined
  #stopping = false
  #pause: AbortController | undefined
  /** Of the connect or write that is under way. */
  #work: AbortController | undefined
  #connected = false
  #failure: { readonly reason: string; readonly since: UnixMs; readonly sinceMonotonicMs: number } | undefined
  #attempt = 0
  #backlogEntries = MIN_BACKLOG_ENTRIES
  #freshSentAt = Number.NEGATIVE_INFINITY
  #lastLane: Stretch['lane'] = 'backlog'
  #flushFailed = false
  readonly #startedAt: UnixMs
  readonly #counts = { confirmedMessages: 0, confirmedReadings: 0, rejectedMessages: 0, retries: 0 }
  #lastProgressAt: UnixMs | undefined

  constructor(options: ForwarderOptions) {
    this.#options = options
    this.#lanes = new Lanes(options.cursor, options.lanes)
    this.#aside = new SettingAside(options)
    this.#guarded = new GuardedHealth(options.sink, options.logger, options.name)
    this.#labels = { sink: options.name }
    this.#startedAt = options.clock.wallMs()
    this.#flush = new CursorFlush(options.cursor, (error) => this.#onFlush(error))
  }

  start(): void {
    // What waited while the gateway was not running is a pile like that of an outage.
    this.#lanes.split(this.#options.piled)
    this.#loop ??= this.#run()
  }

  status(): SinkStatus {
    const { name, type, cursor, durable } = this.#options
    const backlogMessages = this.#lanes.unsettledCount(durable())
    this.#options.meter.set('sink_backlog_messages', backlogMessages, this.#labels)
    return {
      name,
      type,
      ...this.#health(),
      position: cursor.position,
      unsettled: [...cursor.unsettled],
      backlogMessages,
      ...this.#counts,
      ...(this.#lastProgressAt === undefined ? {} : { lastProgressAt: this.#lastProgressAt }),
    }
  }

  /** Lets a write that is under way end, for at most so long. What is not settled then is sent again after the next start. */
  async close(deadlineMs: number): Promise<void> {
    this.#stopping = true
    this.#pause?.abort()
    if (!this.#connected) this.#work?.abort(new Error('the gateway is stopping'))
    const late = setTimeout(() => this.#work?.abort(new Error('the gateway is stopping')), deadlineMs)
    await this.#loop
    clearTimeout(late)
    // The cursor first: whatever a sink does while it closes, what was confirmed is not sent again.
    await this.#flush.close()
    const { sink, reader, cursor } = this.#options
    const tooLate = () => new Error('did not close in time')
    const closeSink = async () => sink.close()
    await Promise.allSettled([withDeadline(closeSink(), CLOSE_DEADLINE_MS, tooLate), reader.close(), cursor.close()])
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#connect()
        while (!this.#stopping) await this.#step()
      } catch (error) {
        this.#connected = false
        if (this.#stopping) return
        this.#onFailure(error)
        await this.#rest(retryDelayMs(this.#attempt++, this.#options.backoff ?? DEFAULT_BACKOFF))
      }
    }
  }

  async #connect(): Promise<void> {
    const { sink, name, durable } = this.#options
    const work = new AbortController()
    this.#work = work
    const late = () =>
      new TidegateError(
        'TG_UPSTREAM_UNREACHABLE',
        `sink '${name}' did not connect within ${CONNECT_DEADLINE_MS / 1_000} s`,
      )
    try {
      await withDeadline(abortable(sink.connect(work.signal), work.signal), CONNECT_DEADLINE_MS, late)
    } catch (error) {
      work.abort(error)
      throw error
    }
    this.#connected = true
    const outageMs =
      this.#failure === undefined ? 0 : this.#options.clock.monotonicMs() - this.#failure.sinceMonotonicMs
    if (outageMs >= OUTAGE_MS && this.#lanes.split(durable()))
      this.#options.logger.info(
        { ...this.#labels, backlogMessages: this.#lanes.unsettledCount(durable()) },
        'backlog drains beside fresh readings',
      )
  }

  /** Sends one batch, or waits for something to send. */
  async #step(): Promise<void> {
    const { durable, batch, clock } = this.#options
    const fresh = this.#lanes.fresh(durable())
    const backlog = this.#lanes.backlog(durable())
    // Few readings wait for company, counted from the last batch: the first one after a pause goes at once.
    const waitMs =
      fresh === undefined || fresh.last - fresh.first + 1 >= batch.maxReadings
        ? 0
        : this.#freshSentAt + batch.maxDelayMs - clock.monotonicMs()
    const ripe = waitMs <= 0 ? fresh : undefined
    // Fresh goes first, but after each fresh batch the backlog has its turn.
    const next = this.#lastLane === 'fresh' ? (backlog ?? ripe) : (ripe ?? backlog)
    if (next !== undefined) {
      await this.#forward(next)
      return
    }
    const health = this.#guarded.ask()
    if (health?.state === 'failed')
      throw new TidegateError('TG_UPSTREAM_UNREACHABLE', health.reason ?? 'the connection was lost')
    if (fresh === undefined) this.#recovered()
    await this.#rest(fresh === undefined ? IDLE_CHECK_MS : Math.min(waitMs, IDLE_CHECK_MS), true)
  }

  async #forward(stretch: Stretch): Promise<void> {
    const { losses, clock, meter, name } = this.#options
    const limit = stretch.lane === 'fresh' ? READ_LIMIT : { ...READ_LIMIT, entries: this.#backlogEntries }
    const batch = await readBatch({ ...this.#options, sink: name }, stretch, limit)
    if (batch === undefined) {
      // The other lane may have something.
      this.#lastLane = stretch.lane
      await this.#rest(EMPTY_READ_PAUSE_MS)
      return
    }
    for (const gap of batch.gaps) losses.damage(gap)
    const startedAt = clock.monotonicMs()
    this.#lastLane = batch.lane
    if (batch.lane === 'fresh') this.#freshSentAt = startedAt
    const settling = new Settling(batch)
    const result = await this.#write(batch, settling)
    if (!(result.settled <= batch.last && result.settled >= batch.first - 1))
      throw new TidegateError(
        'TG_PLUGIN',
        `sink '${name}' settled seq ${result.settled} of a batch from ${batch.first} to ${batch.last}`,
      )
    if (result.rejected.length > 0) {
      // What lies behind the settled prefix comes again, and is rejected again.
      const messages = rejectedMessages(batch, result.rejected).filter(({ seq }) => seq <= result.settled)
      await this.#aside.setAside(result.rejected, messages, (step) => this.#insist(step))
      settling.reject(messages)
      this.#onRejected(messages.length)
    }
    this.#settle(settling, result.settled)
    // What was rejected is not to be rejected, set aside and marked a second time after a crash.
    if (result.rejected.length > 0) this.#flush.soon()
    const tookMs = clock.monotonicMs() - startedAt
    meter.observe('sink_write_seconds', tookMs / 1_000, this.#labels)
    if (batch.lane === 'backlog') this.#adaptBacklog(tookMs)
    // A sink that takes nothing and says nothing is asked again, without haste.
    if (result.settled < batch.first)
      await this.#rest(retryDelayMs(this.#attempt++, this.#options.backoff ?? DEFAULT_BACKOFF))
  }

  async #write(batch: Batch, settling: Settling): Promise<WriteResult> {
    const { sink, name, stallMs = DEFAULT_STALL_MS } = this.#options
    const work = new AbortController()
    this.#work = work
    const watch = setTimeout(() => {
      if (this.#guarded.ask()?.state === 'degraded') {
        watch.refresh()
        return
      }
      work.abort(new TidegateError('TG_UPSTREAM_STALLED', `sink '${name}' confirmed nothing for ${stallMs / 1_000} s`))
    }, stallMs)
    const progress = (settled: Seq) => {
      if (work.signal.aborted || !Number.isSafeInteger(settled)) return
      watch.refresh()
      this.#settle(settling, Math.min(settled, batch.last))
    }
    try {
      return await abortable(sink.write(batch, work.signal, progress), work.signal)
    } catch (error) {
      work.abort(error)
      throw error
    } finally {
      clearTimeout(watch)
      if (this.#work === work) this.#work = undefined
    }
  }

  #settle(settling: Settling, settled: Seq): void {
    const from = settling.settled + 1
    if (settled < from) return
    const { messages, readings } = settling.advance(settled)
    this.#lanes.settle(settling.batch.lane, from, settled)
    this.#flush.moved(settled - from + 1)
    this.#counts.confirmedMessages += messages
    this.#counts.confirmedReadings += readings
    const { meter } = this.#options
    if (messages > 0) meter.add('sink_confirmed_messages_total', this.#labels, messages)
    if (readings > 0) meter.add('sink_confirmed_readings_total', this.#labels, readings)
    this.#lastProgressAt = this.#options.clock.wallMs()
    this.#recovered()
  }

  /** Tries until it succeeds or the forwarder stops: the cursor must not pass what is not on disk. */
  async #insist(step: (signal: AbortSignal) => Promise<void>): Promise<void> {
    for (;;) {
      const work = new AbortController()
      this.#work = work
      try {
        await step(work.signal)
        return
      } catch (error) {
        if (this.#stopping) throw error
        this.#onFailure(error)
        await this.#rest(retryDelayMs(this.#attempt++, this.#options.backoff ?? DEFAULT_BACKOFF))
      }
    }
  }

  #adaptBacklog(tookMs: number): void {
    const factor = tookMs < BACKLOG_WRITE_MS / 2 ? 2 : tookMs > BACKLOG_WRITE_MS ? 0.5 : 1
    this.#backlogEntries = Math.min(READ_LIMIT.entries, Math.max(MIN_BACKLOG_ENTRIES, this.#backlogEntries * factor))
  }

  #onRejected(messages: number): void {
    const { meter, logger } = this.#options
    this.#counts.rejectedMessages += messages
    meter.add('sink_rejected_messages_total', this.#labels, messages)
    logger.warn({ ...this.#labels, messages }, 'rejected messages were set aside as dead letters')
  }

  #onFailure(error: unknown): void {
    const { logger, meter, clock } = this.#options
    const reason = describe(error)
    this.#counts.retries++
    meter.add('sink_retries_total', this.#labels)
    if (this.#failure === undefined) {
      const code = error instanceof TidegateError ? error.code : undefined
      const remedy = error instanceof TidegateError ? error.remedy : undefined
      logger.warn({ ...this.#labels, code, reason, remedy }, 'sink lost')
    } else if (this.#failure.reason !== reason) {
      logger.debug({ ...this.#labels, reason }, 'sink still lost')
    }
    this.#failure = {
      reason,
      since: this.#failure?.since ?? clock.wallMs(),
      sinceMonotonicMs: this.#failure?.sinceMonotonicMs ?? clock.monotonicMs(),
    }
  }

  #recovered(): void {
    this.#attempt = 0
    if (this.#failure === undefined) return
    const seconds = Math.round((this.#options.clock.monotonicMs() - this.#failure.sinceMonotonicMs) / 1_000)
    this.#failure = undefined
    this.#options.logger.info({ ...this.#labels, seconds }, 'sink back')
  }

  #onFlush(error: unknown): void {
    const { logger, meter } = this.#options
    if (error === undefined) {
      this.#flushFailed = false
      meter.add('sink_cursor_flushes_total', this.#labels)
    } else if (!this.#flushFailed) {
      this.#flushFailed = true
      logger.error(
        { ...this.#labels, error: describe(error) },
        'cursor cannot be made durable; a restart would send again',
      )
    }
  }

  #health(): Health {
    if (this.#stopping) return { state: 'closed', since: this.#startedAt, reason: 'the gateway is stopping' }
    const { obstacle } = this.#aside
    if (obstacle !== undefined) return { state: 'degraded', since: this.#startedAt, reason: obstacle }
    const health = this.#guarded.ask() ?? {
      state: 'degraded',
      since: this.#startedAt,
      reason: `the plug-in cannot say how it is: ${this.#guarded.failure}`,
    }
    // Connected again, and what it waits for now says more than why it was lost.
    if (this.#connected && health.state === 'degraded') return health
    if (this.#failure !== undefined)
      return { state: 'failed', since: this.#failure.since, reason: this.#failure.reason }
    if (!this.#connected) return { state: 'starting', since: this.#startedAt, reason: 'connecting' }
    return health
  }

  /** Ends after `ms`, on close, and when more may be durable if that is waited for. */
  async #rest(ms: number, forDurable = false): Promise<void> {
    if (this.#stopping) return
    const pause = new AbortController()
    this.#pause = pause
    const timer = setTimeout(() => pause.abort(), ms)
    const ended = new Promise<void>((resolve) =>
      pause.signal.addEventListener('abort', () => resolve(), { once: true }),
    )
    try {
      // A wake that rejects because of the pause's end has nothing to tell.
      await (forDurable ? Promise.race([ended, this.#options.wake(pause.signal).catch(() => ended)]) : ended)
    } finally {
      clearTimeout(timer)
      pause.abort()
    }
  }
}
