// While the disk takes nothing: what waits is shown, and QoS 0 messages for which there is no room get a seq, are shown, and
// are not kept. What was lost that way is counted, by topic, and a loss mark (reason refused) follows it in the log as soon
// as something is taken again. Seqs are reserved on the disk before they are given (given-file.ts); while that cannot be
// done none is given, and such messages are counted and not even shown.

import type { LossMark, Message, Seq, Settled } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import { mostAffected } from '../core/loss.ts'
import type { CommitQueue } from './commit-queue.ts'
import type { GivenFile, Stretch } from './given-file.ts'
import {
  MAX_SHOWN_ENTRIES,
  MAX_UNKEPT_STRETCHES,
  MAX_UNKEPT_TOPICS,
  RECORD_UNKEPT_MS,
  RESERVE_STEP,
  SHOW_MS,
} from './limits.ts'
import type { LogOptions } from './log-options.ts'
import type { Undurable } from './undurable.ts'

const FIRST_RECORD_MS = 500

export interface UnkeptOptions extends Pick<LogOptions, 'clock' | 'logger'> {
  readonly queue: CommitQueue
  readonly file: GivenFile
  readonly undurable: Undurable
  /** Counts messages as lost. */
  readonly lost: (count: number) => void
  /** Appends a loss mark whose messages have been counted already; resolves once it is durable. */
  readonly record: (loss: Omit<LossMark, 'time'>) => Promise<Seq>
}

/** A stretch that goes on, or whose mark is not durable yet. */
interface Growing extends Stretch {
  last: Seq
  count: number
  /** Of these, without a seq. */
  unnumbered: number
  readonly topics: Map<string, number>
}

export class Unkept {
  readonly #options: UnkeptOptions
  /** Seqs up to here may be given. */
  #reserved: Seq = 0
  /** Nothing can be reserved: no seqs are given. */
  #failed = false
  /** What goes on. */
  #stretch: Growing | undefined
  /** Oldest first; their marks are on their way. */
  #told: Stretch[] = []
  #total = 0
  #unmetered = 0
  #settled: Settled[] = []
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined
  #recordedMs = 0
  /** How long the next record waits: the first one is soon on the disk. */
  #restMs = FIRST_RECORD_MS
  #recordedTotal = 0
  #senders: (() => void)[] = []

  constructor(options: UnkeptOptions) {
    this.#options = options
  }

  /**
   * Takes over what the file says, with the stretches behind the log: their marks are still to come. Without the file, nothing
   * can be reserved until it can be made.
   */
  async open(last: Seq): Promise<void> {
    const { file, logger, queue } = this.#options
    try {
      const { upTo, stretches } = await file.open(queue.nextSeq - 1)
      this.#reserved = upTo
      this.#told = stretches.filter(({ first }) => first > last)
    } catch (error) {
      this.#failed = true
      logger.warn({ error: describe(error) }, 'seqs cannot be reserved: on a full disk, what is not kept is not shown')
    }
  }

  /** The mark of a stretch of an earlier run is durable. */
  redeemed({ first, last }: Pick<Stretch, 'first' | 'last'>): void {
    this.#told = this.#told.filter((told) => told.first !== first || told.last !== last)
  }

  /** The disk takes nothing. */
  get active(): boolean {
    return this.#timer !== undefined
  }

  /** Messages that were lost and have no mark in the log yet. */
  get pending(): boolean {
    return this.#stretch !== undefined
  }

  /** Messages that were not kept, since the start. */
  get total(): number {
    return this.#total
  }

