// Sources, log and sinks as GET /api/v1/status tells them: state, since when, why, and the figures that matter.

import type { ComponentChildren } from 'preact'
import type { Health, LossMark } from '../core/contract.ts'
import type { Wear } from '../core/log-contract.ts'
import type { SinkStatus, SourceStatus, StatusReport } from '../core/status.ts'
import { Age } from './age.tsx'
import { type Cell, useCell } from './cell.ts'
import type { Missed } from './connection.ts'
import { clockText, countOf, countText, isoText, shortText, sizeText, titleText } from './format.ts'
import type { StatusSeen } from './status-poll.ts'

export interface GatewayPanelProps {
  readonly status: Cell<StatusSeen | undefined>
  readonly missed: Cell<Missed | undefined>
}

export const GatewayPanel = ({ status, missed }: GatewayPanelProps) => {
  const seen = useCell(status)
  const gap = useCell(missed)
  if (seen === undefined) return null
  const { report } = seen
  return (
    <section aria-labelledby="gateway-title">
      <h2 id="gateway-title">
        Gateway <span class="note">tidegate {report.version}</span>
      </h2>
      {!report.clock.synced && (
        <p class="notice warn">The gateway’s clock has never been set; its times count from an arbitrary start.</p>
      )}
      {gap !== undefined && (
        <p class="notice warn">
          Up to {countOf(gap.messages, 'message')} passed while this page was away and cannot be shown ({gap.reason}).
        </p>
      )}
      <div class="panels">
        <Panel id="sources" title="Sources">
          {report.sources.map((source) => (
            <SourceState key={source.name} source={source} />
          ))}
          {report.sources.length === 0 && <p class="note">None is configured.</p>}
        </Panel>
        <Panel id="log" title="Log">
          <LogState report={report} />
        </Panel>
        <Panel id="sinks" title="Upstream">
          {report.sinks.map((sink) => (
            <SinkState key={sink.name} sink={sink} />
          ))}
          {report.sinks.length === 0 && <p class="note">No sink is configured: messages stay in the log.</p>}
        </Panel>
      </div>
      <p class="note">
        Running since <Moment timeMs={report.startedAt} />, using {sizeText(report.memory.rssBytes)} of memory; last
        asked <Age timeMs={report.clock.time} /> ago.
      </p>
    </section>
  )
}

interface PanelProps {
  readonly id: string
  readonly title: string
  readonly children?: ComponentChildren
}

const Panel = ({ id, title, children }: PanelProps) => (
  <section id={id} class="panel" aria-labelledby={`${id}-title`} tabIndex={-1}>
    <h3 id={`${id}-title`}>{title}</h3>
    {children}
  </section>
)

const SourceState = ({ source }: { readonly source: SourceStatus }) => (
  <div class="part">
    <PartTitle name={source.name} type={source.type} health={source} />
    <Figures
      figures={[
        ['since', <Moment timeMs={source.since} />],
        ...Object.entries(source.detail ?? {}).map(([key, value]): Figure => [labelText(key), detailText(value)]),
      ]}
    />
  </div>
)

const SinkState = ({ sink }: { readonly sink: SinkStatus }) => (
  <div class="part">
    <PartTitle name={sink.name} type={sink.type} health={sink} />
    <Figures
      figures={[
        ['since', <Moment timeMs={sink.since} />],
        ['waiting', countOf(sink.backlogMessages, 'message')],
        ['confirmed', countOf(sink.confirmedMessages, 'message')],
        ['rejected', sink.rejectedMessages > 0 && countOf(sink.rejectedMessages, 'message')],
        ['retries', sink.retries > 0 && countText(sink.retries)],
        ['last progress', sink.lastProgressAt !== undefined && <Age timeMs={sink.lastProgressAt} />],
      ]}
    />
  </div>
)

