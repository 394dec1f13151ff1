// What is lost: loss marks on their way into the log, counted and remembered for whoever asks; and those of earlier runs, as
// far as they are still in the log, found again in the background.

import type { Clock, EntryKind, Logger, LossMark, LossReason, Message, Meter, Seq, Settled } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import { MAX_SHOWN_LOSSES } from '../core/loss.ts'
import { MAX_LOSS_SCAN_BYTES } from './limits.ts'
import { encodeLossMark, shownLoss } from './loss-mark.ts'
import type { FoundLoss, LossScanOptions } from './loss-scan.ts'
import { scanLosses } from './loss-scan.ts'

export interface LossesOptions {
  readonly clock: Clock
  readonly meter: Meter
  readonly logger: Logger
  readonly append: (kind: EntryKind, message: Message, settled: Settled) => void
  /** What corrects times of that boot, where it is known. */
  readonly correction: (bootId: string) => number | undefined
  /** Called with marks of earlier runs. */
  readonly onEarlier?: (marks: readonly LossMark[]) => void
}

export class Losses {
  readonly #options: LossesOptions
  readonly #counts: Record<string, number> = {}
  #newest: FoundLoss[] = []
  /** The same of earlier runs. */
  readonly #earlierCounts: Record<string, number> = {}
  #earlier: FoundLoss[] = []
  #search: Promise<void> | undefined
  readonly #ended = new AbortController()

  constructor(options: LossesOptions) {
    this.#options = options
  }

  /** Messages lost, by reason. */
  get counts(): Readonly<Record<string, number>> {
    const counts = { ...this.#earlierCounts }
    for (const [reason, count] of Object.entries(this.#counts)) counts[reason] = (counts[reason] ?? 0) + count
    return counts
  }

  /** The newest marks, newest last. */
  get newest(): readonly LossMark[] {
    return [...this.#earlier, ...this.#newest]
      .slice(-MAX_SHOWN_LOSSES)
      .map(({ mark, unset }) => shownLoss(mark, unset, unset && this.#options.correction(unset.bootId)))
  }

  /** Begins to look for the marks of earlier runs, in the background. Call once. */
  search(scan: Omit<LossScanOptions, 'maxBytes' | 'signal'>): void {
    const { signal } = this.#ended
    this.#search = this.#searchAll({ ...scan, maxBytes: MAX_LOSS_SCAN_BYTES, signal })
  }

  /** Idempotent; never throws. */
  async close(): Promise<void> {
    this.#ended.abort()
    await this.#search
  }

  /** Appends a mark; resolves once it is durable. `counted`: its messages have gone through count() already. */
  record(loss: Omit<LossMark, 'time'>, counted = false): Promise<Seq> {
    const { clock } = this.#options
    const mark: LossMark = { ...loss, time: clock.wallMs() }
    const unset = clock.synced() ? undefined : { bootId: clock.bootId, monotonicMs: clock.monotonicMs() }
    if (mark.count > 0 && !counted) this.count(mark.reason, mark.count)
    this.#newest = [...this.#newest, { mark, unset }].slice(-MAX_SHOWN_LOSSES)
    const message: Message = { topic: '', source: '', payload: encodeLossMark(mark), qos: 0, retain: false }
    return new Promise((resolve, reject) => {
      this.#options.append('loss', message, (error, seq) => (error === undefined ? resolve(seq) : reject(error)))
    })
  }

  /** Messages lost whose mark cannot be written yet. */
  count(reason: LossReason, count: number): void {
    this.#counts[reason] = (this.#counts[reason] ?? 0) + count
    this.#options.meter.add('lost_messages_total', { reason }, count)
  }

  async #searchAll(scan: LossScanOptions): Promise<void> {
    const { logger } = this.#options
    try {
      const complete = await scanLosses(scan, (losses) => this.#remember(losses))
      if (!complete)
        logger.info({ sizeBytes: scan.maxBytes }, 'older losses are not counted: there is too much to read')
    } catch (error) {
      if (!scan.signal.aborted) logger.warn({ error: describe(error) }, 'losses of earlier runs are not all known')
    }
  }

  /** Marks older than those that were remembered before. */
  #remember(losses: readonly FoundLoss[]): void {
    const marks = losses.map(({ mark }) => mark)
    this.#options.onEarlier?.(marks)
    for (const { reason, count } of marks)
      if (count > 0) this.#earlierCounts[reason] = (this.#earlierCounts[reason] ?? 0) + count
    this.#earlier = [...losses, ...this.#earlier].slice(-MAX_SHOWN_LOSSES)
  }
}
