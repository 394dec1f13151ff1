// Keeps what messages told about others: learns from what is new before it is decoded, at start from what is kept beside the
// log and from the log behind that, and writes it beside the log again, seldom. Whatever is there at a start, or cannot be
// written, the gateway runs: at worst decoding knows less.

import type { Entry, Logger, Meter, Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import type { Known } from '../core/known-topic.ts'
import { delay } from '../core/time.ts'
import type { Knowledge } from '../decode/knowledge.ts'
import type { Router } from '../decode/router.ts'

/** How long the start may wait for the log to be looked through; the rest of it runs beside the live traffic. */
const FOREGROUND_MS = 2_000
const CHECK_MS = 5_000
/** Devices that start tell much within seconds: it is written once. */
const SETTLE_MS = 30_000
const MIN_INTERVAL_MS = 60_000
/** A client that tells something new all the time costs the card at most this, some 170 MB a day. */
const BYTES_PER_MS = 2
/** What was only told again can be had from the log, too. */
const REPEATS_INTERVAL_MS = 3_600_000

export interface DescriptionKeeperOptions {
  readonly router: Router
  readonly knowledge: Knowledge
  /** What is kept; a text says why it cannot be used. */
  readonly read: () => Promise<Known | string | undefined>
  readonly setAside: () => Promise<void>
  /** Returns the bytes written. */
  readonly write: (known: Known) => Promise<number>
  readonly durable: () => Seq
  readonly logger: Logger
  readonly meter: Meter
}

export class DescriptionKeeper {
  readonly #options: DescriptionKeeperOptions
  readonly #abort = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #folding: Promise<void> | undefined
  #complete = false
  /** Of what came since the start. */
  #seen: Seq = 0
  #saved = { changes: 0, repeats: 0 }
  #dirtySinceMs: number | undefined
  #writtenAtMs = Number.NEGATIVE_INFINITY
  #writtenBytes = 0
  #writing: Promise<void> | undefined
  #failing = false
  #evicted = 0
  #closing: Promise<void> | undefined

  constructor(options: DescriptionKeeperOptions) {
    this.#options = options
  }

  /** Called once, before anything is decoded. Never rejects but when the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    const { knowledge, read, durable } = this.#options
    const upTo = durable()
    this.#seen = upTo
    await this.#recall(await read(), upTo)
    if (knowledge.upTo > 0) this.#remember()
    const foreground = new AbortController()
    this.#folding = this.#fold(upTo, AbortSignal.any([signal, this.#abort.signal])).finally(() => foreground.abort())
    await delay(FOREGROUND_MS, foreground.signal).catch(() => undefined)
    signal.throwIfAborted()
    this.#timer = setInterval(() => this.#check(), CHECK_MS)
  }

  /** Called with what is new, in order, before it is decoded. */
  learn(entries: readonly Entry[]): void {
    const { router } = this.#options
    for (const entry of entries) {
      if (entry.kind === 'message') router.learn(entry)
      if (entry.seq > this.#seen) this.#seen = entry.seq
    }
  }

  /** Idempotent, never throws: writes what is not written yet. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer)
    this.#abort.abort()
    await this.#folding
    await this.#writing
    if (this.#isChanged || this.#isRepeated) await this.#write()
    await this.#options.knowledge.close().catch((error: unknown) => {
      this.#options.logger.warn({ error: describe(error) }, 'a reader of the log did not close')
    })
  }

  async #recall(known: Known | string | undefined, upTo: Seq): Promise<void> {
    const { knowledge, logger, setAside } = this.#options
    if (known === undefined) return
    if (typeof known !== 'string') {
      knowledge.recall(known, upTo)
      return
    }
    logger.warn({ reason: known }, 'the descriptions beside the log cannot be used; they are made anew from the log')
    await setAside().catch((error: unknown) => {
      logger.warn({ error: describe(error) }, 'the descriptions beside the log cannot be set aside')
    })
  }

  async #fold(upTo: Seq, signal: AbortSignal): Promise<void> {
    const { knowledge, logger } = this.#options
    try {
      await knowledge.reach(upTo, signal)
      this.#complete = true
    } catch (error) {
      if (!signal.aborted) logger.warn({ error: describe(error) }, 'what the log tells about devices is not all known')
    }
  }

  get #isChanged(): boolean {
    return this.#options.router.descriptions.changes !== this.#saved.changes
  }

  get #isRepeated(): boolean {
    return this.#options.router.descriptions.repeats !== this.#saved.repeats
  }

  #remember(): void {
    const { changes, repeats } = this.#options.router.descriptions
    this.#saved = { changes, repeats }
  }

  #check(): void {
    const { meter, router } = this.#options
    const { evicted } = router.descriptions
    if (evicted > this.#evicted) meter.add('descriptions_evicted_total', {}, evicted - this.#evicted)
    this.#evicted = evicted
    if (!this.#isChanged && !this.#isRepeated) return
    const now = performance.now()
    this.#dirtySinceMs ??= now
    const interval = this.#isChanged
      ? Math.max(MIN_INTERVAL_MS, this.#writtenBytes / BYTES_PER_MS)
      : REPEATS_INTERVAL_MS
    if (now - this.#dirtySinceMs < SETTLE_MS || now - this.#writtenAtMs < interval || this.#writing !== undefined)
      return
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  async #write(): Promise<void> {
    const { router, knowledge, write, durable, logger, meter } = this.#options
    const upTo = this.#complete ? Math.min(this.#seen, durable()) : knowledge.upTo
    const before = this.#saved
    this.#remember()
    this.#dirtySinceMs = undefined
    this.#writtenAtMs = performance.now()
    try {
      this.#writtenBytes = await write({ upTo, topics: router.descriptions.export() })
      meter.add('descriptions_writes_total')
      this.#failing = false
    } catch (error) {
      this.#saved = before
      if (!this.#failing) logger.warn({ error: describe(error) }, 'the descriptions beside the log cannot be written')
      this.#failing = true
    }
  }
}
