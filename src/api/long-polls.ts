// Requests that wait: each gets what is newer than its seq, from the live window or the log, or the next batch that matches.
// A waiting request is one subscriber of the hub and one timer; it is gone as soon as its client is.

import type { Gap, Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import type { Batch } from '../live/batch.ts'
import type { Live } from '../live/live.ts'
import { type LiveReading, pageLength } from '../live/reading.ts'
import type { Selection } from '../live/selection.ts'

/** Bytes of readings in one answer. */
const MAX_ANSWER_BYTES = 2 ** 20

export interface Question {
  readonly selection: Selection
  readonly after: Seq
  readonly limit: number
  readonly waitMs: number
}

export interface Answer {
  /** Where to go on. */
  readonly seq: Seq
  readonly readings: readonly LiveReading[]
  readonly gaps: readonly Gap[]
}

export class LongPolls {
  readonly #live: Live
  readonly #limit: number
  readonly #open = new Set<() => void>()
  #closed = false

  constructor(live: Live, limit: number) {
    this.#live = live
    this.#limit = limit
  }

  get count(): number {
    return this.#open.size
  }

  /** Undefined when there was nothing to say. Rejects with the signal's reason. */
  async ask(question: Question, signal: AbortSignal): Promise<Answer | undefined> {
    const gaps: Gap[] = []
    let after = question.after
    for (;;) {
      const found = await this.#search(question, after, signal, gaps)
      if (typeof found !== 'number') return found
      after = found
      // A commit may have come between the search and this line; from here on to the hub nothing can.
      if (this.#live.seq <= found || !this.#live.state.mayHaveSince(question.selection, found)) break
    }
    if (question.waitMs === 0 || this.#closed) return undefined
    if (this.#open.size >= this.#limit)
      throw new TidegateError('TG_TOO_MANY', `${this.#limit} requests wait for readings already`)
    const batch = await this.#wait(question, after, signal)
    return batch && answer(batch.readings, gaps, question.limit, batch.seq)
  }

  /** Ends all waiting; what they asked for is not there. */
  close(): void {
    this.#closed = true
    for (const end of this.#open) end()
  }

  /** An answer, or the seq up to which there is none. */
  async #search(question: Question, after: Seq, signal: AbortSignal, gaps: Gap[]): Promise<Answer | Seq> {
    const { scan, state, window } = this.#live
    const { selection, limit } = question
    const filter = scan.filter(selection)
    let position = after
    for (;;) {
      const seq = Math.max(this.#live.seq, position)
      if (!state.mayHaveSince(selection, position)) return seq
      if (window.covers(position)) {
        const readings = window.since(selection, position, limit)
        return readings.length === 0 ? seq : answer(readings, gaps, limit, readings.length < limit ? seq : undefined)
      }
      const page = await scan.read(position, signal, undefined, filter)
      gaps.push(...page.gaps)
      const readings = scan.readings(page.entries, selection)
      if (readings.length > 0) return answer(readings, gaps, limit, page.next)
      const gap = page.next > position ? undefined : this.#live.beyondReach(position)
      if (gap !== undefined) gaps.push(gap)
      position = gap?.last ?? Math.max(position, page.next)
    }
  }

  #wait({ selection, waitMs }: Question, position: Seq, signal: AbortSignal): Promise<Batch | undefined> {
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer)
        leave()
        this.#open.delete(end)
        signal.removeEventListener('abort', onAbort)
      }
      const end = () => {
        finish()
        resolve(undefined)
      }
      const onAbort = () => {
        finish()
        reject(signal.reason)
      }
      const push = (batch: Batch) => {
        const fresh = batch.newerThan(position)
        if (fresh.readings.length === 0) return
        finish()
        resolve(fresh)
      }
      const timer = setTimeout(end, waitMs)
      const leave = this.#live.hub.add({ selection, push })
      this.#open.add(end)
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort)
    })
  }
}

/** `upTo` is where to go on when all readings fit, if it is known; else the last reading's own seq. */
const answer = (
  readings: readonly LiveReading[],
  gaps: readonly Gap[],
  limit: number,
  upTo: Seq | undefined,
): Answer => {
  const length = pageLength(readings, { entries: limit, bytes: MAX_ANSWER_BYTES })
  const page = readings.slice(0, length)
  const last = page.at(-1)?.seq ?? 0
  const seq = length === readings.length ? (upTo ?? last) : last
  return { seq, readings: page, gaps: gaps.filter((gap) => gap.first <= seq) }
}
