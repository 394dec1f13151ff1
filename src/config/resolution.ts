// What the schema says about a value beyond "valid": which texts become numbers, before and after validation.

import type { Path } from './document.ts'
import { formats } from './formats.ts'
import { type JsonSchema, record } from './schema.ts'

/** Before validation: a key without a value counts as absent where a list or an object is expected (`sinks:` with everything commented out). */
export const withoutEmptyKeys = (value: unknown, schema: JsonSchema): unknown => {
  if (Array.isArray(value)) return value.map((item, index) => withoutEmptyKeys(item, childSchema(schema, index)))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, item]) => item !== null || !holdsOthers(childSchema(schema, key)))
      .map(([key, item]) => [key, withoutEmptyKeys(item, childSchema(schema, key))]),
  )
}

/** Before validation: the text that a placeholder gave for an unquoted value, as the number or boolean that the schema wants. */
export const coerceAt = (value: unknown, path: Path, schema: JsonSchema): unknown => {
  const [key, ...rest] = path
  if (key === undefined) return coerce(value, schema)
  if (Array.isArray(value)) {
    return value.map((item, index) => (index === key ? coerceAt(item, rest, childSchema(schema, index)) : item))
  }
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return value
  const members = record(value)
  return { ...members, [key]: coerceAt(members[key], rest, childSchema(schema, key)) }
}

/** After validation: durations in milliseconds, sizes in bytes. */
export const resolveUnits = (value: unknown, schema: JsonSchema): unknown => {
  if (typeof value === 'string') return formats[String(schema['format'])]?.toNumber?.(value) ?? value
  if (Array.isArray(value)) return value.map((item, index) => resolveUnits(item, childSchema(schema, index)))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, resolveUnits(item, childSchema(schema, key))]),
  )
}

const holdsOthers = (schema: JsonSchema): boolean => schema['type'] === 'object' || schema['type'] === 'array'

const coerce = (value: unknown, { type }: JsonSchema): unknown => {
  if (typeof value !== 'string') return value
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
  const numeric = type === 'number' || type === 'integer'
  return numeric && /^-?[0-9]+(\.[0-9]+)?$/.test(value) ? Number(value) : value
}

/** The schema of a member; an empty one when the schema says nothing about it. Only what is written in place: no $ref. */
const childSchema = (schema: JsonSchema, key: string | number): JsonSchema => {
  const items = schema['items']
  if (typeof key === 'number') return record(Array.isArray(items) ? items[key] : items)
  const properties = record(schema['properties'])
  if (Object.hasOwn(properties, key)) return record(properties[key])
  for (const keyword of ['allOf', 'anyOf', 'oneOf']) {
    const branches = schema[keyword]
    for (const branch of Array.isArray(branches) ? branches : []) {
      const found = childSchema(record(branch), key)
      if (Object.keys(found).length > 0) return found
    }
  }
  return record(schema['additionalProperties'])
}
