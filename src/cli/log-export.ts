// tidegate log export: messages of the log as text, decoded as the gateway would, in one of four formats. Streams in bounded
// memory and ends with what was there when it began.

import { timeFrom } from '../api/parameters.ts'
import type { Entry, Gap, Seq } from '../core/contract.ts'
import type { LogReader, ReadFilter, ReadLimit } from '../core/log-contract.ts'
import { topicFilterFault, topicMatcher } from '../core/topic.ts'
import { createRouter, type Router } from '../decode/router.ts'
import { liveReadings } from '../live/reading.ts'
import { inspectLog } from '../log/inspect.ts'
import { parseLossMark } from '../log/loss-mark.ts'
import { parseArguments, parseWholeNumber } from './arguments.ts'
import { csv } from './export-csv.ts'
import type { ExportFormat } from './export-format.ts'
import { influx } from './export-influx.ts'
import { jsonl } from './export-jsonl.ts'
import { senml } from './export-senml.ts'
import { countText } from './format.ts'
import type { Io } from './io.ts'
import { learnFrom } from './known-descriptions.ts'
import { configuredDecoding } from './known-profiles.ts'
import { dataDirectory, dataOptions, dataUsage, readerOf } from './log-data.ts'
import { Output } from './output.ts'
import { UsageError } from './verb.ts'

const FORMATS = { jsonl, senml, influx, csv } as const
const PAGE: ReadLimit = { entries: 1_000, bytes: 1024 * 1024 }

export const exportUsage = `Usage: tidegate log export [options]

Writes the messages of the log to standard output, oldest first. Reads only, and works while
the gateway runs.

      --format FORMAT jsonl (default): each message with all that is known of it, its readings,
                      loss marks and gaps; senml: one SenML Pack; influx: line protocol; csv
      --after SEQ     only what came after this seq
      --from TIME     only what arrived from this time on (2026-11-20, 2026-11-20T10:00:00Z)
      --to TIME       only what arrived before this time
      --device FILTER only readings of these devices (MQTT filter; may be given more than once)
      --topic FILTER  only messages of these topics (the same)
      --limit N       at most so many messages
${dataUsage}

Loss marks and gaps that the format cannot hold are told on standard error.`

const options = {
  ...dataOptions,
  format: { type: 'string', default: 'jsonl' },
  after: { type: 'string', default: '0' },
  from: { type: 'string' },
  to: { type: 'string' },
  device: { type: 'string', multiple: true, default: [] as string[] },
  topic: { type: 'string', multiple: true, default: [] as string[] },
  limit: { type: 'string' },
} as const

export const exportLog = async (args: readonly string[], io: Io): Promise<number> => {
  const { values } = parseArguments(args, options)
  const { limit } = values
  const wish: Wish = {
    format: formatOf(values.format),
    after: parseWholeNumber('--after', values.after, 0, Number.MAX_SAFE_INTEGER),
    fromMs: timeOf('--from', values.from),
    toMs: timeOf('--to', values.to),
    device: matcherOf('--device', values.device),
    topic: matcherOf('--topic', values.topic),
    limit: limit === undefined ? Number.POSITIVE_INFINITY : parseWholeNumber('--limit', limit, 1, 1e15),
  }
  const { profiles, ...known } = await configuredDecoding(values.config, io)
  const router = createRouter(profiles, known)
  const directory = await dataDirectory(values, io)
  // What comes later is for the next export.
  const { last } = await inspectLog(directory)
  await learnFrom(directory, router, io.signal)
  const reader = readerOf(directory)
  try {
    await new Export(wish, router, io).run(reader, last)
  } finally {
    await reader.close()
  }
  return 0
}

interface Wish {
  readonly format: ExportFormat
  readonly after: Seq
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
  readonly device: ((device: string) => boolean) | undefined
  readonly topic: ((topic: string) => boolean) | undefined
  readonly limit: number
}

class Export {
  readonly #wish: Wish
  readonly #router: Router
  readonly #io: Io
  readonly #output: Output
  #written = 0
  #faults = 0

  constructor(wish: Wish, router: Router, io: Io) {
    this.#wish = wish
    this.#router = router
    this.#io = io
    this.#output = new Output(io)
  }

