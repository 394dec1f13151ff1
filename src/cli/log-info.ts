// tidegate log info: what the log holds, for people or as JSON. Reads footers and marks, so it is quick on a long log too.

import type { ClockMark, Entry, LossMark, Seq, TimeQuality } from '../core/contract.ts'
import type { LogReader } from '../core/log-contract.ts'
import { MAX_SHOWN_LOSSES } from '../core/loss.ts'
import { parseClockMark } from '../log/clock-mark.ts'
import { nodeFileSystem } from '../log/file-system.ts'
import { inspectLog, type LogReport, type SegmentReport } from '../log/inspect.ts'
import { lossOf } from '../log/loss-mark.ts'
import { countTopics } from '../log/topic-counts.ts'
import { parseArguments, parseWholeNumber } from './arguments.ts'
import { countText, durationText, printable, sizeText, table } from './format.ts'
import type { Io } from './io.ts'
import { dataDirectory, dataOptions, dataUsage, readerOf } from './log-data.ts'

/** Topics and segments in the text, unless more are asked for. */
const DEFAULT_ROWS = '10'

export const infoUsage = `Usage: tidegate log info [options]

Shows what the log in the data directory holds: segments, seqs, times, sizes, the topics with
the most messages, what was lost and why, clock marks, and where the sinks are.
Reads only, and works while the gateway runs.

      --rows N        so many topics and segments (default: ${DEFAULT_ROWS}); JSON has all
      --json          JSON
${dataUsage}`

const options = {
  ...dataOptions,
  json: { type: 'boolean', default: false },
  rows: { type: 'string', default: DEFAULT_ROWS },
} as const

export const logInfo = async (args: readonly string[], io: Io): Promise<number> => {
  const { values } = parseArguments(args, options)
  const rows = parseWholeNumber('--rows', values.rows, 0, 1e9)
  const directory = await dataDirectory(values, io)
  const info = await gather(directory, io.signal)
  io.stdout.write(`${values.json ? JSON.stringify(asJson(info), undefined, 2) : asText(info, rows)}\n`)
  return 0
}

interface Info extends Marks {
  readonly report: LogReport
  /** The most frequent first. */
  readonly topics: readonly (readonly [topic: string, messages: number])[]
  readonly oldest: Entry | undefined
  readonly newest: Entry | undefined
}

interface Marks {
  /** Messages, by reason. */
  readonly lost: Readonly<Record<string, number>>
  /** The newest ones, newest last. */
  readonly losses: readonly LossMark[]
  readonly clocks: readonly ClockMark[]
}

const gather = async (directory: string, signal: AbortSignal): Promise<Info> => {
  const report = await inspectLog(directory)
  const topics = await countTopics(nodeFileSystem(), directory)
  signal.throwIfAborted()
  const reader = readerOf(directory)
  try {
    const marks = await readMarks(reader, report.last, signal)
    const oldest = (await reader.read(report.first - 1, ONE)).entries[0]
    const newest = (await reader.read(report.last - 1, ONE)).entries[0]
    return { report, topics: [...topics].sort((one, other) => other[1] - one[1]), oldest, newest, ...marks }
  } finally {
    await reader.close()
  }
}

const ONE = { entries: 1, bytes: 1 }

const readMarks = async (reader: LogReader, last: Seq, signal: AbortSignal): Promise<Marks> => {
  const lost: Record<string, number> = {}
  const losses: LossMark[] = []
  const clocks: ClockMark[] = []
  const filter = { channel: (topic: string) => topic === '' }
  for (let position = 0; position < last; ) {
    const { entries, next } = await reader.read(position, { entries: 1_000, bytes: 1024 * 1024 }, filter)
    signal.throwIfAborted()
    for (const entry of entries) {
      const { kind, payload } = entry
      const loss = kind === 'loss' ? lossOf(entry) : undefined
      if (loss !== undefined) {
        if (loss.count > 0) lost[loss.reason] = (lost[loss.reason] ?? 0) + loss.count
        losses.push(loss)
      }
      const clock = kind === 'clock' ? parseClockMark(payload) : undefined
      if (clock !== undefined) clocks.push(clock)
    }
    // The newest ones are shown.
    losses.splice(0, losses.length - MAX_SHOWN_LOSSES)
    clocks.splice(0, clocks.length - MAX_SHOWN_LOSSES)
    if (next === position) break
    position = next
  }
  return { lost, losses, clocks }
}

const asJson = ({ report, topics, oldest, newest, lost, losses, clocks }: Info) => ({
  ...report,
  oldest: momentOf(oldest),
  newest: momentOf(newest),
  topics: Object.fromEntries(topics),
  lost,
  losses,
  clocks,
  cursors: report.cursors.map((cursor) => ({ ...cursor, lag: lagOf(cursor.position, report) })),
})

