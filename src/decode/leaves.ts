// The leaves of a JSON document as readings: numbers, booleans and strings, named by their path. null says nothing.
// A leaf that cannot be a reading is left out and named in the fault; the others still count.

import type { Doubt, Reading, UnixMs } from '../core/contract.ts'
import { DecodeError } from '../core/errors.ts'
import type { ReadingValue } from '../core/profile.ts'
import type { Captures } from '../core/topic-pattern.ts'
import { doubtOf, MAX_DOUBTS } from './doubt.ts'
import { type Fields, type Refused, readingName } from './fields.ts'
import { MAX_READINGS, MAX_TEXT_LENGTH, nameFault, shortened, shownFault } from './limits.ts'

/** Deeper nesting is an attack on the stack. */
const MAX_DEPTH = 32

/** What a profile says about the leaves; without it every leaf counts as it is. */
export interface LeafRules {
  readonly fields: Fields
  readonly captures: Captures
  /** Set where all leaves have one name. */
  readonly fixedName: string | undefined
  /** What stands before and after the path in a name, otherwise. */
  readonly before: string
  readonly after: string
  /** Starts of paths, with their dot, that are left out of names. */
  readonly strip: readonly string[]
  /** This leaf is the time and no reading. */
  readonly timePath: string | undefined
  /** Path of a list to the field that names its elements. */
  readonly lists: ReadonlyMap<string, string>
  /** Where the leaves hang. */
  readonly root: unknown
}

export class Leaves {
  readonly readings: Reading[] = []
  /** Values that are there and cannot be right; absent where there are none. */
  doubtful: Doubt[] | undefined
  /** A number was met that JSON.parse may have changed: look again, at the text with large integers in quotes. */
  inexact = false
  #fault: string | undefined
  #faults = 0
  readonly #device: string
  readonly #timeMs: UnixMs | undefined
  readonly #rules: LeafRules | undefined

  constructor(device: string, timeMs?: UnixMs, rules?: LeafRules) {
    this.#device = device
    this.#timeMs = timeMs
    this.#rules = rules
  }

  /** The first leaf that was left out for a fault, and how many more there were. */
  get fault(): string | undefined {
    return this.#faults > 1 ? `${this.#fault} (and ${this.#faults - 1} more)` : this.#fault
  }

  walk(value: unknown, path: string, depth: number): void {
    if (typeof value !== 'object') {
      if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') this.#leaf(value, path)
      return
    }
    if (value === null) return
    if (depth >= MAX_DEPTH) throw new DecodeError(`the payload is nested deeper than ${MAX_DEPTH} levels`)
    if (Array.isArray(value)) {
      this.#walkList(value, path, depth)
      return
    }
    const object = value as Readonly<Record<string, unknown>>
    // JSON.parse makes own properties only, `__proto__` among them: to us it is a name like any other.
    for (const key in object) this.walk(object[key], path === '' ? key : `${path}.${key}`, depth + 1)
  }

  #walkList(list: readonly unknown[], path: string, depth: number): void {
    const key = this.#rules?.lists.get(path)
    for (let index = 0; index < list.length; index++) {
      const element: unknown = list[index]
      const name = key === undefined ? undefined : ownText(element, key)
      if (name === undefined || key === undefined) {
        this.walk(element, path === '' ? `${index}` : `${path}.${index}`, depth + 1)
        continue
      }
      const parent = path.slice(0, path.lastIndexOf('.') + 1)
      for (const [inner, leaf] of Object.entries(element as object))
        if (inner !== key) this.walk(leaf, `${parent}${name}.${inner}`, depth + 2)
    }
  }

  #leaf(value: ReadingValue, path: string): void {
    if (typeof value === 'number' && (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER)) {
      this.inexact = true
    }
    if (this.#rules === undefined) this.#push(path, value, undefined)
    else this.#ruled(this.#rules, value, path)
  }

  #ruled(rules: LeafRules, value: ReadingValue, whole: string): void {
    if (whole === rules.timePath) return
    const path = stripped(rules.strip, whole)
    const name = rules.fixedName ?? rules.before + path + rules.after
    // Before anything looks at it or remembers it.
    const fault = nameFault(name)
    if (fault !== undefined) {
      this.#leaveOut(fault)
      return
    }
    const field = rules.fields.find(name)
    if (field?.ignore === true) return
    const converted = rules.fields.convert(field, shortened(name), value, undefined, rules.root)
    if (converted === undefined) return
    const own = field?.name
    const shown = own === undefined ? name : readingName(own, rules.captures, path)
    if ('fault' in converted) {
      this.#leaveOut(converted.fault)
      this.#doubt(shown, converted)
      return
    }
    this.#push(shown, converted.value, converted.unit)
  }

  #push(name: string, value: ReadingValue, unit: string | undefined): void {
    const fault = readingFault(name, value)
    if (fault !== undefined) {
      this.#leaveOut(fault)
      if (typeof value === 'number' && !Number.isFinite(value))
        this.#doubt(name, { reason: 'faulty', wrong: String(value) })
      return
    }
    if (this.readings.length >= MAX_READINGS) throw new DecodeError(`the payload has more than ${MAX_READINGS} values`)
    const device = this.#device
    const timeMs = this.#timeMs
    // Written out: few shapes of objects are cheaper than spreading.
    if (timeMs === undefined) {
      this.readings.push(unit === undefined ? { device, name, value } : { device, name, value, unit })
    } else {
      this.readings.push(unit === undefined ? { device, name, value, timeMs } : { device, name, value, unit, timeMs })
    }
  }

  #doubt(name: string, refused: Pick<Refused, 'reason' | 'wrong'>): void {
    this.doubtful ??= []
    if (this.doubtful.length < MAX_DOUBTS) this.doubtful.push(doubtOf(this.#device, name, refused))
  }

  #leaveOut(fault: string): void {
    this.#fault ??= shownFault(fault)
    this.#faults++
  }
}

const stripped = (starts: readonly string[], path: string): string => {
  for (const start of starts) if (path.startsWith(start)) return path.slice(start.length)
  return path
}

const ownText = (element: unknown, key: string): string | undefined => {
  if (typeof element !== 'object' || element === null || !Object.hasOwn(element, key)) return undefined
  const text = (element as Readonly<Record<string, unknown>>)[key]
  return typeof text === 'string' && text !== '' ? text : undefined
}

const readingFault = (name: string, value: ReadingValue): string | undefined => {
  if (typeof value === 'number' && !Number.isFinite(value)) return `${shortened(name)} is not a finite number`
  if (typeof value === 'string' && value.length > MAX_TEXT_LENGTH)
    return `${shortened(name)} is text of ${value.length} characters, more than ${MAX_TEXT_LENGTH}`
  return nameFault(name)
}
