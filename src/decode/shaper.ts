// Shapes readings as rules say: deadband, changes only, at most one in so long, figures over windows, other names and units.
// What passes follows from the readings before it, and they from the log: a fold that can be repeated from any place.
//
// A fold can be forked: the fork knows what the fold has seen, and what it sees itself stays its own until it is merged. So a
// batch that was not delivered can be folded again.

import type { Reading, UnixMs } from '../core/contract.ts'
import type { ShapeRule } from '../core/shape.ts'
import { ShapeRules } from './shape-rules.ts'
import { addToWindow, startWindow, type Window, windowReadings } from './shape-window.ts'

/** Values that are followed at a time; those of further ones pass as they are, which loses nothing. */
const MAX_FOLLOWED = 50_000
const DEFAULT_HEARTBEAT_MS = 3_600_000

/** What passed last of one value. */
interface Passed {
  readonly value: Reading['value']
  readonly atMs: UnixMs
}

export class Shaper {
  readonly #rules: ShapeRules
  readonly #parent: Shaper | undefined
  /** By device and name. */
  readonly #passed = new Map<string, Passed>()
  /** By device and name; undefined for one of the parent's that is over. */
  readonly #windows = new Map<string, Window | undefined>()
  /** When the first of the open windows ends. */
  #nextEndMs: UnixMs

  constructor(rules: readonly ShapeRule[] | ShapeRules, parent?: Shaper) {
    this.#rules = rules instanceof ShapeRules ? rules : new ShapeRules(rules)
    this.#parent = parent
    this.#nextEndMs = parent === undefined ? Number.POSITIVE_INFINITY : parent.#nextEndMs
  }

  /** The longest step of a window, 0 without one: what is needed of the past to get every figure right. */
  get windowMs(): number {
    return this.#rules.windowMs
  }

  fork(): Shaper {
    return new Shaper(this.#rules, this)
  }

  /** The same rules, with nothing seen. */
  anew(): Shaper {
    return new Shaper(this.#rules)
  }

  /** Makes what this fork has seen the parent's knowledge, and ends the fork. */
  merge(): void {
    const parent = this.#parent
    if (parent === undefined) return
    for (const [key, passed] of this.#passed) parent.#passed.set(key, passed)
    for (const [key, window] of this.#windows)
      if (window === undefined && parent.#parent === undefined) parent.#windows.delete(key)
      else parent.#windows.set(key, window)
    parent.#nextEndMs = this.#nextEndMs
  }

  /** What passes of the readings of a message that arrived at `atMs`, and of what its arrival ends. Calls come in order. */
  shape(readings: readonly Reading[], atMs: UnixMs): readonly Reading[] {
    const out: Reading[] = []
    this.#closeWindows(atMs, out)
    for (const reading of readings) {
      const rule = this.#rules.find(reading.device, reading.name)
      if (rule === undefined) out.push(reading)
      else if (rule.drop !== true) this.#apply(rule, reading, atMs, out)
    }
    return out
  }

  #apply(rule: ShapeRule, given: Reading, atMs: UnixMs, out: Reading[]): void {
    const reading = this.#rules.dressed(rule, given)
    const key = `${given.device}\n${given.name}`
    // What comes late is no part of what is now.
    const isLate = given.historical === true || Math.abs((given.timeMs ?? atMs) - atMs) > (rule.window?.per ?? Infinity)
    if (isLate || !this.#mayFollow(key)) out.push(reading)
    else if (rule.window !== undefined && typeof reading.value === 'number')
      this.#collect(rule.window, key, reading, reading.value, atMs)
    else if (this.#passes(rule, this.#passedLast(key), reading.value, atMs)) {
      this.#passed.set(key, { value: reading.value, atMs })
      out.push(reading)
    }
  }

  #passes(rule: ShapeRule, last: Passed | undefined, value: Reading['value'], atMs: UnixMs): boolean {
    if (last === undefined) return true
    const sinceMs = atMs - last.atMs
    // A clock that was set back says nothing about how long it was.
    if (sinceMs < 0) return true
    if (rule.every !== undefined && sinceMs < rule.every) return false
    if (rule.deadband === undefined && rule.changeOnly !== true) return true
    if (sinceMs >= (rule.heartbeat ?? DEFAULT_HEARTBEAT_MS)) return true
    if (rule.deadband === undefined || typeof value !== 'number' || typeof last.value !== 'number')
      return value !== last.value
    return Math.abs(value - last.value) > bandOf(rule.deadband, last.value)
  }

  #collect(window: NonNullable<ShapeRule['window']>, key: string, reading: Reading, value: number, atMs: UnixMs): void {
    const open = this.#windowOf(key)
    const next = open === undefined ? startWindow(window, reading, value, atMs) : addToWindow(open, reading, value)
    this.#windows.set(key, next)
    this.#nextEndMs = Math.min(this.#nextEndMs, next.endMs)
  }

  #closeWindows(atMs: UnixMs, out: Reading[]): void {
    if (this.#nextEndMs === Number.POSITIVE_INFINITY) return
    if (atMs < this.#nextEndMs && atMs >= this.#nextEndMs - this.#rules.windowMs) return
    let nextEndMs = Number.POSITIVE_INFINITY
    // In an order of their own, so that the same comes out wherever the fold began.
    const open = [...this.#openWindows()].sort(([one], [other]) => (one < other ? -1 : 1))
    for (const [key, window] of open) {
      // Also where the clock was set back: the step does not come again.
      if (atMs >= window.endMs || atMs < window.startMs) {
        out.push(...windowReadings(window))
        this.#windows.set(key, undefined)
      } else nextEndMs = Math.min(nextEndMs, window.endMs)
    }
    if (this.#parent === undefined)
      for (const [key, window] of this.#windows) if (window === undefined) this.#windows.delete(key)
    this.#nextEndMs = nextEndMs
  }

  #openWindows(): ReadonlyMap<string, Window> {
    const open = new Map<string, Window>(this.#parent === undefined ? [] : this.#parent.#openWindows())
    for (const [key, window] of this.#windows)
      if (window === undefined) open.delete(key)
      else open.set(key, window)
    return open
  }

  #windowOf(key: string): Window | undefined {
    if (this.#windows.has(key)) return this.#windows.get(key)
    return this.#parent === undefined ? undefined : this.#parent.#windowOf(key)
  }

  #passedLast(key: string): Passed | undefined {
    return this.#passed.get(key) ?? (this.#parent === undefined ? undefined : this.#parent.#passedLast(key))
  }

  #mayFollow(key: string): boolean {
    return this.#size < MAX_FOLLOWED || this.#passedLast(key) !== undefined || this.#windowOf(key) !== undefined
  }

  get #size(): number {
    return this.#passed.size + this.#windows.size + (this.#parent === undefined ? 0 : this.#parent.#size)
  }
}

const bandOf = (deadband: number | string, last: number): number =>
  typeof deadband === 'number' ? deadband : (Math.abs(last) * Number(deadband.slice(0, -1))) / 100
