// The JSON Schema of the configuration: the part that is always there, and how the plug-ins' own schemas join it. The same
// schema validates, fills in defaults, resolves units, and is shipped and served for editors.

import type { Plugin } from '../core/plugin-contract.ts'
import { durationPattern, sizePattern } from './units.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

/** What the configuration needs to know of a plug-in. */
export type PluginType = Pick<Plugin, 'kind' | 'type' | 'schema'> & {
  /** Of a decoder: called to learn whether it refuses options that its schema accepts. */
  create?(options: unknown, context: never): unknown
}

/** More sources or sinks than this is a mistake of a generator; each costs memory and, as a sink, a cursor. */
const MAX_PARTS = 256
/** Each is matched against every topic of an old segment. */
const MAX_POLICIES = 100
/** Names become directories, metric labels and AMQP routing words. */
export const MAX_NAME_LENGTH = 64
const NAME_PATTERN = `^[A-Za-z0-9][A-Za-z0-9_-]{0,${MAX_NAME_LENGTH - 1}}$`

const object = (description: string, properties: JsonSchema): JsonSchema => ({
  type: 'object',
  description,
  default: {},
  additionalProperties: false,
  properties,
})

const texts = (description: string, maxItems: number): JsonSchema => ({
  type: 'array',
  description,
  default: [],
  maxItems,
  items: { type: 'string', minLength: 1 },
})

const name: JsonSchema = {
  type: 'string',
  format: 'name',
  description: 'Unique among its kind; used in paths and metrics',
}

const parts = (description: string, initial: readonly unknown[]): JsonSchema => ({
  type: 'array',
  description,
  default: initial,
  maxItems: MAX_PARTS,
  items: { type: 'object', required: ['name', 'type'], properties: { name, type: { type: 'string' } } },
})

const gateway = object('This gateway and its directories', {
  id: {
    type: 'string',
    format: 'name',
    description: 'Names the gateway upstream: in message ids, headers and routing keys. Default: the host name',
  },
  data: {
    type: 'string',
    minLength: 1,
    description: 'Data directory. Default: $STATE_DIRECTORY, else $XDG_STATE_HOME/tidegate',
  },
  clockWait: {
    type: 'string',
    format: 'duration',
    formatMaximum: '1h',
    default: '60s',
    description:
      'How long after the start messages from before the clock was set wait for it; then they go on, so marked',
  },
  plugins: texts('Paths of third-party plug-ins', 64),
  devices: texts('Further directories of device profiles', 64),
})

const log = object('The durable log of messages', {
  commitDelay: {
    type: 'string',
    format: 'duration',
    formatMaximum: '60s',
    default: '10ms',
    description: 'How long a message may wait for company before the fsync',
  },
  maxBytes: {
    type: 'string',
    format: 'size',
    formatMinimum: '1MiB',
    default: '1GiB',
    description: 'Retention by size; the oldest messages go first',
  },
  maxAge: {
    type: 'string',
    format: 'duration',
    formatMinimum: '1m',
    default: '30d',
    description: 'Retention by age',
  },
  minFree: {
    type: 'string',
    format: 'size',
    default: '256MiB',
    description: 'Free space of the file system below which messages are refused',
  },
  whenFull: {
    type: 'string',
    enum: ['dropOldest', 'refuse'],
    default: 'dropOldest',
    description: 'What happens at maxBytes to messages that no sink has settled',
  },
  keep: {
    type: 'array',
    description:
      'What of old messages stays when there is no room for all, before the oldest go: for each topic that a policy matches, the newest of each step of time. The first that matches decides; what none matches is not thinned',
    default: [],
    maxItems: MAX_POLICIES,
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['per'],
      properties: {
        topic: { type: 'string', format: 'topic-filter', description: 'A Topic Filter for the topic; or else:' },
        device: { type: 'string', format: 'topic-filter', description: 'A Topic Filter for the device' },
        newest: {
          type: 'integer',
          minimum: 1,
          maximum: 1_000,
          default: 1,
          description: 'How many messages of each topic stay of each step',
        },
        per: {
          type: 'string',
          format: 'duration',
          formatMinimum: '1s',
          description: 'The step of time',
        },
      },
    },
  },
})

const api = object('HTTP: the dashboard, REST, WebSocket and metrics', {
  listen: {
    type: 'string',
    format: 'listen',
    default: '127.0.0.1:8080',
    description: 'HOST:PORT; beyond this machine only with tokens',
  },
  tls: {
    type: 'object',
    description: 'Serves HTTPS with this certificate',
    additionalProperties: false,
    required: ['cert', 'key'],
    properties: {
      cert: { type: 'string', minLength: 1, description: 'PEM file: the certificate and its chain' },
      key: { type: 'string', minLength: 1, description: 'PEM file: the private key' },
    },
  },
  tokens: {
    type: 'array',
    description: 'Who may use the API, with the token as `Authorization: Bearer`; required beyond this machine',
    default: [],
    maxItems: 1_000,
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['name', 'hash'],
      properties: {
        name,
        hash: { type: 'string', format: 'token-hash', description: 'sha256: and 64 hexadecimal digits' },
      },
    },
  },
  origins: {
    type: 'array',
    description: 'Origins besides its own whose pages may use the API from a browser',
    default: [],
    maxItems: 100,
    items: { type: 'string', format: 'origin' },
  },
})

