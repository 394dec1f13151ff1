// What a Sparkplug birth certificate tells about the messages behind it: name, datatype and unit of each metric, by alias and
// by name (Sparkplug 3.0, 6.4.17).

import type { Metric } from './payload.ts'

/** Plain data: name, alias, datatype, unit as it is spelt. */
type Row = readonly [name: string, alias: string | null, datatype: number | null, unit: string | null]

export interface MetricDefinition {
  readonly name: string
  readonly datatype: number | undefined
  readonly unit: string | undefined
}

export interface Birth {
  readonly byAlias: ReadonlyMap<string, MetricDefinition>
  readonly byName: ReadonlyMap<string, MetricDefinition>
}

/** There is no one name for it; engUnit is what Tahu and Ignition write. */
const UNIT_PROPERTIES: ReadonlySet<string> = new Set(['engunit', 'engunits', 'engineeringunits', 'unit', 'units'])

export const unitOf = ({ properties }: Metric): string | undefined => {
  for (const [key, property] of properties)
    if (property.kind === 'string' && UNIT_PROPERTIES.has(key.toLowerCase().replace(/[ _-]/g, '')))
      return property.value
  return undefined
}

export const birthRows = (metrics: readonly Metric[], before = ''): Row[] =>
  metrics.flatMap((metric): Row[] => {
    const { name, alias, datatype, value } = metric
    if (name === undefined) return []
    const row: Row = [before + name, alias ?? null, datatype ?? null, unitOf(metric) ?? null]
    const isInstance = value?.kind === 'template' && !value.value.isDefinition
    return isInstance ? [row, ...birthRows(value.value.metrics, `${before}${name}/`)] : [row]
  })

/** Values of descriptions are shared, and looked up for every message. */
const compiled = new WeakMap<object, Birth>()

export const birthOf = (value: unknown): Birth => {
  const rows = value as readonly Row[]
  const known = compiled.get(rows)
  if (known !== undefined) return known
  const byAlias = new Map<string, MetricDefinition>()
  const byName = new Map<string, MetricDefinition>()
  for (const [name, alias, datatype, unit] of rows) {
    const definition = { name, datatype: datatype ?? undefined, unit: unit ?? undefined }
    byName.set(name, definition)
    if (alias !== null) byAlias.set(alias, definition)
  }
  const birth = { byAlias, byName }
  compiled.set(rows, birth)
  return birth
}
