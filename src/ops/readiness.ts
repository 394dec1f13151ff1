// Whether the gateway does its work, and if not, why: pure, from the status report. A sink may be away for a while, that is
// what the log is for; a source or the log may not.

import type { Health } from '../core/contract.ts'
import type { StatusReport } from '../core/status.ts'

/** How long a sink may be without its upstream before the gateway calls itself not ready. */
const SINK_GRACE_MS = 30_000

/** One line for each thing that is wrong; empty when all is well. */
export const unreadiness = (
  report: Pick<StatusReport, 'sources' | 'log' | 'sinks'>,
  now: number,
): readonly string[] => {
  const { sources, log, sinks } = report
  return [
    ...(log.state === 'ok' ? [] : [`log: ${log.reason ?? 'refuses messages'}`]),
    ...sources.filter((source) => source.state !== 'ok').map((source) => `source ${source.name}: ${complaint(source)}`),
    ...sinks
      .filter((sink) => sink.state !== 'ok' && now - sink.since > SINK_GRACE_MS)
      .map((sink) => `sink ${sink.name}: ${complaint(sink)}`),
  ]
}

const complaint = ({ state, since, reason }: Health): string =>
  `${state} since ${new Date(since).toISOString()}${reason === undefined ? '' : `: ${reason}`}`
