// One line above the devices that says whether sources, log and sinks are well, and leads to their details below.

import type { StatusReport } from '../core/status.ts'
import { type Cell, useCell } from './cell.ts'
import type { ConnectionState } from './connection.ts'
import { countText } from './format.ts'
import type { StatusSeen } from './status-poll.ts'

type Tone = 'ok' | 'warn' | 'bad'

export interface SummaryProps {
  readonly status: Cell<StatusSeen | undefined>
  readonly state: Cell<ConnectionState>
}

export const Summary = ({ status, state }: SummaryProps) => {
  const report = useCell(status)?.report
  const live = useCell(state).phase === 'live'
  if (report === undefined) return <nav class="summary" aria-label="State of the gateway" />
  const [sources, log, sinks] = [sourcesState(report), logState(report), sinksState(report)]
  return (
    <nav class={live ? 'summary' : 'summary past'} aria-label="State of the gateway">
      {!live && <span class="note">Last known:</span>}
      <a href="#sources" class={sources.tone}>
        Sources <b>{sources.text}</b>
      </a>
      <a href="#log" class={log.tone}>
        Log <b>{log.text}</b>
      </a>
      <a href="#sinks" class={sinks.tone}>
        Upstream <b>{sinks.text}</b>
      </a>
    </nav>
  )
}

interface Line {
  readonly tone: Tone
  readonly text: string
}

const sourcesState = ({ sources }: StatusReport): Line => {
  const unwell = sources.filter((source) => source.state !== 'ok')
  if (sources.length === 0) return { tone: 'warn', text: 'none' }
  if (unwell.length === 0) return { tone: 'ok', text: 'ok' }
  return { tone: 'bad', text: `${unwell.length} of ${sources.length} not ok` }
}

const logState = ({ log }: StatusReport): Line =>
  log.state === 'ok' ? { tone: 'ok', text: 'ok' } : { tone: 'bad', text: 'refusing' }

const sinksState = ({ sinks }: StatusReport): Line => {
  if (sinks.length === 0) return { tone: 'ok', text: 'none' }
  const waiting = sinks.reduce((most, sink) => Math.max(most, sink.backlogMessages), 0)
  const failed = sinks.some((sink) => sink.state === 'failed' || sink.state === 'closed')
  const unwell = sinks.find((sink) => sink.state !== 'ok')
  const queue = waiting === 0 ? '' : `, ${countText(waiting)} waiting`
  if (unwell === undefined) return { tone: 'ok', text: `ok${queue}` }
  return { tone: failed ? 'bad' : 'warn', text: `${unwell.state}${queue}` }
}
