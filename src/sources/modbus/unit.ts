// What is known of one unit on the bus: when its registers are due, which reads it takes, and whether it answers. No I/O, no
// clock of its own: the poller asks it and tells it.

import { addressesOf, isBitTable } from '../../core/modbus.ts'
import type { ModbusRegister, ModbusSection } from '../../core/profile.ts'
import { type PlannedRead, partings, planReads } from './read-plan.ts'

/** Cycles without any answer until the unit counts as gone: one may be noise. */
const SILENT_CYCLES = 2
/** A unit that does not answer is asked at least so often, unless its interval is longer. */
const MAX_PROBE_MS = 60_000
/** A register that the unit refuses is asked for again after this time: settings and firmware change. */
const RETRY_REFUSED_MS = 600_000
/**
 * RTU answers have no number. Where two reads of a unit look alike, a late answer could be taken for the other one: after a
 * time-out the unit is left alone for so many time-outs, or until the late answer came. An answer later than that is not expected.
 */
const LATE_TIMEOUTS = 5
/** A device has a few sets of registers that fall due together. */
const MAX_PLANS = 64

export interface UnitSettings {
  readonly unit: number
  readonly profile: string
  readonly device: string
  /** Replaces the profile's. */
  readonly everyMs: number | undefined
  readonly timeoutMs: number
}

interface Group {
  readonly everyMs: number
  readonly registers: readonly ModbusRegister[]
  dueMs: number
}

/** unknown: not asked yet, or not often enough to say. */
type UnitState = 'unknown' | 'online' | 'silent'

export class Unit {
  readonly settings: UnitSettings
  readonly section: ModbusSection
  readonly #groups: readonly Group[]
  readonly #plans = new Map<string, readonly PlannedRead[]>()
  /** Names of registers that must begin a request. */
  readonly #apart = new Set<string>()
  /** Registers that the unit refused even alone, and when to ask again. */
  readonly #refused = new Map<string, number>()
  /** Reads that timed out, by where they start, and how often in a row: they come last, so that the others have their turn. */
  readonly #timeouts = new Map<string, number>()
  /** Table and size of each read, and the address of the first that had it. */
  readonly #shapes = new Map<string, number>()
  /** Two reads have one shape. */
  #ambiguous = false
  readonly #numbered: boolean
  #notBeforeMs = 0
  /** Until then a write could be confirmed by the late answer to the one before. */
  #writeNotBeforeMs = 0
  #silentCycles = 0
  #state: UnitState = 'unknown'
  /** Why it does not answer. */
  reason: string | undefined
  /** An answer came after its time-out. */
  late = false

  /** `numbered`: each answer tells its request. */
  constructor(settings: UnitSettings, section: ModbusSection, numbered: boolean) {
    this.settings = settings
    this.#numbered = numbered
    this.section = section
    const intervals = new Map<number, ModbusRegister[]>()
    for (const register of section.registers) {
      const everyMs = this.#everyMs(register)
      intervals.set(everyMs, [...(intervals.get(everyMs) ?? []), register])
    }
    this.#groups = [...intervals].map(([everyMs, registers]) => ({ everyMs, registers, dueMs: 0 }))
  }

  get state(): UnitState {
    return this.#state
  }

