// tidegate log verify: reads everything, names what is damaged, one line each, and fails when anything is.

import { damageText, inspectLog, type LogReport } from '../log/inspect.ts'
import { parseArguments } from './arguments.ts'
import { countText, printable, sizeText } from './format.ts'
import type { Io } from './io.ts'
import { dataDirectory, dataOptions, dataUsage } from './log-data.ts'

export const verifyUsage = `Usage: tidegate log verify [options]

Reads the whole log, checks every byte that counts, and names what is damaged. The exit code is
1 if anything is. Reads only, and works while the gateway runs.

      --json          JSON
${dataUsage}`

/** Erases the line. */
const CLEAR = '\r\u001b[K'

export const verifyLog = async (args: readonly string[], io: Io): Promise<number> => {
  const { values } = parseArguments(args, { ...dataOptions, json: { type: 'boolean', default: false } })
  const directory = await dataDirectory(values, io)
  const shown = io.stderr.isTTY === true
  const progress = (done: number, total: number) => {
    io.signal.throwIfAborted()
    if (shown) io.stderr.write(`${CLEAR}${Math.floor((100 * done) / total)} %: segment ${done} of ${total}`)
  }
  const report = await inspectLog(directory, { verify: true, progress })
  if (shown) io.stderr.write(CLEAR)
  io.stdout.write(`${values.json ? JSON.stringify(report, undefined, 2) : asText(report)}\n`)
  return report.damages.length === 0 ? 0 : 1
}

const asText = ({ damages, segments, bytes, first, last, quarantined }: LogReport): string => {
  const entries = segments.reduce((sum, segment) => sum + segment.entries, 0)
  const range = last === 0 ? 'no seq' : `seq ${first} to ${last}`
  const what = `${countText(entries)} entries, ${range}, ${sizeText(bytes)} in ${countText(segments.length)} segments`
  const aside = quarantined.length === 0 ? '' : `; ${countText(quarantined.length)} files in quarantine`
  const verdict =
    damages.length === 0 ? 'no damage' : `${countText(damages.length)} ${damages.length === 1 ? 'damage' : 'damages'}`
  return [...damages.map((damage) => printable(damageText(damage))), `${verdict}: ${what}${aside}`].join('\n')
}
