// GET /api/v1/history: readings from the log, oldest first, page by page; with `every`, minimum, mean and maximum per step.
// The log is ordered by seq, so a time is found by looking at a few entries. Each request reads a bounded part of the log.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Gap, Seq, UnixMs } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { jsonArray } from '../live/batch.ts'
import type { Live } from '../live/live.ts'
import { firstNewer, type LiveReading, pageLength } from '../live/reading.ts'
import type { Selection } from '../live/selection.ts'
import type { ApiContext } from './context.ts'
import { gapJson } from './gaps.ts'
import { Query } from './parameters.ts'
import { badRequest } from './problem.ts'
import { Steps } from './steps.ts'

const DEFAULT_LIMIT = 1_000
const MAX_LIMIT = 10_000
/** Bytes of readings in one page. */
const MAX_PAGE_BYTES = 4 * 2 ** 20
/** Entries that one page looks at; a page may therefore be short, and still has a `next`. */
const MAX_PAGE_ENTRIES = 50_000
/** Entries that one aggregation looks at: some seconds of work, in slices. */
const MAX_STEP_ENTRIES = 2_000_000
const MIN_EVERY_MS = 1_000
const MAX_EVERY_MS = 366 * 86_400_000
/** A reading whose time is before `to` is looked for among what arrived until so much later. */
const LATE_MS = 86_400_000

/** Pages and aggregations that are worked on at a time; each holds its page. */
const MAX_PENDING = 16

interface Span {
  readonly selection: Selection
  readonly fromMs: UnixMs
  readonly toMs: UnixMs
}

export const registerHistory = (app: FastifyInstance, { options }: ApiContext): void => {
  let pending = 0
  app.get('/api/v1/history', async (request, reply) => {
    const query = new Query(request.query)
    const span: Span = {
      selection: query.selection(),
      fromMs: query.time('from') ?? Number.NEGATIVE_INFINITY,
      toMs: query.time('to') ?? Number.POSITIVE_INFINITY,
    }
    const limit = query.integer('limit', 1, MAX_LIMIT, DEFAULT_LIMIT)
    const everyMs = query.durationMs('every', MIN_EVERY_MS, MAX_EVERY_MS)
    const given = query.seq('after')
    if (pending >= MAX_PENDING)
      throw new TidegateError('TG_TOO_MANY', `${MAX_PENDING} requests for history are worked on already`)
    pending++
    const gone = new AbortController()
    const onClose = () => gone.abort()
    reply.raw.once('close', onClose)
    try {
      const after = Math.max(given ?? 0, await seqBefore(options.live, span.fromMs, gone.signal))
      reply.header('cache-control', 'no-store').header('content-type', 'application/json; charset=utf-8')
      if (everyMs === undefined) return reply.send(await readPage(options.live, span, after, limit, gone.signal))
      return reply.send(await readSteps(options.live, span, after, everyMs, gone.signal))
    } catch (error) {
      if (!gone.signal.aborted) throw error
      return reply.hijack() // nobody is there to be answered
    } finally {
      pending--
      reply.raw.removeListener('close', onClose)
    }
  })
}

const readPage = async (live: Live, span: Span, after: Seq, limit: number, signal: AbortSignal): Promise<string> => {
  const found: LiveReading[] = []
  const gaps: Gap[] = []
  let looked = 0
  let next: Seq | undefined = after
  for await (const part of scanSpan(live, span, after, signal)) {
    found.push(...part.readings)
    gaps.push(...part.gaps)
    looked += part.looked
    next = part.next
    if (found.length > limit || looked >= MAX_PAGE_ENTRIES || next === undefined) break
  }
  const length = pageLength(found, { entries: limit, bytes: MAX_PAGE_BYTES })
  const page = found.slice(0, length)
  if (length < found.length) next = page.at(-1)?.seq
  const holes = gaps.filter((gap) => next === undefined || gap.first <= next)
  const gapText = holes.length === 0 ? '' : `,"gaps":[${holes.map(gapJson).join()}]`
  return `{"readings":${jsonArray(page)}${gapText}${next === undefined ? '' : `,"next":${next}`}}`
}

const readSteps = async (live: Live, span: Span, after: Seq, everyMs: number, signal: AbortSignal): Promise<string> => {
  const steps = new Steps(everyMs)
  let looked = 0
  for await (const part of scanSpan(live, span, after, signal)) {
    for (const reading of part.readings) steps.add(reading)
    looked += part.looked
    if (looked > MAX_STEP_ENTRIES || steps.overfull)
      throw badRequest(
        `the range holds too much for one answer; narrow 'from', 'to', 'device' or 'name', or widen 'every'`,
      )
    await nextTurn()
  }
  return `{"readings":${JSON.stringify(steps.report())}}`
}

interface SpanPart {
  readonly readings: readonly LiveReading[]
  readonly gaps: readonly Gap[]
  /** Entries looked at. */
  readonly looked: number
  /** Undefined when nothing can follow. */
  readonly next: Seq | undefined
}

async function* scanSpan(live: Live, span: Span, after: Seq, signal: AbortSignal): AsyncGenerator<SpanPart> {
  const { selection, fromMs, toMs } = span
  // What comes while we read is for the next page.
  const end = live.durable()
  let position = after
  while (position < end) {
    const page = await live.scan.read(position, signal)
    const readings = live.scan
      .readings(page.entries, selection)
      .filter(({ timeMs }) => timeMs >= fromMs && timeMs < toMs)
    const last = page.entries.at(-1)
    const over = page.next <= position || page.next >= end || (last !== undefined && last.receivedAt > toMs + LATE_MS)
    position = page.next
    const kept = readings.slice(0, firstNewer(readings, end))
    yield { readings: kept, gaps: page.gaps, looked: page.entries.length, next: over ? undefined : position }
    if (over) return
  }
}

/** The seq after which everything has arrived at `timeMs` or later, as far as the clock went forward. */
const seqBefore = async (live: Live, timeMs: UnixMs, signal: AbortSignal): Promise<Seq> => {
  let low = 0
  let high = live.durable()
  if (timeMs === Number.NEGATIVE_INFINITY) return 0
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const { entries } = await live.scan.read(middle, signal, { entries: 1, bytes: 1 })
    const [entry] = entries
    if (entry === undefined || entry.seq > high || entry.receivedAt >= timeMs) high = middle
    else low = entry.seq
  }
  return low
}
