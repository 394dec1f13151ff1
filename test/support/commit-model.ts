// Group commit in simulated time: clients, a disk that takes as long as it is told, and the real Pacing between them, asked
// in the order in which the writer asks it. No clock runs, so that minutes of traffic take milliseconds.

import { Pacing } from '../../src/log/pacing.ts'

/** When a client sends next: at a time, or undefined for never. `ackedMs` is when its last message was durable, or its first chance. */
export type Client = (nowMs: number) => number | undefined

export interface ModelOptions {
  readonly commitDelayMs: number
  readonly syncMs?: number
  readonly untilMs: number
  /** Send on their own account, whatever becomes of their messages. */
  readonly streams?: readonly Client[]
  /** Send again only when the last message was acknowledged: told when that was, they say when. */
  readonly loops?: readonly Client[]
}

export interface Modelled {
  readonly commits: number
  readonly messages: number
  /** Messages of the loops. */
  readonly answered: number
  readonly longestWaitMs: number
  readonly meanWaitMs: number
}

/** What arrives in one turn of an event loop arrives in a moment like this. */
const TURN_MS = 0.02
const TRIGGER_MESSAGES = 1_024

interface Step {
  readonly atMs: number
  readonly order: number
  readonly run: (nowMs: number) => void
}

/** `measureFromMs`: what was before is left out of the figures. */
export const modelCommits = (options: ModelOptions, measureFromMs = 0): Modelled => {
  const { commitDelayMs, syncMs = 1, untilMs, streams = [], loops = [] } = options
  const pacing = new Pacing(commitDelayMs)
  const steps = new Steps()
  let waiting: { readonly sinceMs: number; readonly acknowledge?: (nowMs: number) => void }[] = []
  let running = false
  let deciding = false
  let timer = 0
  let timed = false
  const figures = { commits: 0, messages: 0, answered: 0, longestWaitMs: 0, waitedMs: 0 }

  const commit = (nowMs: number) => {
    running = true
    pacing.committing(waiting.length)
    const taken = waiting
    waiting = []
    if (nowMs >= measureFromMs) {
      figures.commits++
      figures.messages += taken.length
      for (const { sinceMs } of taken) {
        figures.waitedMs += nowMs - sinceMs
        figures.longestWaitMs = Math.max(figures.longestWaitMs, nowMs - sinceMs)
      }
    }
    steps.add(nowMs + syncMs, (doneMs) => {
      running = false
      for (const { acknowledge } of taken) acknowledge?.(doneMs)
      pacing.committed(doneMs)
      if (waiting.length > 0) decide(doneMs)
    })
  }
  const decide = (nowMs: number) => {
    if (running || waiting.length === 0) return
    timed = false
    timer++
    const waitMs = waiting.length >= TRIGGER_MESSAGES ? 0 : pacing.waitMs(nowMs, waiting.length)
    if (waitMs <= 0) return commit(nowMs)
    timed = true
    const own = timer
    steps.add(nowMs + Math.ceil(waitMs), (firedMs) => {
      if (own === timer) decideSoon(firedMs)
    })
  }
  const decideSoon = (nowMs: number) => {
    if (deciding) return
    deciding = true
    steps.add(nowMs + TURN_MS, (laterMs) => {
      deciding = false
      decide(laterMs)
    })
  }
  const arrive = (nowMs: number, acknowledge?: (ackedMs: number) => void) => {
    pacing.arrived(nowMs)
    waiting.push({ sinceMs: nowMs, ...(acknowledge === undefined ? {} : { acknowledge }) })
    if (!running && (!timed || waiting.length >= TRIGGER_MESSAGES)) decideSoon(nowMs)
  }
  const stream = (client: Client, nowMs: number) => {
    const nextMs = client(nowMs)
    if (nextMs === undefined) return
    steps.add(nextMs, (atMs) => {
      arrive(atMs)
      stream(client, atMs)
    })
  }
  const loop = (client: Client, ackedMs: number) => {
    const nextMs = client(ackedMs)
    if (nextMs === undefined) return
    steps.add(nextMs, (atMs) =>
      arrive(atMs, (doneMs) => {
        if (doneMs >= measureFromMs) figures.answered++
        loop(client, doneMs)
      }),
    )
  }

  for (const client of streams) stream(client, 0)
  for (const client of loops) loop(client, 0)
  steps.runUntil(untilMs)
  const { waitedMs, ...counted } = figures
  return { ...counted, meanWaitMs: waitedMs / Math.max(1, figures.messages) }
}

/** A binary heap: what comes first, in the order it was added where that is at the same time. */
class Steps {
  readonly #heap: Step[] = []
  #added = 0

  add(atMs: number, run: (nowMs: number) => void): void {
    const heap = this.#heap
    const step = { atMs, order: this.#added++, run }
    let at = heap.length
    heap.push(step)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !isBefore(step, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = step
  }

  runUntil(untilMs: number): void {
    for (let step = this.#take(); step !== undefined && step.atMs <= untilMs; step = this.#take()) step.run(step.atMs)
  }

  #take(): Step | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      let below = heap[child]
      const right = heap[child + 1]
      if (below !== undefined && right !== undefined && isBefore(right, below)) {
        below = right
        child++
      }
      if (below === undefined || !isBefore(below, last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
    return first
  }
}

const isBefore = (a: Step, b: Step): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

/** The same numbers for the same seed, from 0 to 1. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A message every so often. */
export const every = (periodMs: number, fromMs = 0, untilMs = Number.POSITIVE_INFINITY): Client => {
  let nextMs = fromMs
  return () => {
    nextMs += periodMs
    return nextMs > untilMs ? undefined : nextMs
  }
}

/** As every(), the times random: any moment is as likely as any other. */
export const poisson = (periodMs: number, seed: number, untilMs = Number.POSITIVE_INFINITY): Client => {
  const random = randomFrom(seed)
  return (nowMs) => {
    const nextMs = nowMs - Math.log(1 - random()) * periodMs
    return nextMs > untilMs ? undefined : nextMs
  }
}

/** So many messages within a spread, then nothing until the next period. */
export const bursts = (count: number, periodMs: number, spreadMs: number): readonly Client[] =>
  Array.from({ length: count }, (_, index) => every(periodMs, (index / count) * spreadMs))

/** Answers so long after each acknowledgement, a little more or less. */
export const answering = (afterMs: number, seed: number, fromMs = 0, untilMs = Number.POSITIVE_INFINITY): Client => {
  const random = randomFrom(seed)
  return (ackedMs) => {
    const nextMs = Math.max(fromMs, ackedMs) + afterMs * (0.5 + random())
    return nextMs > untilMs ? undefined : nextMs
  }
}