/** Everything but the plug-ins' own keys. */
export const coreSchema: JsonSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Configuration of tidegate',
  type: 'object',
  additionalProperties: false,
  properties: {
    gateway,
    log,
    api,
    sources: parts('Where messages come from', [{ name: 'broker', type: 'mqtt-broker', listen: '127.0.0.1:1883' }]),
    sinks: parts('Where messages go', []),
  },
}

/** One entry of `sources` or `sinks`: the plug-in's own keys, with `name` and `type`. */
export const partSchema = ({ type, schema }: PluginType): JsonSchema => ({
  ...schema,
  type: 'object',
  additionalProperties: false,
  properties: { name, type: { const: type }, ...record(schema['properties']) },
  required: ['name', 'type', ...list(schema['required'])],
})

/** The whole schema for editors, which know neither our formats nor placeholders. */
export const shippedSchema = (plugins: readonly PluginType[]): JsonSchema => {
  const items = (kind: PluginType['kind']): JsonSchema => ({
    type: 'object',
    required: ['name', 'type'],
    properties: { name, type: { enum: plugins.filter((plugin) => plugin.kind === kind).map(({ type }) => type) } },
    allOf: plugins
      .filter((plugin) => plugin.kind === kind)
      .map((plugin) => ({
        if: { properties: { type: { const: plugin.type } }, required: ['type'] },
        // biome-ignore lint/suspicious/noThenProperty: JSON Schema's keyword
        then: { ...identity(plugin), ...partSchema(plugin) },
      })),
  })
  const properties = record(coreSchema['properties'])
  const whole = {
    ...coreSchema,
    properties: {
      ...properties,
      sources: { ...record(properties['sources']), items: items('source') },
      sinks: { ...record(properties['sinks']), items: items('sink') },
    },
  }
  return record(withoutFormats(whole))
}

// What a plug-in's own $ref resolves against, once its schema is a part of the whole.
const identity = ({ kind, type, schema }: PluginType): JsonSchema =>
  JSON.stringify(schema).includes('"$ref"') ? { $id: `tidegate:${kind}:${type}` } : {}

const PLACEHOLDER = '.*\\$\\{.+\\}.*'

/** Our formats as patterns. */
const patterns: Readonly<Record<string, string>> = {
  duration: `^(${durationPattern}|${PLACEHOLDER})$`,
  size: `^(${sizePattern}|${PLACEHOLDER})$`,
  listen: `^(.+:[0-9]{1,5}|${PLACEHOLDER})$`,
  name: `${NAME_PATTERN}|${PLACEHOLDER}`,
  'token-hash': `^(sha256:[0-9a-f]{64}|${PLACEHOLDER})$`,
  'topic-filter': '^[^\\u0000]+$',
  unit: '^\\S+$',
  topic: '^[^+#\\u0000]+$',
  'device-path': `^(/.*|${PLACEHOLDER})$`,
  bytes: '^[\\u0000-\\u00ff]+$',
  hex: '^\\s*([0-9a-fA-F]{2}\\s*)+$',
  origin: `^(https?://[^/]+|${PLACEHOLDER})$`,
}

const withoutFormats = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(withoutFormats)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).flatMap(([key, value]): [string, unknown][] => {
    // A value that is no text belongs to a property of that name, not to the keyword.
    if (typeof value !== 'string') return [[key, withoutFormats(value)]]
    if (key === 'format' && Object.hasOwn(patterns, value)) return [['pattern', patterns[value]]]
    return key === 'formatMinimum' || key === 'formatMaximum' ? [] : [[key, value]]
  })
  const { description, formatMinimum, formatMaximum } = record(schema)
  if (typeof description !== 'string') return Object.fromEntries(entries)
  const bounds = [
    ...(typeof formatMinimum === 'string' ? [`; at least ${formatMinimum}`] : []),
    ...(typeof formatMaximum === 'string' ? [`; at most ${formatMaximum}`] : []),
  ]
  return { ...Object.fromEntries(entries), description: description + bounds.join('') }
}

export const isName = (text: string): boolean => nameExpression.test(text)

const nameExpression = new RegExp(NAME_PATTERN)

/** The value if it is an object, else an empty one. */
export const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

/** The value if it is a list, else an empty one. */
export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
