// Time for histories that must not take any: the timers of the program under test run on a clock that only moves when
// nothing else is left to do. Everything else that holds it up (the simulated disk) counts as work.

import type { Clock } from '../../src/core/contract.ts'

interface Timer {
  readonly id: number
  dueMs: number
  readonly everyMs: number | undefined
  readonly call: () => void
}

const START_MS = Date.UTC(2026, 10, 20, 10)
/** Turns of the event loop without anything happening after which nothing will. */
const QUIET_TURNS = 3
/** More turns than any single call of the disk takes. */
const BUSY_TURNS = 20

export class SimulatedTime {
  nowMs = 0
  #boots = 1
  #bootedMs = -1_000
  #timers: Timer[] = []
  #lastId = 0

  /** The clock of the present boot. */
  clock(): Clock {
    const bootedMs = this.#bootedMs
    const bootId = `00000000-0000-4000-8000-${String(this.#boots).padStart(12, '0')}`
    return {
      wallMs: () => START_MS + this.nowMs,
      monotonicMs: () => this.nowMs - bootedMs,
      bootId,
      synced: () => true,
    }
  }

  /** The machine starts again. Timers of the processes that died are gone. */
  boot(): void {
    this.#boots++
    this.#bootedMs = this.nowMs
    this.forget()
  }

  /** The process died. */
  forget(): void {
    this.#timers = []
  }

  /** Puts the timers of this process on this clock; returns what puts them back. */
  install(): () => void {
    const real = { setTimeout, clearTimeout, setInterval, clearInterval }
    const add = (call: () => void, ms: number, repeats: boolean): unknown => {
      const timer: Timer = {
        id: ++this.#lastId,
        dueMs: this.nowMs + Math.max(1, ms),
        everyMs: repeats ? Math.max(1, ms) : undefined,
        call,
      }
      this.#timers.push(timer)
      return timer
    }
    const remove = (timer: unknown, otherwise: (timer: never) => void): void => {
      const index = this.#timers.indexOf(timer as Timer)
      if (index >= 0) this.#timers.splice(index, 1)
      else otherwise(timer as never)
    }
    Object.assign(globalThis, {
      setTimeout: (call: () => void, ms = 0) => add(call, ms, false),
      setInterval: (call: () => void, ms = 0) => add(call, ms, true),
      clearTimeout: (timer: unknown) => remove(timer, real.clearTimeout),
      clearInterval: (timer: unknown) => remove(timer, real.clearInterval),
    })
    return () => void Object.assign(globalThis, real)
  }

  /** Moves on to the next timer that is due by `limitMs`, and lets it run; false when there is none. */
  advance(limitMs: number): boolean {
    let next: Timer | undefined
    for (const timer of this.#timers)
      if (next === undefined || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.id < next.id))
        next = timer
    if (next === undefined || next.dueMs > limitMs) {
      this.nowMs = Math.max(this.nowMs, Math.min(limitMs, this.nowMs + 1))
      return false
    }
    this.nowMs = Math.max(this.nowMs, next.dueMs)
    if (next.everyMs === undefined) this.#timers.splice(this.#timers.indexOf(next), 1)
    else next.dueMs = this.nowMs + next.everyMs
    next.call()
    return true
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Resolves when the program has nothing left to do now. `work` counts what was done, and says whether more waits. */
export const idle = async (work: { readonly done: number; readonly busy: boolean }): Promise<void> => {
  for (let quiet = 0; quiet < QUIET_TURNS; ) {
    const before = work.done
    await turn()
    quiet = work.busy || work.done !== before ? 0 : quiet + 1
  }
}

/** The promise's own outcome; the clock moves whenever nothing else is left to do. */
export const withTime = async <T>(time: SimulatedTime, promise: Promise<T>): Promise<T> => {
  let settled = false
  const note = () => {
    settled = true
  }
  promise.then(note, note)
  for (;;) {
    for (let turns = 0; turns < BUSY_TURNS && !settled; turns++) await turn()
    if (settled) return promise
    time.advance(Number.POSITIVE_INFINITY)
  }
}
