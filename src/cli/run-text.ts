// What `tidegate run` prints about a gateway that runs.

import type { Config } from '../config/config.ts'
import type { StatusReport } from '../core/status.ts'
import { countText, durationText, printable, sizeText } from './format.ts'

const BROKER = 'mqtt-broker'

export interface Addresses {
  /** As the server gives it: with or without a scheme. */
  readonly api: string
  /** `host:port` of each MQTT broker. */
  readonly brokers: readonly string[]
}

export const addressesOf = (api: string | undefined, report: StatusReport, config: Config): Addresses => ({
  api: withScheme(api ?? '', config.api.tls === undefined ? 'http' : 'https'),
  brokers: report.sources
    .filter(({ type }) => type === BROKER)
    .map(({ detail }) => detail?.['address'])
    .filter((address) => typeof address === 'string'),
})

/** One line each, the name of the thing first: people read them, and programs look for them. */
export const addressText = (addresses: Addresses, config: Config, upstreamUrl: string | undefined): string => {
  const rows = [
    ['dashboard', `${addresses.api}/`],
    ...addresses.brokers.map((address) => ['mqtt', address]),
    ['data', config.gateway.data],
    ...(upstreamUrl === undefined
      ? config.sinks.map(({ name, type }) => ['upstream', `${name} (${type})`])
      : [['upstream', `${upstreamUrl} (embedded receiver; 'tidegate init' writes a configuration to name your own)`]]),
  ]
  return rows.map(([name = '', text = '']) => `${name.padEnd(10)}  ${printable(text)}\n`).join('')
}

export interface Pace {
  readonly messages: number
  readonly atMs: number
}

/** The state of things in one line. */
export const statusLine = (report: StatusReport, before: Pace, nowMs: number): string => {
  const { log, live, sinks, memory, reasons } = report
  const perSecond = ((log.messagesAppended - before.messages) * 1_000) / Math.max(1, nowMs - before.atMs)
  return [
    `up ${durationText(report.uptimeSeconds * 1_000)}`,
    `${countText(log.messagesAppended)} messages (${perSecond < 10 ? perSecond.toFixed(1) : countText(Math.round(perSecond))}/s)`,
    `${countText(live.devices)} devices`,
    ...sinks.map(({ name, state, backlogMessages }) => `${name} ${state}, backlog ${countText(backlogMessages)}`),
    sizeText(memory.rssBytes),
    ...(report.healthy ? [] : [`NOT healthy: ${reasons[0] ?? ''}`]),
  ].join(' · ')
}

/** What the service manager shows. */
export const serviceStatus = ({ healthy, reasons, seq, sinks }: StatusReport): string => {
  const backlog = sinks.reduce((sum, sink) => sum + sink.backlogMessages, 0)
  return healthy ? `healthy, seq ${seq}, backlog ${backlog}` : `not healthy: ${reasons.join('; ')}`
}

// A server that was given its own listener calls itself http even where it speaks TLS.
const withScheme = (address: string, scheme: string): string =>
  `${scheme}://${address.replace(/^[a-z]+:\/\//, '').replace(/\/$/, '')}`
