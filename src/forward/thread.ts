// The ingest thread's end of the forward thread: starts it, tells it what is durable, listens to its figures, and starts it
// again with back-off when it dies. Nothing here can hold up ingest: hints are coalesced and never waited for.

import { Worker } from 'node:worker_threads'
import type { Clock, Gap, Logger, LossMark, Meter, Seq, UnixMs } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import type { SinkStatus } from '../core/status.ts'
import { retryDelayMs } from '../core/time.ts'
import { applyDeltas } from './meter-relay.ts'
import type { Commanded, ForwardWorkerData, FromForwardThread, ToForwardThread } from './protocol.ts'

export interface ForwardThreadOptions {
  /** The built worker.js, or worker.ts under a loader. */
  readonly entry: URL
  /** `piled`: as it was when the log was opened; what came since then is fresh, however long the thread takes to start. */
  readonly data: Omit<ForwardWorkerData, 'durable'>
  readonly durable: () => Seq
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
  /** Writes a loss mark; resolves once it is durable. */
  readonly recordLoss: (loss: Omit<LossMark, 'time'>) => Promise<unknown>
  /** A command that an upstream has for a device, as CommandDesk.request(). Absent: all are refused. */
  readonly command?: (device: string, body: unknown, by: string) => Promise<string>
  /** A reader met damage that nobody may have noticed yet. */
  readonly onDamage?: (gap: Gap) => void
  /** Called with each report of the thread. */
  readonly onStatus?: (sinks: readonly SinkStatus[]) => void
  readonly backoff?: { readonly baseMs: number; readonly capMs: number }
  /** The thread dies beyond it, and is started again, instead of taking the gateway with it. */
  readonly maxHeapMegabytes?: number
}

const RESTART_BACKOFF = { baseMs: 1_000, capMs: 30_000 }
/** A thread that lived longer than this starts again as if it had never died. */
const HEALTHY_AFTER_MS = 60_000
const DEFAULT_MAX_HEAP_MEGABYTES = 256
/** What a thread may take beyond its deadline before it is terminated. */
const STOP_GRACE_MS = 500

export class ForwardThread {
  readonly #options: ForwardThreadOptions
  #worker: Worker | undefined
  #startedAtMs = 0
  #deaths = 0
  #restart: NodeJS.Timeout | undefined
  #hint: NodeJS.Immediate | undefined
  #statuses: readonly SinkStatus[]
  /** What threads that died had counted. */
  readonly #earlier = new Map<string, SinkStatus>()
  #lost: { readonly since: UnixMs; readonly reason: string } | undefined
  #stopping = false
  #closing: Promise<void> | undefined
  #exited: (() => void) | undefined

