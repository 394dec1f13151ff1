// tidegate status: how the running gateway is doing, for people or as JSON; exit 1 when it is not well or not there.

import type { Health, LossMark } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import type { Wear } from '../core/log-contract.ts'
import type { SinkStatus, StatusReport } from '../core/status.ts'
import { parseArguments } from './arguments.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import { countText, durationText, printable, sizeText, table } from './format.ts'
import { gatewayClient, isRecord } from './gateway-client.ts'
import type { Verb } from './verb.ts'

const TIMEOUT_MS = 10_000
/** The status is read at a glance; `--json` has all that the gateway remembers. */
const SHOWN_LOSSES = 5
const SHOWN_NAMES = 3
/** Beyond it a Date is invalid. */
const MAX_DATE_MS = 8.64e15

const usage = `Usage: tidegate status [options]

Shows sources, log, sinks, clock and memory of the running gateway. Exit code 1 when it
is not healthy or does not answer. A gateway that wants a token gets it from TIDEGATE_TOKEN.

${configUsage}
      --url URL       ask here instead of at the configured api.listen
      --json          the report as JSON, as GET /api/v1/status answers it
  -h, --help          this text`

export const verb: Verb = {
  name: 'status',
  summary: 'show how the running gateway is doing',
  usage,
  async run(args, io) {
    const options = { ...configOption, url: { type: 'string' }, json: { type: 'boolean' } } as const
    const { values } = parseArguments(args, options)
    const config = () => configuration(values.config, io)
    const client = await gatewayClient({ url: values.url, config, env: io.env })
    const { body } = await client.get('/api/v1/status', { signal: io.signal, timeoutMs: TIMEOUT_MS })
    if (!isReport(body))
      throw new TidegateError('TG_GATEWAY_UNREACHABLE', `what answers at ${client.url} is not tidegate`)
    io.stdout.write(values.json === true ? `${JSON.stringify(body, undefined, 2)}\n` : `${statusText(body)}\n`)
    return body.healthy ? 0 : 1
  },
}

/** From here on whoever waits for acknowledgements notices the disk; a worn card is known by it. */
const SLOW_COMMIT_MS = 100

/** The report for people. */
export const statusText = (report: StatusReport): string => {
  const { gateway, version, log, live, clock, memory } = report
  const overview = [
    ['gateway', `${printable(gateway)} (tidegate ${version}), up ${durationText(report.uptimeSeconds * 1_000)}`],
    ['health', report.healthy ? 'healthy' : `NOT healthy: ${report.reasons.map(printable).join('; ')}`],
    ['log', logText(log)],
    ...(log.wear === undefined || log.wear.payloadBytes === 0 ? [] : [['wear', wearText(log.wear)]]),
    [
      'live',
      `${countText(live.devices)} devices${live.stale > 0 ? ` (${countText(live.stale)} stale)` : ''}, ${countText(live.values)} values, ${countText(live.faults)} faults, ${countText(live.subscribers)} subscribers`,
    ],
    ['clock', `${new Date(clock.time).toISOString()}${clock.synced ? '' : ', never set: times are not to be trusted'}`],
    ['memory', `${sizeText(memory.rssBytes)} resident, ${sizeText(memory.heapUsedBytes)} heap`],
  ]
  const sources = report.sources.map((source) => [source.name, source.type, ...healthText(source)])
  const sinks = report.sinks.map((sink) => [sink.name, sink.type, ...healthText(sink), sinkText(sink)])
  const section = (title: string, rows: readonly (readonly string[])[]) =>
    `\n\n${title}\n${rows.length === 0 ? '  none' : table(rows.map((row) => ['', ...row]))}`
  const losses = (log.losses ?? []).slice(-SHOWN_LOSSES).reverse().map(lossRow)
  return (
    table(overview) +
    section('sources', sources) +
    section('sinks', sinks) +
    (losses.length === 0 ? '' : section('newest losses', losses))
  )
}

const logText = (log: StatusReport['log']): string => {
  const lost = Object.entries(log.lost).filter(([, count]) => count > 0)
  const parts = [
    log.last === 0 ? 'empty' : `seq ${log.first} to ${log.last}`,
    `${sizeText(log.bytes)} of ${sizeText(log.maxBytes)} in ${countText(log.segments)} segments`,
    ...lost.map(([reason, count]) => `${countText(count)} lost (${printable(reason)})`),
    ...(log.state === 'ok' ? [] : [`REFUSING messages: ${printable(log.reason ?? 'no reason given')}`]),
    ...(log.commitMs >= SLOW_COMMIT_MS ? [`a SLOW disk: ${Math.round(log.commitMs)} ms a commit`] : []),
  ]
  return parts.join(', ')
}

/** What the log costs the card. */
const wearText = ({ hours, payloadBytes, physicalBytes }: Wear): string => {
  const perByte = `${(physicalBytes / payloadBytes).toFixed(1)} bytes written per payload byte`
  // What a start costs says little about a day.
  if (hours < 1) return `${perByte}, ${sizeText(physicalBytes)} so far`
  const perDay = `${sizeText((physicalBytes / hours) * 24)} a day`
  return hours < 23 ? `${perByte}, ${perDay} so far (${hours.toFixed(1)} h)` : `${perByte}, ${perDay}`
}

/** When, what for, how many of whom, which seqs. */
const lossRow = (mark: LossMark): readonly string[] => {
  const { time, timeQuality, reason, count, first, last, detail, devices, topics } = mark
  const moment = Math.abs(time) <= MAX_DATE_MS ? new Date(time).toISOString() : 'at an unknown time'
  const names = Object.entries(devices ?? topics ?? {})
  const most = names.slice(0, SHOWN_NAMES).map(([name, messages]) => `${printable(name)} ${countText(messages)}`)
  const of = names.length === 0 ? [] : [`of ${most.join(', ')}${names.length > SHOWN_NAMES ? ', …' : ''}`]
  const seqs = last < first ? 'never had a seq' : first === last ? `seq ${first}` : `seq ${first} to ${last}`
  return [
    timeQuality === undefined ? moment : `${moment} (${timeQuality})`,
    printable(reason),
    count === 0 ? 'no message, only seqs' : count === 1 ? '1 message' : `${countText(count)} messages`,
    [seqs, ...of, ...(detail === undefined ? [] : [printable(detail)])].join('; '),
  ]
}

const sinkText = (sink: SinkStatus): string => {
  const parts = [
    `backlog ${countText(sink.backlogMessages)}`,
    `confirmed ${countText(sink.confirmedMessages)}`,
    ...(sink.rejectedMessages > 0 ? [`rejected ${countText(sink.rejectedMessages)}`] : []),
    ...(sink.retries > 0 ? [`retries ${countText(sink.retries)}`] : []),
  ]
  return parts.join(', ')
}

const healthText = ({ state, since, reason }: Health): readonly [string] => [
  reason === undefined ? state : `${state} since ${new Date(since).toISOString()}: ${printable(reason)}`,
]

const isReport = (body: unknown): body is StatusReport =>
  isRecord(body) && typeof body['healthy'] === 'boolean' && isRecord(body['log']) && Array.isArray(body['sinks'])