const LogState = ({ report: { log } }: { readonly report: StatusReport }) => {
  const lost = Object.entries(log.lost).filter(([, count]) => count > 0)
  return (
    <div class="part">
      <p class="part-title">
        {sizeText(log.bytes)} <span class="note">of {sizeText(log.maxBytes)}</span>{' '}
        <State tone={log.state === 'ok' ? 'ok' : 'bad'}>{log.state}</State>
      </p>
      {log.reason !== undefined && <p class="reason">{log.reason}</p>}
      <meter aria-label="Space used" min={0} max={log.maxBytes} value={log.bytes} />
      <Figures
        figures={[
          ['messages', log.last === 0 ? 'none yet' : `seq ${countText(log.first)} to ${countText(log.last)}`],
          ['lost', lost.length === 0 ? 'none' : lost.map(([why, count]) => `${countText(count)} ${why}`).join(', ')],
          ['waiting', log.pendingMessages > 0 && countOf(log.pendingMessages, 'message')],
          ['flash wear', log.wear.payloadBytes > 0 && wearText(log.wear)],
        ]}
      />
      <Losses marks={log.losses} />
    </div>
  )
}

/** What a start costs says little about a day: without an hour behind it, no figure by the day. */
const wearText = ({ hours, payloadBytes, physicalBytes }: Wear): string => {
  const perByte = `${(physicalBytes / payloadBytes).toFixed(1)} bytes per payload byte`
  if (hours < 1) return perByte
  return `${perByte}, ${sizeText((physicalBytes / hours) * 24)} a day${hours < 23 ? ' so far' : ''}`
}

/** The newest ones, newest first; a list of all would push everything else off the page. */
const SHOWN_LOSSES = 3

const Losses = ({ marks }: { readonly marks: readonly LossMark[] }) => {
  const newest = marks.filter(({ count }) => count > 0).slice(-SHOWN_LOSSES)
  if (newest.length === 0) return null
  return (
    <ul class="losses" aria-label="Newest losses">
      {newest.reverse().map((mark) => (
        <li key={`${mark.time} ${mark.first} ${mark.reason}`} class="note" title={titleText(mark.detail ?? '')}>
          {countOf(mark.count, 'message')} lost ({mark.reason}) <Moment timeMs={mark.time} />
          {mark.timeQuality === 'unsynced' && ' by an unset clock'}
          {lossNames(mark)}
        </li>
      ))}
    </ul>
  )
}

const lossNames = ({ devices, topics }: LossMark): string => {
  const names = Object.keys(devices ?? topics ?? {})
  const [most] = names
  if (most === undefined) return ''
  return names.length === 1 ? `, of ${shortText(most)}` : `, most of ${shortText(most)}`
}

/** `retainedMessages` → `retained messages`. */
const labelText = (key: string): string => key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

const detailText = (value: string | number | boolean): string => {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return typeof value === 'number' ? countText(value) : shortText(value)
}

const TONES: Readonly<Record<Health['state'], 'ok' | 'warn' | 'bad'>> = {
  ok: 'ok',
  starting: 'warn',
  degraded: 'warn',
  failed: 'bad',
  closed: 'bad',
}

const PartTitle = (props: { readonly name: string; readonly type: string; readonly health: Health }) => (
  <>
    <p class="part-title">
      <bdi>{props.name}</bdi> <span class="note">{props.type}</span>{' '}
      <State tone={TONES[props.health.state]}>{props.health.state}</State>
    </p>
    {props.health.reason !== undefined && (
      <p class="reason" title={titleText(props.health.reason)}>
        {shortText(props.health.reason)}
      </p>
    )}
  </>
)

const State = ({ tone, children }: { readonly tone: 'ok' | 'warn' | 'bad'; readonly children?: ComponentChildren }) => (
  <span class={`badge ${tone}`}>{children}</span>
)

const Moment = ({ timeMs }: { readonly timeMs: number }) => (
  <time dateTime={isoText(timeMs)} title={isoText(timeMs)}>
    {clockText(timeMs, Date.now())}
  </time>
)

/** False leaves the line out. */
type Figure = readonly [label: string, value: ComponentChildren]

const Figures = ({ figures }: { readonly figures: readonly Figure[] }) => (
  <dl class="figures">
    {figures
      .filter(([, value]) => value !== false)
      .map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
  </dl>
)
