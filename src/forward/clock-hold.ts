// Messages that arrived before the clock of this boot was set are not forwarded for a while: until readers can correct their
// times, or the wait is over. Stands between the log's reader and a forwarder, so that a lane whose next message waits looks
// to it like one with nothing to send; messages of earlier boots go on. Says what it does, in the log and in the status.

import type { Clock, Entry, Seq, UnixMs } from '../core/contract.ts'
import type { LogReader, ReadLimit, ReadResult } from '../core/log-contract.ts'
import type { SinkStatus } from '../core/status.ts'

export interface ClockHoldOptions {
  readonly clock: Clock
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
  /** When the wait is over, by the monotonic clock. */
  readonly untilMs: number
}

/** While a message waits, nothing is read behind it. */
const PROBE_ENTRIES = 1

export class ClockHold {
  readonly #options: ClockHoldOptions
  /** Sinks that wait, and before which seq. */
  readonly #waiting = new Map<string, Seq>()
  #since: UnixMs | undefined
  #ended = false

  constructor(options: ClockHoldOptions) {
    this.#options = options
  }

  /** The reader for one sink. */
  reader(sink: string, reader: LogReader): LogReader {
    return {
      read: async (after, limit, filter) =>
        this.#held(sink, after, await reader.read(after, this.#limit(sink, after, limit), filter)),
      close: () => reader.close(),
    }
  }

  /** The same status, unless the sink waits for the clock and for nothing worse. */
  told(status: SinkStatus): SinkStatus {
    if (!this.#waiting.has(status.name) || status.state !== 'ok') return status
    const seconds = Math.max(0, Math.ceil((this.#options.untilMs - this.#options.clock.monotonicMs()) / 1_000))
    const reason = `waits up to ${seconds} s for the clock to be set, so that messages get their right times (gateway.clockWait)`
    return { ...status, state: 'degraded', since: this.#since ?? status.since, reason, detail: { waitsForClock: true } }
  }

  #limit(sink: string, after: Seq, limit: ReadLimit): ReadLimit {
    return this.#waiting.get(sink) === after ? { ...limit, entries: PROBE_ENTRIES } : limit
  }

  #held(sink: string, after: Seq, result: ReadResult): ReadResult {
    const { clock, untilMs } = this.#options
    const first = this.#ended ? undefined : result.entries.findIndex((entry) => this.#waits(entry))
    if (first === undefined || first === -1) {
      if (result.next > after) this.#goOn(sink)
      return result
    }
    if (clock.monotonicMs() >= untilMs) {
      this.#giveUp()
      return result
    }
    if (this.#waiting.size === 0) {
      this.#since = clock.wallMs()
      this.#options.logger.info(
        { waitMs: Math.round(untilMs - clock.monotonicMs()) },
        'messages wait for the clock to be set',
      )
    }
    const next = (result.entries[first]?.seq ?? after + 1) - 1
    this.#waiting.set(sink, next)
    return {
      entries: result.entries.slice(0, first),
      // One of a thinned stretch reaches over what is left of it: the rest is told again with that.
      gaps: result.gaps.flatMap((gap) => (gap.first > next ? [] : { ...gap, last: Math.min(gap.last, next) })),
      next: Math.max(after, next),
    }
  }

  /** Only times of this boot can still be corrected. */
  #waits({ timeQuality, bootId }: Entry): boolean {
    return timeQuality === 'unsynced' && bootId === this.#options.clock.bootId
  }

  #goOn(sink: string): void {
    if (this.#waiting.delete(sink) && this.#waiting.size === 0)
      this.#options.logger.info({}, 'the clock is set; messages that waited for it go on with corrected times')
  }

  #giveUp(): void {
    this.#ended = true
    this.#waiting.clear()
    this.#options.logger.warn({}, 'the clock is not set; messages go upstream without a time, marked as unsynced')
  }
}