  async run(reader: LogReader, last: Seq): Promise<void> {
    const { format, after, limit } = this.#wish
    const filter = this.#filter()
    await this.#output.write(format.head)
    for (let position = after; position < last && this.#written < limit; ) {
      const page = await reader.read(position, PAGE, filter)
      this.#io.signal.throwIfAborted()
      await this.#page(page.entries, page.gaps, last)
      if (page.next === position) break
      position = page.next
    }
    await this.#output.write(format.tail)
    await this.#output.flush()
    if (this.#faults > 0) this.#warn(`${countText(this.#faults)} messages could not be decoded and are left out`)
  }

  /** Entries and gaps in the order of their seqs. */
  async #page(entries: readonly Entry[], gaps: readonly Gap[], last: Seq): Promise<void> {
    let met = 0
    const meet = async (before: Seq) => {
      for (let gap = gaps[met]; gap !== undefined && gap.first < before; gap = gaps[++met]) await this.#gap(gap)
    }
    for (const entry of entries) {
      if (entry.seq > last || this.#written >= this.#wish.limit) return
      await meet(entry.seq)
      if (entry.kind === 'message') await this.#message(entry)
      else await this.#mark(entry)
    }
    await meet(last + 1)
  }

  async #message(entry: Entry): Promise<void> {
    const { device, format } = this.#wish
    const decoding = this.#router.decode(entry)
    const all = liveReadings(entry, decoding.readings)
    const readings = device === undefined ? all : all.filter((reading) => device(reading.device))
    if (device !== undefined && readings.length === 0 && !device(decoding.device)) return
    const text = format.message({ entry, decoding, readings })
    if (text === '' && decoding.fault !== undefined) this.#faults++
    if (text === '') return
    this.#written++
    await this.#output.write(text)
  }

  async #mark(entry: Entry): Promise<void> {
    const { format } = this.#wish
    if (format.mark !== undefined) return this.#output.write(format.mark(entry))
    const mark = entry.kind === 'loss' ? parseLossMark(entry.payload) : undefined
    if (mark === undefined || mark.count === 0) return
    this.#warn(`seq ${mark.first} to ${mark.last}: ${countText(mark.count)} messages were lost (${mark.reason})`)
  }

  async #gap(gap: Gap): Promise<void> {
    const { format } = this.#wish
    if (format.gap !== undefined) return this.#output.write(format.gap(gap))
    this.#warn(`seq ${gap.first} to ${gap.last}: ${gap.partial ? 'some are' : 'not'} there (${gap.reason})`)
  }

  #warn(text: string): void {
    this.#io.stderr.write(`tidegate log export: ${text}\n`)
  }

  #filter(): ReadFilter | undefined {
    const { fromMs, toMs, device, topic } = this.#wish
    if (fromMs === undefined && toMs === undefined && device === undefined && topic === undefined) return undefined
    const channel = (name: string, source: string, lists: boolean) => {
      if (name === '') return true
      if (topic !== undefined && !topic(name)) return false
      return device === undefined || device(name) || this.#router.mayBeDevice(name, source, lists, device)
    }
    return { channel, ...(fromMs !== undefined && { fromMs }), ...(toMs !== undefined && { toMs }) }
  }
}

const formatOf = (name: string): ExportFormat => {
  const known = Object.entries(FORMATS).find(([key]) => key === name)
  if (known === undefined)
    throw new UsageError(`--format must be one of ${Object.keys(FORMATS).join(', ')}, not '${name}'`)
  return known[1]()
}

const timeOf = (option: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const ms = timeFrom(text)
  if (ms === undefined) throw new UsageError(`${option} must be a time like 2026-11-20T10:00:00Z, not '${text}'`)
  return ms
}

const matcherOf = (option: string, filters: readonly string[]): ((text: string) => boolean) | undefined => {
  for (const filter of filters) {
    const fault = topicFilterFault(filter)
    if (fault !== undefined) throw new UsageError(`${option} '${filter.slice(0, 100)}' ${fault}`)
  }
  if (filters.length === 0) return undefined
  const matchers = filters.map(topicMatcher)
  return (text) => matchers.some((matches) => matches(text))
}
