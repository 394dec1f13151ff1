// One write to an AMQP upstream, whatever its version: sends messages in order with many in flight, sends again what may
// pass later, sets aside what never will, and tells the settled prefix as it grows. It knows no protocol: a channel does.

import type { Batch, Rejection, Seq, WriteResult } from '../core/contract.ts'
import { retryDelayMs } from '../core/time.ts'
import { toRejection } from './loss-note.ts'
import type { Outgoing } from './outgoing.ts'

export interface Posting {
  readonly message: Outgoing
  settled: boolean
}

export interface PublicationOptions {
  readonly batch: Batch
  /** Ascending by `first`. */
  readonly messages: readonly Outgoing[]
  /** Sends now. What came of it is told by confirmed(), refused(), rejected() or fail(). */
  readonly send: (posting: Posting) => void
  /** Whether the upstream takes another message now; when it does again, call pump(). */
  readonly writable: () => boolean
  readonly progress: (settled: Seq) => void
  /** Why something is being sent again; undefined once nothing is. */
  readonly trouble: (reason: string | undefined) => void
  /** Called for each message that will be sent again. */
  readonly retried: () => void
  readonly maxInFlight?: number
}

/** At 100 ms until the confirm still 20,000 messages a second; rhea holds 2,048 at most. */
const MAX_IN_FLIGHT = 2_000
/** What the library may hold in its buffers while the upstream reads slowly. */
const MAX_IN_FLIGHT_BYTES = 4 * 1_024 * 1_024
/** The first retry comes soon (a queue is being declared), later ones leave the broker in peace. */
const RETRY_BACKOFF = { baseMs: 200, capMs: 10_000 }

export class Publication {
  readonly #options: PublicationOptions
  readonly #postings: Posting[]
  readonly #rejections: Rejection[] = []
  /** Refused once and not settled since. */
  readonly #troubled = new Set<Posting>()
  /** Refused, waiting for the back-off; nothing new is sent meanwhile, so that a device's order holds. */
  #waiting: Posting[] = []
  /** To be sent again now, before anything new. */
  #again: Posting[] = []
  #timer: NodeJS.Timeout | undefined
  #attempt = 0
  #next = 0
  #inFlight = 0
  #inFlightBytes = 0
  /** Everything before this index is settled. */
  #prefix = 0
  #told: Seq
  #firstRejected: Seq = Number.POSITIVE_INFINITY
  #end: { readonly resolve: (result: WriteResult) => void; readonly reject: (error: unknown) => void } | undefined

  constructor(options: PublicationOptions) {
    this.#options = options
    this.#postings = options.messages.map((message) => ({ message, settled: false }))
    this.#told = options.batch.first - 1
  }

  /** Called once. Rejects with what fail() is given, or with the signal's reason. */
  async run(signal: AbortSignal): Promise<WriteResult> {
    const onAbort = () => this.fail(signal.reason)
    try {
      signal.throwIfAborted()
      signal.addEventListener('abort', onAbort, { once: true })
      return await new Promise<WriteResult>((resolve, reject) => {
        this.#end = { resolve, reject }
        this.pump()
        this.#finishIfDone()
      })
    } finally {
      signal.removeEventListener('abort', onAbort)
      clearTimeout(this.#timer)
    }
  }

  /** Sends what may be sent now. */
  pump(): void {
    const maxInFlight = this.#options.maxInFlight ?? MAX_IN_FLIGHT
    while (this.#end !== undefined && this.#inFlight < maxInFlight && this.#inFlightBytes < MAX_IN_FLIGHT_BYTES) {
      if (!this.#options.writable()) return
      const posting = this.#take()
      if (posting === undefined) return
      this.#inFlight++
      this.#inFlightBytes += posting.message.body.length
      this.#options.send(posting)
    }
  }

  confirmed(posting: Posting): void {
    if (!this.#land(posting)) return
    this.#settle(posting)
  }

  /** The upstream does not take it now, and may take it later. */
  refused(posting: Posting, reason: string): void {
    if (!this.#land(posting)) return
    this.#options.retried()
    this.#options.trouble(reason)
    this.#troubled.add(posting)
    this.#waiting.push(posting)
    this.#tellProgress()
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined
        this.#again.push(...this.#waiting)
        this.#again.sort(
          (left, right) => left.message.first - right.message.first || left.message.part - right.message.part,
        )
        this.#waiting = []
        this.pump()
      },
      retryDelayMs(this.#attempt++, RETRY_BACKOFF),
    )
  }

  /** The upstream will never take it. */
  rejected(posting: Posting, reason: string): void {
    if (!this.#land(posting)) return
    this.#rejections.push(toRejection(posting.message, reason))
    this.#firstRejected = Math.min(this.#firstRejected, posting.message.first)
    this.#settle(posting)
  }

  /** Nothing more can be said: the connection is gone, or the write was given up. */
  fail(error: unknown): void {
    const end = this.#end
    this.#end = undefined
    end?.reject(error)
  }

  #take(): Posting | undefined {
    const again = this.#again.shift()
    if (again !== undefined || this.#waiting.length > 0) return again
    return this.#next < this.#postings.length ? this.#postings[this.#next++] : undefined
  }

  /** False when nobody waits for it any more. */
  #land(posting: Posting): boolean {
    if (this.#end === undefined || posting.settled) return false
    this.#inFlight--
    this.#inFlightBytes -= posting.message.body.length
    return true
  }

  #settle(posting: Posting): void {
    posting.settled = true
    if (this.#troubled.delete(posting) && this.#troubled.size === 0) {
      this.#attempt = 0
      this.#options.trouble(undefined)
    }
    while (this.#postings[this.#prefix]?.settled) this.#prefix++
    this.#tellProgress()
    this.#finishIfDone()
    this.pump()
  }

  /** Also said when it did not grow: an upstream that refuses is not one that has stalled. */
  #tellProgress(): void {
    const { batch, progress } = this.#options
    const open = this.#postings[this.#prefix]
    const prefix = open === undefined ? batch.last : open.message.first - 1
    this.#told = Math.max(this.#told, Math.min(prefix, this.#firstRejected - 1))
    progress(this.#told)
  }

  #finishIfDone(): void {
    if (this.#prefix < this.#postings.length) return
    const end = this.#end
    this.#end = undefined
    end?.resolve({ settled: this.#options.batch.last, rejected: this.#rejections })
  }
}
