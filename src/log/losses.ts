// What is lost: loss marks on their way into the log, counted and remembered for whoever asks.

import type { Clock, EntryKind, LossMark, LossReason, Message, Meter, Seq, Settled } from '../core/contract.ts'
import { MAX_SHOWN_LOSSES } from '../core/loss.ts'
import { encodeLossMark } from './loss-mark.ts'

export interface LossesOptions {
  readonly clock: Clock
  readonly meter: Meter
  readonly append: (kind: EntryKind, message: Message, settled: Settled) => void
}

export class Losses {
  readonly #options: LossesOptions
  readonly #counts: Record<string, number> = {}
  #newest: LossMark[] = []

  constructor(options: LossesOptions) {
    this.#options = options
  }

  /** Messages lost, by reason. */
  get counts(): Readonly<Record<string, number>> {
    return { ...this.#counts }
  }

  /** The newest marks, newest last. */
  get newest(): readonly LossMark[] {
    return this.#newest
  }

  /** Appends a mark; resolves once it is durable. */
  record(loss: Omit<LossMark, 'time'>): Promise<Seq> {
    const mark: LossMark = { ...loss, time: this.#options.clock.wallMs() }
    if (mark.count > 0) this.#count(mark.reason, mark.count)
    this.#newest = [...this.#newest, mark].slice(-MAX_SHOWN_LOSSES)
    const message: Message = { topic: '', source: '', payload: encodeLossMark(mark), qos: 0, retain: false }
    return new Promise((resolve, reject) => {
      this.#options.append('loss', message, (error, seq) => (error === undefined ? resolve(seq) : reject(error)))
    })
  }

  #count(reason: LossReason, count: number): void {
    this.#counts[reason] = (this.#counts[reason] ?? 0) + count
    this.#options.meter.add('lost_messages_total', { reason }, count)
  }
}
