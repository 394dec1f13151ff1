// The rules of a shape, compiled: which one a reading falls under, and how the reading looks then.

import type { Reading } from '../core/contract.ts'
import type { ShapeRule } from '../core/shape.ts'
import { topicMatcher } from '../core/topic.ts'
import { unitConversion } from '../core/unit.ts'
import { globExpression } from './glob.ts'

/** Values that a rule was looked up for; names come from strangers. */
const MAX_REMEMBERED = 20_000

export class ShapeRules {
  readonly #rules: readonly { readonly rule: ShapeRule; fits(device: string, name: string): boolean }[]
  /** By name within device. */
  readonly #remembered = new Map<string, Map<string, ShapeRule | undefined>>()
  #rememberedCount = 0
  readonly windowMs: number

  constructor(rules: readonly ShapeRule[]) {
    this.#rules = rules.map((rule) => {
      const devices = rule.devices?.map(topicMatcher)
      const names = rule.names === undefined ? undefined : globExpression(rule.names)
      return {
        rule,
        fits: (device, name) =>
          (devices === undefined || devices.some((matches) => matches(device))) && (names?.test(name) ?? true),
      }
    })
    this.windowMs = Math.max(0, ...rules.map(({ window }) => window?.per ?? 0))
  }

  /** The first that fits. */
  find(device: string, name: string): ShapeRule | undefined {
    const known = this.#remembered.get(device)
    if (known?.has(name) === true) return known.get(name)
    if (this.#rememberedCount++ >= MAX_REMEMBERED) {
      this.#remembered.clear()
      this.#rememberedCount = 0
    }
    const rule = this.#rules.find(({ fits }) => fits(device, name))?.rule
    const names = this.#remembered.get(device) ?? new Map<string, ShapeRule | undefined>()
    this.#remembered.set(device, names.set(name, rule))
    return rule
  }

  /** With the name and the unit that the rule wants. A unit of another quantity stays as it is. */
  dressed(rule: ShapeRule, reading: Reading): Reading {
    if (rule.rename === undefined && rule.unit === undefined) return reading
    const name = rule.rename === undefined ? reading.name : rule.rename.replaceAll('{name}', () => reading.name)
    const { value, unit } = reading
    const convert = rule.unit === undefined || unit === undefined ? undefined : unitConversion(unit, rule.unit)
    if (convert === undefined || rule.unit === undefined || typeof value !== 'number') return { ...reading, name }
    return { ...reading, name, value: convert(value), unit: rule.unit }
  }
}