  constructor(options: ForwardThreadOptions) {
    this.#options = options
    const since = options.clock.wallMs()
    this.#statuses = options.data.sinks.map(({ name, type }) => ({
      name,
      type,
      state: 'starting',
      since,
      reason: 'the forward thread is starting',
      position: 0,
      unsettled: [],
      backlogMessages: 0,
      confirmedMessages: 0,
      confirmedReadings: 0,
      rejectedMessages: 0,
      retries: 0,
    }))
  }

  start(): void {
    if (this.#worker !== undefined || this.#stopping || this.#options.data.sinks.length === 0) return
    const { entry, data, durable, maxHeapMegabytes = DEFAULT_MAX_HEAP_MEGABYTES } = this.#options
    this.#startedAtMs = performance.now()
    const workerData: ForwardWorkerData = { ...data, durable: durable(), ...(this.#deaths > 0 && { piled: durable() }) }
    const worker = new Worker(entry, {
      name: 'forward',
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes },
    })
    this.#worker = worker
    let cause: unknown
    worker.on('message', (message: FromForwardThread) => this.#onMessage(worker, message))
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', (code) => this.#onExit(worker, cause === undefined ? `exit code ${code}` : describe(cause)))
  }

  /** More became durable. Told once for all that happens in one turn of the event loop. */
  durableAdvanced(): void {
    if (this.#worker === undefined || this.#hint !== undefined) return
    this.#hint = setImmediate(() => {
      this.#hint = undefined
      this.#post({ type: 'durable', seq: this.#options.durable() })
    })
  }

  /** The last that the thread said of its sinks; failed while it is gone. */
  statuses(): readonly SinkStatus[] {
    const lost = this.#lost
    return lost === undefined
      ? this.#statuses
      : this.#statuses.map((sink) => ({ ...sink, ...lost, state: 'failed' as const }))
  }

  /** The lowest position of all sinks: everything up to it is settled. 0 before they have said theirs. */
  settled(): Seq {
    if (this.#options.data.sinks.length === 0) return this.#options.durable()
    return Math.min(...this.#statuses.map((sink) => sink.position))
  }

  /** Idempotent. Lets the sinks finish what they are writing, for at most so long. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restart)
    if (this.#hint !== undefined) clearImmediate(this.#hint)
    const worker = this.#worker
    if (worker === undefined) return
    const exited = new Promise<void>((resolve) => {
      this.#exited = resolve
    })
    this.#post({ type: 'stop', deadlineMs })
    const late = setTimeout(() => {
      this.#options.logger.warn({ deadlineMs }, 'forward thread did not stop in time and is terminated')
      // Its exit is what is waited for.
      worker.terminate().catch((error: unknown) => this.#onExit(worker, describe(error)))
    }, deadlineMs + STOP_GRACE_MS)
    await exited
    clearTimeout(late)
  }

  #post(message: ToForwardThread): void {
    this.#worker?.postMessage(message)
  }

  #onMessage(worker: Worker, message: FromForwardThread): void {
    if (message.type === 'meter') {
      applyDeltas(message.deltas, this.#options.meter)
    } else if (message.type === 'status') {
      this.#statuses = message.sinks.map((sink) => withEarlier(sink, this.#earlier.get(sink.name)))
      this.#options.onStatus?.(this.#statuses)
    } else if (message.type === 'loss') {
      void this.#record(worker, message.id, message.loss)
    } else if (message.type === 'command') {
      void this.#command(worker, message)
    } else if (message.type === 'damage') {
      this.#options.onDamage?.(message.gap)
    } else if (message.type === 'ready' && this.#lost !== undefined) {
      this.#lost = undefined
      this.#options.logger.info({ deaths: this.#deaths }, 'forward thread back')
    }
  }

  async #record(worker: Worker, id: number, loss: Omit<LossMark, 'time'>): Promise<void> {
    const answer = (error?: string) => {
      const message: ToForwardThread = { type: 'recorded', id, ...(error === undefined ? {} : { error }) }
      // One that has gone does not wait any more.
      if (this.#worker === worker) worker.postMessage(message)
    }
    await this.#options.recordLoss(loss).then(
      () => answer(),
      (error: unknown) => answer(describe(error)),
    )
  }

  async #command(worker: Worker, { number, device, body, by }: FromForwardThread & { type: 'command' }): Promise<void> {
    const { command } = this.#options
    const answer = (outcome: Omit<Commanded, 'type' | 'number'>) => {
      const message: ToForwardThread = { type: 'commanded', number, ...outcome }
      // One that has gone has not confirmed it either: its broker sends it again.
      if (this.#worker === worker) worker.postMessage(message)
    }
    try {
      if (command === undefined) throw new TidegateError('TG_COMMAND_UNDELIVERABLE', 'nothing takes commands here')
      answer({ id: await command(device, body, by) })
    } catch (error) {
      const code = error instanceof TidegateError ? error.code : 'TG_INTERNAL'
      answer({ error: { code, message: error instanceof TidegateError ? error.message : describe(error) } })
    }
  }

  #onExit(worker: Worker, cause: string): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    for (const sink of this.#statuses) this.#earlier.set(sink.name, sink)
    this.#exited?.()
    if (this.#stopping) return
    const { logger, meter, clock, backoff = RESTART_BACKOFF } = this.#options
    if (performance.now() - this.#startedAtMs > HEALTHY_AFTER_MS) this.#deaths = 0
    const delayMs = Math.round(retryDelayMs(this.#deaths++, backoff))
    const error = new TidegateError('TG_INTERNAL', `the forward thread ended: ${cause}`)
    meter.add('forward_thread_deaths_total')
    logger.error({ code: error.code, reason: cause, delayMs }, 'forward thread ended and will be started again')
    this.#lost = { since: this.#lost?.since ?? clock.wallMs(), reason: `${error.message}; it will be started again` }
    this.#options.onStatus?.(this.statuses())
    this.#restart = setTimeout(() => this.start(), delayMs)
  }
}

/** Counts go on where the thread before this one ended. */
const withEarlier = (sink: SinkStatus, earlier: SinkStatus | undefined): SinkStatus =>
  earlier === undefined
    ? sink
    : {
        ...sink,
        confirmedMessages: sink.confirmedMessages + earlier.confirmedMessages,
        confirmedReadings: sink.confirmedReadings + earlier.confirmedReadings,
        rejectedMessages: sink.rejectedMessages + earlier.rejectedMessages,
        retries: sink.retries + earlier.retries,
      }
