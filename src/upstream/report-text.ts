// The completeness report as people read it: the verdict first, then one paragraph for each gateway.

import type { CompletenessReport, GatewayReport } from './completeness.ts'

/** More gaps than these are a picture, not a list. */
const SHOWN_GAPS = 10

export const reportText = (report: CompletenessReport): string => {
  const { gateways, complete, foreign } = report
  const verdict =
    gateways.length === 0 ? 'nothing was received' : complete ? 'complete: every seq is accounted for' : 'NOT complete'
  const lines = [verdict, ...gateways.flatMap(gatewayLines)]
  if (foreign > 0) lines.push(`${foreign} messages of somebody else were ignored`)
  return `${lines.join('\n')}\n`
}

const gatewayLines = (report: GatewayReport): string[] => {
  const { gateway, first, last, messages, readings, arrived, missing, gaps, explained, duplicates, reordered } = report
  const lines = [
    `${gateway}: seq ${first} to ${last}, ${arrived} arrived (${readings} readings in ${messages} messages)`,
    `  duplicates ${duplicates}, out of order ${reordered}, missing without explanation ${missing}`,
  ]
  const reasons = Object.entries(explained).map(([reason, count]) => `${reason} ${count}`)
  if (reasons.length > 0) lines.push(`  explained by loss marks: ${reasons.join(', ')}`)
  for (const gap of gaps.slice(0, SHOWN_GAPS)) lines.push(`  gap: seq ${gap.first} to ${gap.last}`)
  if (gaps.length > SHOWN_GAPS) lines.push('  … and more')
  return lines
}
