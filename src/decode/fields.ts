// Field rules of a profile, compiled: which rule a name falls under, and what it makes of the value. Names come
// from payloads, so what is remembered about them is bounded.

import type { Doubt } from '../core/contract.ts'
import type { DeviceProfile, FieldRule, ProfileRule, ReadingValue } from '../core/profile.ts'
import { type Captures, expandTemplate } from '../core/topic-pattern.ts'
import { convertUnit, unitSpelling } from '../core/unit.ts'
import { globExpression } from './glob.ts'
import { shortened } from './limits.ts'

/** Names remembered for each rule: a device family has dozens; beyond, only a stranger is at work. */
const MAX_REMEMBERED_NAMES = 2_000
/** Digits that a double holds exactly, whatever they are. */
const MAX_EXACT_DIGITS = 15

// No exponent and no leading zeros: 1e5 and 007 are rather identifiers than measurements.
const NUMERIC = /^[-+]?(?:0|[1-9]\d*)(?:\.\d+)?$/

/** What became of a leaf: a value with its unit, nothing (no value, and that is fine), or a fault. */
export type Converted = { readonly value: ReadingValue; readonly unit?: string } | Refused | undefined

/** A value that cannot be right, as it was found. */
export interface Refused {
  readonly fault: string
  readonly reason: Doubt['reason']
  readonly wrong: ReadingValue
}

export interface Fields {
  /** The rule that decides about a reading of this name. */
  find(name: string): FieldRule | undefined
  /** Applies the rule to a value. `root` is where the leaves hang, for units that stand beside the value. */
  convert(
    field: FieldRule | undefined,
    name: string,
    value: ReadingValue,
    unit: string | undefined,
    root: unknown,
  ): Converted
  isMissing(text: string): boolean
}

export const compileFields = (profile: DeviceProfile, rule: ProfileRule): Fields => {
  const rules = [...(rule.fields ?? []), ...(profile.fields ?? [])]
  const expressions = rules.map((field) => globExpression(field.match))
  const missing: ReadonlySet<string> = new Set([...(rule.missing ?? []), ...(profile.missing ?? [])])
  const numbers = rule.numbers ?? profile.numbers ?? false
  const remembered = new Map<string, FieldRule | undefined>()
  const find = (name: string): FieldRule | undefined => {
    const known = remembered.get(name)
    if (known !== undefined || remembered.has(name)) return known
    if (remembered.size >= MAX_REMEMBERED_NAMES) remembered.clear()
    const field = rules[expressions.findIndex((expression) => expression.test(name))]
    remembered.set(name, field)
    return field
  }
  const convert: Fields['convert'] = (field, name, given, unit, root) => {
    if (typeof given === 'string' && missing.has(given)) return undefined
    const value = typed(field, numbers, given)
    if (value === undefined)
      return faulty(`${name}: ${shortened(JSON.stringify(given))} is no ${field?.type ?? 'value'}`, given)
    if (typeof value !== 'number') return { value }
    if (!Number.isFinite(value)) return faulty(`${name} is not a finite number`, String(value))
    return field === undefined ? withUnit(value, unit) : measured(field, name, value, unit, root)
  }
  return { find, convert, isMissing: (text) => missing.has(text) }
}

const faulty = (fault: string, wrong: ReadingValue): Refused => ({ fault, reason: 'faulty', wrong })

const withUnit = (value: number, unit: string | undefined): Converted =>
  unit === undefined ? { value } : { value, unit }

const typed = (field: FieldRule | undefined, numbers: boolean, value: ReadingValue): ReadingValue | undefined => {
  const mapped =
    field?.values !== undefined && Object.hasOwn(field.values, String(value)) ? field.values[String(value)] : undefined
  if (mapped !== undefined) return mapped
  switch (field?.type) {
    case 'string':
      return String(value)
    case 'boolean':
      return asBoolean(value)
    case 'number':
      return typeof value === 'number'
        ? value
        : typeof value === 'string'
          ? asNumber(value.trim().replace(',', '.'))
          : undefined
    default:
      return numbers && typeof value === 'string' ? (asNumber(value) ?? value) : value
  }
}

const asNumber = (text: string): number | undefined =>
  NUMERIC.test(text) && text.replace(/\D/g, '').length <= MAX_EXACT_DIGITS ? Number(text) : undefined

const asBoolean = (value: ReadingValue): boolean | undefined => {
  if (typeof value === 'boolean') return value
  const text = String(value).toLowerCase()
  if (text === '1' || text === 'on' || text === 'true') return true
  return text === '0' || text === 'off' || text === 'false' ? false : undefined
}

const measured = (field: FieldRule, name: string, raw: number, given: string | undefined, root: unknown): Converted => {
  let value = raw
  let unit = given ?? field.unit
  const spelt = field.unitFrom === undefined ? undefined : at(root, field.unitFrom)
  const spelling = typeof spelt === 'string' ? unitSpelling(spelt, name) : undefined
  if (spelling !== undefined) {
    value = convertUnit(value, spelling)
    unit = spelling.unit
  }
  if (field.scale !== undefined || field.offset !== undefined)
    value = Number((value * (field.scale ?? 1) + (field.offset ?? 0)).toPrecision(12))
  if (!Number.isFinite(value)) return faulty(`${name} is not a finite number`, String(value))
  if (field.range !== undefined && (value < field.range[0] || value > field.range[1]))
    return {
      fault: `${name}: ${value} is outside ${field.range[0]} to ${field.range[1]}`,
      reason: 'out-of-range',
      wrong: value,
    }
  return withUnit(value, unit)
}

/** The value at a path of object keys and array indexes, own properties only. */
export const at = (value: unknown, path: string): unknown => {
  let current = value
  for (const part of path.split('.')) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined
    current = (current as Readonly<Record<string, unknown>>)[part]
  }
  return current
}

/** A name template with the captures of the topic and the path in it. */
export const readingName = (template: string, captures: Captures, path: string): string =>
  expandTemplate(template, captures).replace('{path}', () => path)
