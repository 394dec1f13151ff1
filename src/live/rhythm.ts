// How often a device reports, learnt from the intervals between its reports. Only a rhythm is an expectation: a door contact
// reports when the door moves, and however long it is silent it is not overdue. Machines keep time within some percent,
// people and weather do not, so an expectation needs intervals that agree, with few longer ones beside them.

/** What arrives this soon belongs to the same report: ESPHome sends all its topics within microseconds. */
const BURST_MS = 1_000
/** Intervals that are remembered. A slower rhythm is learnt after a quarter of them, a faster one when most are such. */
const REMEMBERED = 32
/** Intervals to see before an expectation is stated; so few have to agree closely. */
const LEARN_INTERVALS = 3
const MANY_INTERVALS = 6
/** How far intervals of one rhythm differ, at most: closely, and with the jitter of radio and retries. */
const CLOSE = 1.05
const NEAR = 1.25
/** A report may be spread over moments of this part of the interval. */
const SPREAD_PART = 0.2
/** Overdue by this many expected intervals is stale. */
const STALE_FACTOR = 3
/** Fast devices are not called stale for a hiccup. */
const STALE_FLOOR_MS = 5_000
/** Where reports get lost as a rule (radio, QoS 0), silence counts from the second longest that was seen, up to a bound. */
const USUAL_FACTOR = 1.5
const USUAL_MAX_FACTOR = 10

export interface Expectation {
  readonly intervalMs: number
  /** Silence beyond it is stale. */
  readonly limitMs: number
}

export class Rhythm {
  /** The newest last. */
  #intervals: number[] = []
  /** Start of the present report, in the present boot. */
  #anchorMs: number | undefined
  #bootId = ''
  #expectation: Expectation | undefined
  #known = true

  /** Notes an arrival; calls come in order. Time across boots is nobody's interval. */
  note(monotonicMs: number, bootId: string): void {
    if (bootId !== this.#bootId || this.#anchorMs === undefined) {
      this.#bootId = bootId
      this.#anchorMs = monotonicMs
      return
    }
    const intervalMs = monotonicMs - this.#anchorMs
    if (intervalMs < BURST_MS) return
    this.#anchorMs = monotonicMs
    this.#intervals.push(intervalMs)
    if (this.#intervals.length > REMEMBERED) this.#intervals.shift()
    this.#known = false
  }

  /** Takes over what came before. */
  adopt(older: Rhythm): void {
    this.#intervals = [...older.#intervals, ...this.#intervals].slice(-REMEMBERED)
    if (this.#anchorMs === undefined) {
      this.#anchorMs = older.#anchorMs
      this.#bootId = older.#bootId
    }
    this.#known = false
  }

  /** Undefined where none can be stated: too little was seen, or there is no rhythm. */
  get expectation(): Expectation | undefined {
    if (!this.#known) {
      this.#expectation = expectationFrom(this.#intervals)
      this.#known = true
    }
    return this.#expectation
  }
}

/** What is stated instead of learnt. */
export const statedExpectation = (intervalMs: number): Expectation => ({
  intervalMs,
  limitMs: Math.max(STALE_FLOOR_MS, STALE_FACTOR * intervalMs),
})

const expectationFrom = (intervals: readonly number[]): Expectation | undefined => {
  const count = intervals.length
  if (count < LEARN_INTERVALS) return undefined
  const sorted = intervals.toSorted((a, b) => a - b)
  const intervalMs = count < MANY_INTERVALS ? unanimous(sorted) : rhythm(sorted)
  if (intervalMs === undefined) return undefined
  const stated = statedExpectation(intervalMs)
  const usualMs = Math.min(USUAL_FACTOR * (sorted.at(-2) ?? 0), USUAL_MAX_FACTOR * intervalMs)
  return { intervalMs, limitMs: Math.max(stated.limitMs, usualMs) }
}

const unanimous = (sorted: readonly number[]): number | undefined => {
  const longest = sorted.at(-1) ?? 0
  return longest <= NEAR * (sorted[0] ?? 0) ? middle(sorted) : undefined
}

// The longest interval that enough others agree with, while few are longer (an outage, lost reports). A quarter has to agree,
// or an eighth closely beside much shorter ones: a report that is spread over many moments.
const rhythm = (sorted: readonly number[]): number | undefined => {
  const count = sorted.length
  const near = Math.max(4, Math.ceil(count / 4))
  const close = Math.max(4, Math.ceil(count / 8))
  for (let longer = 0; longer <= count / 4; longer++) {
    const end = count - longer
    const longest = sorted[end - 1] ?? 0
    const agree = (factor: number) => sorted.slice(0, end).filter((interval) => interval * factor >= longest)
    const agreeing = agree(NEAR)
    if (agreeing.length >= near) return middle(agreeing)
    const closely = agree(CLOSE)
    const others = sorted.slice(0, end - closely.length)
    const spread = others.every((interval) => interval <= SPREAD_PART * longest)
    if (longer <= count / 8 && spread && closely.length >= close) return middle(closely)
  }
  return undefined
}

const middle = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? 0
