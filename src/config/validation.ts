// Checks a value against a JSON Schema and says what is wrong in a user's words: which key, what is expected, what was meant.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { Path } from './document.ts'
import { formats } from './formats.ts'
import { nearest } from './nearest.ts'
import { type JsonSchema, record } from './schema.ts'

export interface Finding {
  readonly path: Path
  /** What to point at: the key (it should not be there) or its value. */
  readonly at: 'key' | 'value'
  readonly message: string
}

const KNOWN_KEYS_SHOWN = 12

/** Compiles; the result fills in defaults in the value that it is given, which stands at `at` in the configuration. */
export const validator = (schema: JsonSchema): ((value: unknown, at?: Path) => readonly Finding[]) => {
  const validate: ValidateFunction = newAjv().compile(schema)
  return (value, at = []) => {
    if (validate(value)) return []
    return withoutEchoes(validate.errors ?? []).map((error) => finding(error, at))
  }
}

// Third-party schemas may use keywords of their own, so unknown ones pass; a test compiles the built-in ones strictly.
const newAjv = (): Ajv => {
  const ajv = new Ajv({ allErrors: true, verbose: true, useDefaults: true, strict: false, logger: false })
  for (const [name, format] of Object.entries(formats)) ajv.addFormat(name, format.accepts)
  const bound = (keyword: string, holds: (value: number, limit: number) => boolean) =>
    ajv.addKeyword({
      keyword,
      type: 'string',
      schemaType: 'string',
      compile: (limit: string, parent: Record<string, unknown>) => {
        const toNumber = formats[String(parent['format'])]?.toNumber
        return (text: string) => {
          const value = toNumber?.(text)
          const limitValue = toNumber?.(limit)
          return value === undefined || limitValue === undefined || holds(value, limitValue)
        }
      },
    })
  bound('formatMinimum', (value, limit) => value >= limit)
  bound('formatMaximum', (value, limit) => value <= limit)
  return ajv
}

// A choice (anyOf, oneOf, if) that fails reports every branch: keep the complaints of the only branch that can be meant.
const withoutEchoes = (errors: readonly ErrorObject[]): readonly ErrorObject[] => {
  const choices = errors.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')
  const dropped = new Set<ErrorObject>(errors.filter(({ keyword }) => keyword === 'if'))
  for (const choice of choices) {
    const branches = new Map<string, ErrorObject[]>()
    for (const error of errors) {
      if (!error.schemaPath.startsWith(`${choice.schemaPath}/`)) continue
      const branch = error.schemaPath.slice(choice.schemaPath.length + 1).split('/')[0] ?? ''
      branches.set(branch, [...(branches.get(branch) ?? []), error])
    }
    const meant = [...branches.values()].filter((list) => !list.some((error) => tellsApart(error, choice)))
    const best = meant.length === 1 ? meant[0] : undefined
    if (best !== undefined) dropped.add(choice)
    for (const list of branches.values()) if (list !== best) for (const error of list) dropped.add(error)
  }
  return errors.filter((error) => !dropped.has(error))
}

// The value itself is of another kind, or a member that marks the kind (`type: line`) has another value.
const tellsApart = ({ keyword, instancePath }: ErrorObject, choice: ErrorObject): boolean => {
  const depth = instancePath.slice(choice.instancePath.length).split('/').length - 1
  return (keyword === 'type' && depth === 0) || (['const', 'enum'].includes(keyword) && depth <= 1)
}

const finding = (error: ErrorObject, at: Path): Finding => {
  const path = [...at, ...pointerPath(error.instancePath)]
  const params = record(error.params)
  if (error.keyword === 'additionalProperties') {
    const key = String(params['additionalProperty'])
    return { path: [...path, key], at: 'key', message: unknownKey(key, path, Object.keys(knownProperties(error))) }
  }
  if (error.keyword === 'required') {
    return { path, at: 'value', message: `${subject(path)} lacks the key ${String(params['missingProperty'])}` }
  }
  return { path, at: 'value', message: `${subject(path)} ${complaint(error, params)}` }
}

