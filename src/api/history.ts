// GET /api/v1/history: readings from the log, oldest first, page by page; with `every`, minimum, mean and maximum per step.
// The reader passes over what other devices sent and what arrived at other times, so a page costs what it holds. Each request
// ends in bounded time, with what it has by then, and at once when the client has gone.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Entry, Gap, Seq, UnixMs } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import type { ReadLimit } from '../core/log-contract.ts'
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
/** A page is handed out after so long, however short it is; it still has a `next`. */
const MAX_PAGE_MS = 2_000
/** One look at the log: decoded without a pause that anybody feels. */
const SLICE: ReadLimit = { entries: 512, bytes: 256 * 1024 }
/** Entries that one aggregation looks at: a sensor that reports every second for four months; some ten seconds, in slices. */
const MAX_STEP_ENTRIES = 10_000_000
const MIN_EVERY_MS = 1_000
const MAX_EVERY_MS = 366 * 86_400_000
/** A reading whose time is before `to` is looked for among what arrived until so much later: devices report late. */
const LATE_MS = 86_400_000
/** And one whose time is after `from` among what arrived so much earlier: clocks of devices are fast. */
const EARLY_MS = 3_600_000

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
      const after = given ?? 0
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
  const startedMs = performance.now()
  let next: Seq | undefined = after
  for await (const part of scanSpan(live, span, after, signal)) {
    found.push(...part.readings)
    gaps.push(...part.gaps)
    next = part.next
    if (found.length > limit || next === undefined || performance.now() - startedMs > MAX_PAGE_MS) break
    await nextTurn()
  }
  const length = pageLength(found, { entries: limit, bytes: MAX_PAGE_BYTES })
  const page = found.slice(0, length)
  if (length < found.length) next = page.at(-1)?.seq
  const met = gaps.filter((gap) => next === undefined || gap.first <= next)
  const holes = await gapsWithin(live, met, span, signal)
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
  const filter = live.scan.filter(
    selection,
    fromMs === Number.NEGATIVE_INFINITY ? undefined : fromMs - EARLY_MS,
    toMs === Number.POSITIVE_INFINITY ? undefined : toMs + LATE_MS,
  )
  let position = after
  while (position < end) {
    const page = await live.scan.read(position, signal, SLICE, filter)
    const readings = live.scan
      .readings(page.entries, selection)
      .filter(({ timeMs }) => timeMs >= fromMs && timeMs < toMs)
    const over = page.next <= position || page.next >= end
    position = page.next
    const kept = readings.slice(0, firstNewer(readings, end))
    yield { readings: kept, gaps: page.gaps, looked: page.entries.length, next: over ? undefined : position }
    if (over) return
  }
}

/** The gaps that the range may have had readings in: the log tells of all that it passes. */
const gapsWithin = async (
  live: Live,
  gaps: readonly Gap[],
  { fromMs, toMs }: Span,
  signal: AbortSignal,
): Promise<readonly Gap[]> => {
  const neighbour = async (after: Seq): Promise<Entry | undefined> =>
    (await live.scan.read(after, signal, { entries: 1, bytes: 1 })).entries[0]
  const start = await firstIndex(
    fromMs === Number.NEGATIVE_INFINITY ? [] : gaps,
    async ({ last }) => ((await neighbour(last))?.receivedAt ?? Number.POSITIVE_INFINITY) >= fromMs,
  )
  const end = await firstIndex(toMs === Number.POSITIVE_INFINITY ? [] : gaps, async ({ first }) => {
    const before = first > 1 ? await neighbour(first - 2) : undefined
    return before?.seq === first - 1 && before.receivedAt >= toMs
  })
  return gaps.slice(
    fromMs === Number.NEGATIVE_INFINITY ? 0 : start,
    toMs === Number.POSITIVE_INFINITY ? gaps.length : end,
  )
}

/** Index of the first gap for which it is true; it stays so for those behind it, as far as clocks go forward. */
const firstIndex = async (gaps: readonly Gap[], isTrue: (gap: Gap) => Promise<boolean>): Promise<number> => {
  let low = 0
  let high = gaps.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const gap = gaps[middle]
    if (gap === undefined || (await isTrue(gap))) high = middle
    else low = middle + 1
  }
  return low
}
