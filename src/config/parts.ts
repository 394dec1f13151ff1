// Sources and sinks: each entry is checked with the schema of its own type, and the types are those of the plug-ins.

import { isLaterKey, isLaterType } from './availability.ts'
import { nearest } from './nearest.ts'
import { coreSchema, type JsonSchema, list, type PluginType, partSchema, record } from './schema.ts'
import { type Finding, validator } from './validation.ts'

export type PartList = 'sources' | 'sinks'

const kinds = { sources: 'source', sinks: 'sink' } as const

/** The schema of this very configuration: every entry of `sources` and `sinks` has its type's own. */
export const wholeSchema = (value: unknown, plugins: readonly PluginType[]): JsonSchema => {
  const items = (key: PartList) =>
    list(record(value)[key]).map((part) => {
      const plugin = find(plugins, kinds[key], record(part)['type'])
      return plugin === undefined ? {} : partSchema(plugin)
    })
  const properties = record(coreSchema['properties'])
  return {
    ...coreSchema,
    properties: {
      ...properties,
      sources: { ...record(properties['sources']), items: items('sources') },
      sinks: { ...record(properties['sinks']), items: items('sinks') },
    },
  }
}

/** Checks every entry whose type is known, filling in its defaults, and names the types that are not. */
export const partFindings = (value: unknown, plugins: readonly PluginType[]): readonly Finding[] => {
  const validators = new Map<PluginType, ReturnType<typeof validator>>()
  const check = (key: PartList, part: unknown, index: number): readonly Finding[] => {
    const kind = kinds[key]
    const type = record(part)['type']
    if (typeof type !== 'string') return [] // reported by the schema around it
    const plugin = find(plugins, kind, type)
    if (plugin === undefined) {
      const known = plugins.filter((other) => other.kind === kind).map((other) => other.type)
      return [{ path: [key, index, 'type'], at: 'value', message: unknownType(kind, type, known) }]
    }
    const validate = validators.get(plugin) ?? validator(ownSchema(plugin))
    validators.set(plugin, validate)
    return validate(part, [key, index]).map((finding) =>
      finding.at === 'key' && finding.path.length === 3 ? honest(finding, kind, type) : finding,
    )
  }
  return (['sources', 'sinks'] as const).flatMap((key) =>
    list(record(value)[key]).flatMap((part, index) => check(key, part, index)),
  )
}

// `name` and `type` are checked by the schema around it.
const ownSchema = (plugin: PluginType): JsonSchema => {
  const schema = partSchema(plugin)
  return {
    ...schema,
    properties: { ...record(schema['properties']), name: {}, type: {} },
    required: list(plugin.schema['required']),
  }
}

const find = (plugins: readonly PluginType[], kind: PluginType['kind'], type: unknown): PluginType | undefined =>
  plugins.find((plugin) => plugin.kind === kind && plugin.type === type)

const unknownType = (kind: PluginType['kind'], type: string, known: readonly string[]): string => {
  if (isLaterType(kind, type)) return `${kind} type ${type} is not available in this version yet`
  const meant = nearest(type, known)
  return `unknown ${kind} type ${type}; ${meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`}`
}

const honest = (finding: Finding, kind: PluginType['kind'], type: string): Finding => {
  const key = String(finding.path.at(-1))
  if (!isLaterKey(kind, type, key)) return finding
  return { ...finding, message: `key ${key} of ${kind} type ${type} is not available in this version yet` }
}