const lagOf = (position: Seq | undefined, { last }: LogReport) =>
  position === undefined ? undefined : Math.max(0, last - position)

const momentOf = (entry: Entry | undefined) =>
  entry === undefined
    ? undefined
    : { seq: entry.seq, time: timeText(entry.receivedAt), ...(entry.timeQuality && { timeQuality: entry.timeQuality }) }

const asText = (info: Info, rows: number): string => {
  const { report, topics, losses, clocks } = info
  const { segments, damages, last } = report
  return [
    overview(info),
    ...section(['topic', 'messages'], topics.slice(0, rows).map(topicRow), topics.length),
    ...section(
      ['sink', 'settled up to', 'behind'],
      report.cursors.map((cursor) => cursorRow(cursor, last)),
    ),
    ...section(['lost', 'count', 'reason', 'told'], losses.map(lossRow)),
    ...section(['clock', 'by', 'at'], clocks.map(clockRow)),
    ...section(
      ['segment', 'seq', 'entries', 'size', 'state', 'from', 'to'],
      segments.slice(segments.length - Math.min(rows, segments.length)).map(segmentRow),
      segments.length,
    ),
    ...(damages.length === 0 ? [] : ['', 'damaged: see tidegate log verify']),
  ].join('\n')
}

const overview = (info: Info): string => {
  const { report, oldest, newest, lost } = info
  const { directory, gateway, logId, formatVersion, first, last, bytes, spareBytes, segments, quarantined } = report
  const messages = info.topics.reduce((sum, [, count]) => sum + count, 0)
  const losses = Object.entries(lost).map(([reason, count]) => `${countText(count)} ${reason}`)
  return table([
    ['directory', printable(directory)],
    ['gateway', gateway === undefined ? 'unknown: the log is empty' : printable(gateway)],
    ...(logId === undefined ? [] : [['log', `${logId}, format ${String(formatVersion)}`]]),
    ['seq', last === 0 ? 'none' : `${first} to ${last}`],
    ['messages', `${countText(messages)} of ${countText(info.topics.length)} topics`],
    ...spanRows(oldest, newest),
    ['size', `${sizeText(bytes)} in ${countText(segments.length)} segments, ${sizeText(spareBytes)} of it spare`],
    ['lost', losses.length === 0 ? 'nothing' : losses.join(', ')],
    ...quarantined.slice(0, MAX_SHOWN_LOSSES).map((file) => ['quarantined', printable(file)]),
  ])
}

const spanRows = (oldest: Entry | undefined, newest: Entry | undefined): string[][] => {
  if (oldest === undefined || newest === undefined) return []
  const span = durationText(newest.receivedAt - oldest.receivedAt)
  const text = (entry: Entry) => `${timeText(entry.receivedAt)}${qualityText(entry.timeQuality)}`
  return [['time', `${text(oldest)} to ${text(newest)}: ${span}`]]
}

const section = (heading: readonly string[], rows: readonly (readonly string[])[], of = rows.length): string[] => {
  if (rows.length === 0) return []
  const more = of > rows.length ? [`(${countText(of - rows.length)} more)`] : []
  return ['', table([heading, ...rows]), ...more]
}

const topicRow = ([topic, messages]: readonly [string, number]) => [printable(topic), countText(messages)]

const cursorRow = ({ name, position, fault }: LogReport['cursors'][number], last: Seq): string[] =>
  position === undefined
    ? [printable(name), 'unknown', printable(fault ?? '')]
    : [printable(name), String(position), `${countText(Math.max(0, last - position))} seqs`]

const lossRow = ({ first, last, count, reason, time, timeQuality }: LossMark) => [
  first === last ? String(first) : `${first} to ${last}`,
  countText(count),
  printable(reason),
  `${timeText(time)}${qualityText(timeQuality)}`,
]

const clockRow = ({ reason, offsetMs, time }: ClockMark) => [
  reason,
  `${offsetMs < 0 ? '-' : '+'}${durationText(Math.abs(offsetMs))}`,
  timeText(time),
]

const segmentRow = ({ file, first, last, entries, bytes, state, ...report }: SegmentReport): readonly string[] => [
  file,
  entries === 0 ? `${first} to come` : `${first} to ${last}`,
  countText(entries),
  sizeText(bytes),
  state,
  timeText(report.fromMs),
  `${timeText(report.toMs)}${qualityText(report.timeQuality)}`,
]

const qualityText = (quality: TimeQuality | undefined): string => (quality === undefined ? '' : ` (${quality})`)

/** Marks come from a file: their times may be anything. */
const timeText = (ms: number | undefined): string =>
  ms === undefined || !(Math.abs(ms) <= 8.64e15) ? '-' : new Date(ms).toISOString()
