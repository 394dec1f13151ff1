// tidegate log: looks into the data directory, also while the gateway runs, and changes nothing in it.

import { nearest } from '../config/nearest.ts'
import { inspectLog, type LogReport, type SegmentReport } from '../log/inspect.ts'
import { parseArguments } from './arguments.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import { countText, printable, sizeText, table } from './format.ts'
import { UsageError, type Verb } from './verb.ts'

const SUBCOMMANDS = ['info']
const LATER_SUBCOMMANDS = ['verify', 'export']

const usage = `Usage: tidegate log info [options]

Shows what the log in the data directory holds: segments, seqs, times, sizes and damage.
Reads only, and works while the gateway runs.

      --data DIR      this data directory, instead of the configured gateway.data
      --json          JSON
${configUsage}
  -h, --help          this text`

export const verb: Verb = {
  name: 'log',
  summary: 'look into the data directory',
  usage,
  async run(args, io) {
    const options = { ...configOption, data: { type: 'string' }, json: { type: 'boolean' } } as const
    const { values, positionals } = parseArguments(args, options, 1)
    checkSubcommand(positionals[0])
    const directory = values.data ?? (await configuration(values.config, io)).gateway.data
    const report = await inspectLog(directory)
    io.stdout.write(`${values.json === true ? JSON.stringify(report, undefined, 2) : reportText(report)}\n`)
    return 0
  },
}

const checkSubcommand = (name: string | undefined): void => {
  if (name === undefined) throw new UsageError(`say what to look at: ${SUBCOMMANDS.join(', ')}`)
  if (SUBCOMMANDS.includes(name)) return
  if (LATER_SUBCOMMANDS.includes(name)) throw new UsageError(`log ${name} is not available in this version yet`)
  const meant = nearest(name, SUBCOMMANDS)
  throw new UsageError(`unknown subcommand '${name}'${meant === undefined ? '' : `; did you mean '${meant}'?`}`)
}

const reportText = (report: LogReport): string => {
  const { directory, gateway, logId, formatVersion, first, last, bytes, spareBytes, segments, quarantined } = report
  const overview = table([
    ['directory', printable(directory)],
    ['gateway', gateway === undefined ? 'unknown: the log is empty' : printable(gateway)],
    ...(logId === undefined ? [] : [['log', `${logId}, format ${String(formatVersion)}`]]),
    ['seq', last === 0 ? 'none' : `${first} to ${last}`],
    ['size', `${sizeText(bytes)} in ${countText(segments.length)} segments, ${sizeText(spareBytes)} of it spare`],
    ...quarantined.map((file) => ['quarantined', printable(file)]),
  ])
  if (segments.length === 0) return overview
  const heading = ['segment', 'seq', 'entries', 'size', 'state', 'from', 'to']
  const damage = segments.flatMap((segment) => segment.damage.map((line) => `damage in ${segment.file}: ${line}`))
  return [overview, '', table([heading, ...segments.map(segmentRow)]), ...damage].join('\n')
}

const segmentRow = ({ file, first, last, entries, bytes, state, fromMs, toMs }: SegmentReport): readonly string[] => [
  file,
  entries === 0 ? `${first} to come` : `${first} to ${last}`,
  countText(entries),
  sizeText(bytes),
  state,
  timeText(fromMs),
  timeText(toMs),
]

const timeText = (ms: number | undefined): string => (ms === undefined ? '-' : new Date(ms).toISOString())
