// The completeness report as people read it: the verdict first, then one paragraph for each gateway.

import type { CompletenessReport, GatewayReport } from './completeness.ts'

/** More gaps than these are a picture, not a list. */
const SHOWN_GAPS = 10
const SHOWN_DEVICES = 5

export const reportText = (report: CompletenessReport): string => {
  const { gateways, complete, foreign } = report
  const verdict =
    gateways.length === 0 ? 'nothing was received' : complete ? 'complete: every seq is accounted for' : 'NOT complete'
  const lines = [verdict, ...gateways.flatMap(gatewayLines)]
  if (foreign > 0) lines.push(`${foreign} messages of somebody else were ignored`)
  return `${lines.join('\n')}\n`
}

/** What others wrote must not drive a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const shown = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')

const counts = (of: Readonly<Record<string, number>>, shownAtMost = 100): string => {
  const texts = Object.entries(of).map(([name, count]) => `${shown(name)} ${count}`)
  return texts.slice(0, shownAtMost).join(', ') + (texts.length > shownAtMost ? ', …' : '')
}

const gatewayLines = (report: GatewayReport): string[] => {
  const { gateway, first, last, messages, readings, arrived, missing, gaps, explained, duplicates, reordered } = report
  const { lost, lostDevices } = report
  const lines = [
    `${shown(gateway)}: seq ${first} to ${last}, ${arrived} arrived (${readings} readings in ${messages} messages)`,
    `  duplicates ${duplicates}, out of order ${reordered}, missing without explanation ${missing}`,
  ]
  if (Object.keys(explained).length > 0) lines.push(`  explained by loss marks: ${counts(explained)}`)
  if (Object.keys(lost).length > 0) lines.push(`  messages lost, as the gateway's log says: ${counts(lost)}`)
  if (Object.keys(lostDevices).length > 0) lines.push(`  of these devices: ${counts(lostDevices, SHOWN_DEVICES)}`)
  for (const gap of gaps.slice(0, SHOWN_GAPS)) lines.push(`  gap: seq ${gap.first} to ${gap.last}`)
  if (gaps.length > SHOWN_GAPS) lines.push('  … and more')
  return lines
}
