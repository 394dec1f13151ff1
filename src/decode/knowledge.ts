// Brings a router what messages told about others: first what is kept beside the log, then what the log holds behind that, read
// with a filter that passes over everything else. One for each thread that decodes; who reads the log in order says how far
// that is, and what lies between is made up for before something behind it is decoded.

import type { Entry, Seq } from '../core/contract.ts'
import type { Known } from '../core/known-topic.ts'
import type { LogReader, ReadFilter, ReadLimit } from '../core/log-contract.ts'
import type { Router } from './router.ts'

/** One look at the log: learnt from without a pause that anybody feels. */
const PAGE: ReadLimit = { entries: 256, bytes: 256 * 1024 }

export class Knowledge {
  readonly #router: Router
  readonly #open: () => LogReader | Promise<LogReader>
  readonly #filter: ReadFilter
  #reader: LogReader | undefined
  /** Everything up to here has been learnt. */
  #upTo: Seq = 0
  #turn: Promise<void> = Promise.resolve()
  #closed = false

  constructor(router: Router, open: () => LogReader | Promise<LogReader>) {
    this.#router = router
    this.#open = open
    this.#filter = { channel: (topic, source) => router.tells(topic, source) }
  }

  get upTo(): Seq {
    return this.#upTo
  }

  /**
   * Takes in what is kept beside the log. A log that does not reach as far was put back from a copy, or taken away: what was
   * told behind its end then counts as told there, before everything that is still to come.
   */
  recall({ upTo, topics }: Known, durable: Seq = Number.POSITIVE_INFINITY): void {
    for (const { source, topic, told } of topics) {
      const versions = told.flatMap(({ payload, at }) => at.map((one) => ({ ...one, payload })))
      const last = versions.toSorted((a, b) => a.seq - b.seq).at(-1)
      for (const version of versions)
        if (version.seq <= durable) this.#router.learn({ ...version, source, topic })
        else if (version === last) this.#router.learn({ ...version, source, topic, seq: durable })
    }
    this.#upTo = Math.max(this.#upTo, Math.min(upTo, durable))
  }

  /** Learns what the log holds up to a seq (inclusive), and resolves; at once where that is known. Rejects when it cannot be read. */
  async reach(seq: Seq, signal?: AbortSignal): Promise<void> {
    if (seq <= this.#upTo) return
    const result = this.#turn.then(() => this.#reach(seq, signal))
    this.#turn = result.catch(() => undefined)
    return result
  }

  /** Entries that follow each other, read by somebody who decodes them: call reach() for what is before them first. */
  follow(entries: readonly Entry[], last: Seq): void {
    for (const entry of entries)
      if (entry.seq > this.#upTo && entry.seq <= last && entry.kind === 'message') this.#router.learn(entry)
    this.#upTo = Math.max(this.#upTo, last)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
    await this.#reader?.close()
    this.#reader = undefined
  }

  async #reach(seq: Seq, signal: AbortSignal | undefined): Promise<void> {
    while (this.#upTo < seq && !this.#closed) {
      signal?.throwIfAborted()
      this.#reader ??= await this.#open()
      const { entries, next } = await this.#reader.read(this.#upTo, PAGE, this.#filter)
      for (const entry of entries) if (entry.kind === 'message') this.#router.learn(entry)
      if (next <= this.#upTo) return // the log ends here
      this.#upTo = next
    }
  }
}