  /** When it wants to be asked next. */
  get dueMs(): number {
    return Math.max(this.#notBeforeMs, Math.min(...this.#groups.map(({ dueMs }) => dueMs)))
  }

  /** The last cycle ended without an answer. */
  get failing(): boolean {
    return this.#silentCycles > 0
  }

  get refused(): readonly string[] {
    return [...this.#refused.keys()]
  }

  /** Everything is due at this time at the latest; what was learnt of another device on the same port is forgotten. */
  connected(nowMs: number): void {
    this.#notBeforeMs = Math.min(this.#notBeforeMs, nowMs)
    for (const group of this.#groups) group.dueMs = nowMs
    this.#refused.clear()
    this.#timeouts.clear()
  }

  /** After a write: the new state is shown soon. */
  readSoon(nowMs: number): void {
    for (const group of this.#groups) group.dueMs = Math.min(group.dueMs, nowMs)
  }

  /** What to read now; the turn counts as taken. Turns that were missed are left out. */
  takeTurn(nowMs: number): readonly PlannedRead[] {
    const due = this.#groups.filter(({ dueMs }) => dueMs <= nowMs)
    for (const group of due) group.dueMs = nowMs - ((nowMs - group.dueMs) % group.everyMs) + group.everyMs
    for (const [name, againMs] of this.#refused) if (againMs <= nowMs) this.#refused.delete(name)
    const plan = this.#looked(this.#plan(due))
    return plan.toSorted((a, b) => Number(this.#timeouts.has(place(a))) - Number(this.#timeouts.has(place(b))))
  }

  /** The unit refused a read of several registers: how to read them instead; empty where it cannot be parted. */
  part(read: PlannedRead): readonly PlannedRead[] {
    const names = partings(read)
    if (names.length === 0) return []
    for (const name of names) this.#apart.add(name)
    this.#timeouts.delete(place(read))
    this.#plans.clear()
    return this.#looked(planReads(read.registers, this.section, this.#apart))
  }

  /** The unit has no such registers. */
  refuse({ registers }: PlannedRead, nowMs: number): void {
    for (const { name } of registers) this.#refused.set(name, nowMs + RETRY_REFUSED_MS)
    this.#plans.clear()
  }

  /** A cycle ended with an answer, even if it was a refusal. True if the unit was not known to be there. */
  answered(): boolean {
    const news = this.#state !== 'online'
    this.#state = 'online'
    this.#silentCycles = 0
    this.reason = undefined
    this.late = false
    return news
  }

  /** A read timed out; says for which time in a row. */
  timedOut(read: PlannedRead, nowMs: number): number {
    const times = (this.#timeouts.get(place(read)) ?? 0) + 1
    this.#timeouts.set(place(read), times)
    this.leaveAlone(nowMs)
    return times
  }

  inTime(read: PlannedRead): void {
    this.#timeouts.delete(place(read))
  }

  /** After a time-out, so that a late answer can not be taken for another. */
  leaveAlone(nowMs: number): void {
    const times = this.#ambiguous && !this.#numbered ? LATE_TIMEOUTS : 1
    this.#notBeforeMs = Math.max(this.#notBeforeMs, nowMs + times * this.settings.timeoutMs)
  }

  /** A write was not answered: its answer looks like that of the next one to the same place. */
  writeTimedOut(nowMs: number): void {
    this.leaveAlone(nowMs)
    if (!this.#numbered) this.#writeNotBeforeMs = nowMs + LATE_TIMEOUTS * this.settings.timeoutMs
  }

  mayWrite(nowMs: number): boolean {
    return nowMs >= this.#writeNotBeforeMs
  }

  /** Its answer came after all, too late; nothing is outstanding any more. */
  cameLate(nowMs: number): void {
    this.late = true
    this.#writeNotBeforeMs = nowMs
    if (this.#silentCycles <= 1) this.#notBeforeMs = Math.min(this.#notBeforeMs, nowMs)
  }

  /** A cycle ended without any answer. True if the unit counts as gone from now on. */
  unanswered(reason: string, nowMs: number): boolean {
    this.#silentCycles++
    const shortestMs = Math.min(...this.#groups.map(({ everyMs }) => everyMs))
    const base = Math.max(shortestMs, this.settings.timeoutMs)
    const backoffMs = Math.min(base * 2 ** Math.min(this.#silentCycles - 1, 30), Math.max(MAX_PROBE_MS, shortestMs))
    // The first time it keeps its turn; from the second on, others must not wait for it again and again.
    if (this.#silentCycles > 1) this.#notBeforeMs = Math.max(this.#notBeforeMs, nowMs + backoffMs)
    this.reason = reason
    return this.#silentCycles >= SILENT_CYCLES && this.gone(reason)
  }

  /** True if it was not known to be gone. */
  gone(reason: string): boolean {
    const news = this.#state !== 'silent'
    this.#state = 'silent'
    this.reason = reason
    return news
  }

  #looked(plan: readonly PlannedRead[]): readonly PlannedRead[] {
    for (const { table, address, count } of plan) {
      const shape = `${table} ${isBitTable(table) ? Math.ceil(count / 8) : count}`
      const other = this.#shapes.get(shape)
      if (other === undefined) this.#shapes.set(shape, address)
      else if (other !== address) this.#ambiguous = true
    }
    return plan
  }

  #plan(due: readonly Group[]): readonly PlannedRead[] {
    const key = due.map(({ everyMs }) => everyMs).join()
    const known = this.#plans.get(key)
    if (known !== undefined && this.#refused.size === 0) return known
    const wanted = due.flatMap(({ registers }) => registers).filter(({ name }) => !this.#refused.has(name))
    const plan = planReads(wanted, this.section, this.#apart)
    if (this.#plans.size >= MAX_PLANS) this.#plans.clear()
    if (this.#refused.size === 0) this.#plans.set(key, plan)
    return plan
  }

  // An interval of the configuration is that of the registers that have none of their own, and none is read more often.
  #everyMs(register: ModbusRegister): number {
    const own = this.settings.everyMs ?? this.section.everyMs
    return register.everyMs === undefined ? own : Math.max(own, register.everyMs)
  }
}

const place = ({ table, registers }: PlannedRead): string => {
  const [first] = registers
  return first === undefined ? table : `${table} ${first.address} ${addressesOf(first)}`
}