  /** Whether add() is to be called for what there is no room for. */
  get ready(): boolean {
    return this.active && (this.#failed || this.#options.queue.nextSeq <= this.#reserved)
  }

  /** Resolves when it is ready, or need not be any more. */
  whenReady(): Promise<void> {
    if (this.ready) return Promise.resolve()
    return new Promise((resolve) => this.#senders.push(resolve))
  }

  /** The disk takes nothing: called for each attempt that failed. */
  begin(): void {
    if (this.#timer === undefined) {
      this.#timer = setInterval(() => this.#tick(), SHOW_MS)
      this.#restMs = FIRST_RECORD_MS
    }
    this.#reserve(true)
  }

  /** The disk takes something again: the mark of what was lost goes behind it. */
  end(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#show()
    this.finish()
    this.#wakeSenders()
  }

  /** A message that there is no room for. */
  add(message: Message, monotonicMs: number, settled: Settled | undefined): void {
    const { queue } = this.#options
    if (!this.ready || this.#failed) {
      this.drop(message, settled)
      return
    }
    const stretch = this.#grow(message)
    const seq = queue.nextSeq
    let refusal = queue.addUnkept(message, monotonicMs, settled)
    if (refusal === 'full') {
      this.#show()
      refusal = queue.addUnkept(message, monotonicMs, settled)
    }
    if (refusal === undefined) stretch.last = seq
    else this.#lose(stretch, settled)
  }

  /** The same for one that gets no seq, and is not shown. */
  drop(message: Message, settled: Settled | undefined): void {
    this.#lose(this.#grow(message), settled)
  }

  /** Ends the present stretch with its mark. Called before anything else is taken. */
  finish(): void {
    const stretch = this.#stretch
    if (stretch === undefined) return
    this.#show()
    this.#stretch = undefined
    this.#told.push(stretch)
    const { first, last, count, unnumbered } = stretch
    const topics = mostAffected(stretch.topics)
    const detail = unnumbered === 0 ? undefined : `${unnumbered} of them were given no seq`
    this.#options
      .record({ first, last, count, reason: 'refused', ...(detail && { detail }), ...(topics && { topics }) })
      .then(
        () => {
          this.#told = this.#told.filter((told) => told !== stretch)
        },
        // The file keeps it for the next start.
        (error: unknown) => this.#options.logger.warn({ first, last, count, error: describe(error) }, 'not in the log'),
      )
  }

  /** Reserves seqs at once; false when that cannot be. */
  async reserve(): Promise<boolean> {
    if (this.#failed) return false
    this.#reserve(true)
    await this.#writing
    return !this.#failed
  }

  /**
   * Writes down what has no mark in the log, for the next start; after a `clean` end nothing is reserved any more, so that
   * the next start skips nothing. Never throws.
   */
  async close(clean: boolean): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#show()
    this.#wakeSenders()
    await this.#writing
    const last = this.#options.queue.nextSeq - 1
    const upTo = clean ? Math.min(last, this.#reserved) : this.#reserved
    if (this.#stretches().length > 0 || upTo !== this.#reserved) await this.#write(upTo).catch(() => undefined)
    await this.#options.file.close()
  }

  #lose(stretch: Growing, settled: Settled | undefined): void {
    stretch.unnumbered++
    if (settled !== undefined) this.#settled.push(settled)
    if (this.#settled.length === 1 && !this.active) setImmediate(() => this.#settle())
  }

  #grow({ topic }: Message): Growing {
    const { nextSeq: first } = this.#options.queue
    this.#stretch ??= { first, last: first - 1, count: 0, unnumbered: 0, topics: new Map() }
    const stretch = this.#stretch
    stretch.count++
    this.#total++
    this.#unmetered++
    const known = stretch.topics.get(topic)
    if (known !== undefined) stretch.topics.set(topic, known + 1)
    else if (stretch.topics.size < MAX_UNKEPT_TOPICS) stretch.topics.set(topic, 1)
    return stretch
  }

  #tick(): void {
    const { undurable } = this.#options
    if (undurable.show(MAX_SHOWN_ENTRIES)) this.#show()
    this.#reserve(false)
    const due = this.#options.clock.monotonicMs() - this.#recordedMs >= this.#restMs
    if (!due || this.#failed || this.#recordedTotal === this.#total || this.#writing !== undefined) return
    this.#restMs = Math.min(2 * this.#restMs, RECORD_UNKEPT_MS)
    this.#startWriting(this.#reserved)
  }

  /** Everything that has not been shown, and an end to what was not kept. */
  #show(): void {
    const { queue, undurable } = this.#options
    if (this.active) undurable.show()
    const block = queue.takeUnkept()
    if (block !== undefined) {
      undurable.showUnkept(block)
      for (const settled of block.settled) if (settled !== undefined) this.#settled.push(settled)
      queue.recycle(block)
    }
    this.#settle()
    if (this.#unmetered === 0) return
    this.#options.lost(this.#unmetered)
    this.#unmetered = 0
  }

  #settle(): void {
    if (this.#settled.length === 0) return
    const calls = this.#settled
    this.#settled = []
    const error = new TidegateError('TG_LOG_WRITE', 'the disk takes nothing, and there was no room to wait')
    for (const settled of calls) settled(error, 0)
  }

  /** Seqs for some seconds ahead. After a failure only `again`, with the writer's own attempts. */
  #reserve(again: boolean): void {
    const { nextSeq } = this.#options.queue
    if (this.#writing !== undefined || (this.#failed && !again)) return
    if (this.#reserved - nextSeq < RESERVE_STEP / 2) this.#startWriting(nextSeq + RESERVE_STEP)
  }

  #startWriting(upTo: Seq): void {
    this.#writing ??= this.#write(upTo)
      .then(
        () => {
          this.#reserved = upTo
          this.#failed = false
        },
        (error: unknown) => {
          if (!this.#failed)
            this.#options.logger.warn(
              { error: describe(error) },
              'seqs cannot be reserved: what is not kept is not shown',
            )
          this.#failed = true
        },
      )
      .then(() => {
        this.#writing = undefined
        if (this.ready) this.#wakeSenders()
      })
  }

  async #write(upTo: Seq): Promise<void> {
    const total = this.#total
    this.#recordedMs = this.#options.clock.monotonicMs()
    await this.#options.file.write({ upTo, stretches: this.#stretches() })
    this.#recordedTotal = total
  }

  #stretches(): Stretch[] {
    const all = this.#stretch === undefined ? this.#told : [...this.#told, this.#stretch]
    const stretches = all.map(({ first, last, count }) => ({ first, last, count }))
    const joined = stretches.splice(0, stretches.length - MAX_UNKEPT_STRETCHES + 1)
    const first = joined[0]
    const last = joined.at(-1)
    if (first === undefined || last === undefined) return stretches
    const count = joined.reduce((sum, one) => sum + one.count, 0)
    return [{ first: first.first, last: last.last, count }, ...stretches]
  }

  #wakeSenders(): void {
    const senders = this.#senders
    this.#senders = []
    for (const wake of senders) wake()
  }
}