/** How a path is written in messages: `sinks[0].batch.maxDelay`. */
export const pathText = (path: Path): string =>
  path.map((key, index) => (typeof key === 'number' ? `[${key}]` : index === 0 ? key : `.${key}`)).join('')

const subject = (path: Path): string => (path.length === 0 ? 'the configuration' : pathText(path))

const unknownKey = (key: string, path: Path, known: readonly string[]): string => {
  const where = path.length === 0 ? '' : ` in ${pathText(path)}`
  const meant = nearest(key, known)
  if (meant !== undefined) return `unknown key ${key}${where}; did you mean ${meant}?`
  const shown = known.slice(0, KNOWN_KEYS_SHOWN).join(', ')
  return `unknown key ${key}${where}; known are ${shown}${known.length > KNOWN_KEYS_SHOWN ? ' …' : ''}`
}

const knownProperties = (error: ErrorObject): Readonly<Record<string, unknown>> =>
  record(record(error.parentSchema)['properties'])

const complaint = (error: ErrorObject, params: Readonly<Record<string, unknown>>): string => {
  const limit = String(params['limit'])
  switch (error.keyword) {
    case 'type':
      return wrongType(error)
    case 'format':
      return `must be ${formats[String(params['format'])]?.expected ?? `a valid ${String(params['format'])}`}`
    case 'formatMinimum':
    case 'formatMaximum':
      return `must be at ${error.keyword === 'formatMinimum' ? 'least' : 'most'} ${String(error.schema)}`
    case 'enum':
      return oneOf(error.data, Array.isArray(params['allowedValues']) ? params['allowedValues'] : [])
    case 'const':
      return `must be ${JSON.stringify(params['allowedValue'])}`
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `must be ${String(params['comparison'])} ${limit}`
    case 'minLength':
      return limit === '1' ? 'must not be empty' : `must have at least ${limit} characters`
    case 'maxLength':
      return `must have at most ${limit} characters`
    case 'minItems':
      return limit === '1' ? 'must not be an empty list' : `must have at least ${limit} items`
    case 'maxItems':
      return `must have at most ${limit} items`
    case 'pattern':
      return `must match ${String(params['pattern'])}`
    case 'uniqueItems':
      return 'must not hold the same item twice'
    case 'anyOf':
    case 'oneOf':
      return 'has none of the forms that are allowed here'
    default:
      return error.message ?? 'is not valid'
  }
}

const oneOf = (data: unknown, allowed: readonly unknown[]): string => {
  const words = allowed.map(String)
  const meant = typeof data === 'string' ? nearest(data, words) : undefined
  return `must be one of ${words.join(', ')}${meant === undefined ? '' : `; did you mean ${meant}?`}`
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of keys',
  null: 'empty',
}

const wrongType = ({ data, params, parentSchema }: ErrorObject): string => {
  const format = String(record(parentSchema)['format'])
  const isNumber = typeof data === 'number'
  if (isNumber && format === 'duration') return `must be a duration with its unit: write ${data}ms, or ${data}s`
  if (isNumber && format === 'size') return `must be a size with its unit: write ${data}B, or ${data}MiB`
  const wanted = record(params)['type']
  const types = Array.isArray(wanted) ? wanted.map(String) : [String(wanted)]
  const known = formats[format]
  const expected =
    known !== undefined && types[0] === 'string'
      ? known.expected
      : types.map((type) => typeWords[type] ?? type).join(' or ')
  return `must be ${expected}, not ${actual(data)}`
}

// Never the value itself: it may be a secret.
const actual = (data: unknown): string => {
  if (data === null || data === undefined) return 'empty'
  if (Array.isArray(data)) return 'a list'
  switch (typeof data) {
    case 'object':
      return 'a mapping of keys'
    case 'string':
      return 'a text'
    case 'boolean':
      return 'true or false'
    default:
      return 'a number'
  }
}

const pointerPath = (pointer: string): Path =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^(0|[1-9][0-9]{0,8})$/.test(part) ? Number(part) : part))
