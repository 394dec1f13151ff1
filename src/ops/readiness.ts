// Whether the gateway does its work, and if not, why, from the status report. A sink may be away for a while, that is what
// the log is for; a source or the log may not. How long it has been away is measured here, by the monotonic clock: the times
// in the report are for people, and jump with the wall clock.

import type { Clock, Health } from '../core/contract.ts'
import { errorTable } from '../core/errors.ts'
import type { SinkStatus, StatusReport } from '../core/status.ts'

/** How long a sink may be without its upstream before the gateway calls itself not ready. */
const SINK_GRACE_MS = 30_000

export class Readiness {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  /** By name of the sink. */
  readonly #awaySinceMs = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
  }

  /** To be told whenever a sink may have come or gone. */
  observe(sinks: readonly SinkStatus[]): void {
    for (const sink of sinks) {
      if (!isAway(sink)) this.#awaySinceMs.delete(sink.name)
      else if (!this.#awaySinceMs.has(sink.name)) this.#awaySinceMs.set(sink.name, this.#clock.monotonicMs())
    }
  }

  /** One line for each thing that is wrong; empty when all is well. */
  faults(report: Pick<StatusReport, 'sources' | 'log' | 'sinks'>): readonly string[] {
    const { sources, log, sinks } = report
    this.observe(sinks)
    const now = this.#clock.monotonicMs()
    const isLong = ({ name }: SinkStatus) => now - (this.#awaySinceMs.get(name) ?? now) > SINK_GRACE_MS
    return [
      ...(log.state === 'ok' ? [] : [`log: ${log.reason ?? 'refuses messages'}; ${errorTable.TG_LOG_WRITE[1]}`]),
      ...sources
        .filter((source) => source.state !== 'ok')
        .map((source) => `source ${source.name}: ${complaint(source)}`),
      ...sinks.filter((sink) => isAway(sink) && isLong(sink)).map((sink) => `sink ${sink.name}: ${complaint(sink)}`),
    ]
  }
}

/** One that waits for the clock to be set is where it should be; the wait ends by itself. */
const isAway = ({ state, detail }: SinkStatus): boolean => state !== 'ok' && detail?.['waitsForClock'] !== true

const complaint = ({ state, since, reason }: Health): string =>
  `${state} since ${new Date(since).toISOString()}${reason === undefined ? '' : `: ${reason}`}`
