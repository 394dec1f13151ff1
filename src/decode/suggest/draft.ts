// A draft of a device profile from messages that the log holds: what is device, name, unit, time and noise is guessed, each
// guess is marked for a person to look at, and real messages are its examples, so that it passes its own tests at once.

import type { Decodable, Decode, Reading } from '../../core/contract.ts'
import { TidegateError } from '../../core/errors.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import type { DeviceProfile, FieldRule, ProfileExample, ProfileRule, TimeField } from '../../core/profile.ts'
import { EXAMPLE_SOURCE } from '../examples.ts'
import { documentLeaves } from '../generic.ts'
import { parseJson } from '../json-text.ts'
import { Leaves } from '../leaves.ts'
import { payloadText } from '../payload.ts'
import { createRouter } from '../router.ts'
import { payloadTime } from '../time-field.ts'
import { guessUnit, isNoise, isNumberText, isTimeName, missingTexts, type SeenValue } from './field-guess.ts'
import { profileYaml } from './profile-yaml.ts'
import { type TopicShape, topicAsItIs, topicShape } from './topic-shape.ts'

/** Dialects that need no options, the most particular first. */
const DIALECTS = [
  'dsmr',
  'vedirect',
  'nmea',
  'ruuvi',
  'pms',
  'sds',
  'senml',
  'senml-cbor',
  'line-protocol',
  'pairs',
  'csv',
]
const MAX_EXAMPLES = 3
/** A longer payload makes no readable example. */
const MAX_EXAMPLE_BYTES = 4_096
/** One value is no longer. */
const MAX_VALUE_BYTES = 64
/** Of a value: enough to know what it is. */
const MAX_SEEN_VALUES = 50
/** So much of what was seen must come out without a fault. */
const GOOD_PART = 0.9

export interface SuggestOptions {
  /** The Topic Filter that the messages were found by. */
  readonly filter: string
  readonly name?: string
  readonly decoders: ReadonlyMap<string, DecoderPlugin>
}

/** The YAML of a profile. Throws TG_NO_MESSAGES where there is nothing to go by. */
export const suggestProfile = (messages: readonly Decodable[], options: SuggestOptions): string => {
  const { filter, decoders } = options
  const told = messages.filter(({ payload }) => payload.length > 0)
  const [first] = told
  if (first === undefined) throw new TidegateError('TG_NO_MESSAGES', `the log holds no message on '${filter}'`)
  const documents = told.flatMap(({ payload }) => documentOf(payload))
  const isDocument = documents.length >= told.length * GOOD_PART
  const topics = [...new Set(told.map(({ topic }) => topic))]
  const isValue = !isDocument && told.every(({ payload }) => payload.length <= MAX_VALUE_BYTES)
  // Where the pattern takes nothing the topics are strange ones: then one of them as it is.
  for (const shape of [topicShape(topics, filter, !isValue), topicAsItIs(first.topic, !isValue)]) {
    const rule = isDocument
      ? { topics: [shape.pattern], ...deviceOf(shape), ...documentRule(documents) }
      : textRule(told, shape, decoders)
    const profile = blankProfile(options.name ?? nameFrom(filter), rule, topics)
    const router = createRouter([profile], { decoders })
    const examples = examplesOf(profile.name, told, router.decode)
    if (examples.length === 0) continue
    const head = [
      `A draft by tidegate devices suggest, from ${told.length} messages on ${topics.length} topics.`,
      'Look at every line marked CHECK; then: tidegate devices test FILE',
    ]
    return profileYaml({ ...profile, examples }, { head, topic: shape.reason })
  }
  throw new TidegateError('TG_NO_MESSAGES', `no message on '${filter}' is short enough for an example`)
}

const blankProfile = (name: string, rule: ProfileRule, topics: readonly string[]): DeviceProfile => ({
  name,
  title: name,
  source: 'https://example.com/',
  about: aboutText(rule, topics),
  file: 'draft',
  rules: [rule],
  examples: [],
})

/** A valid name of a profile out of a topic filter. */
const nameFrom = (filter: string): string => {
  const words = filter.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  return words.replace(/^-+|-+$/g, '').slice(0, 64) || 'my-device'
}

const documentOf = (payload: Buffer): readonly { readonly text: string; readonly value: object }[] => {
  try {
    const text = payloadText(payload)
    const value = text[0] === '{' ? parseJson(text) : undefined
    return typeof value === 'object' && value !== null ? [{ text, value }] : []
  } catch {
    return [] // it is no document; what it is otherwise is looked at elsewhere
  }
}

const documentRule = (
  documents: readonly { readonly text: string; readonly value: object }[],
): Omit<ProfileRule, 'topics'> => {
  const seen = new Map<string, { readonly name: string; readonly values: Set<Reading['value']> }>()
  for (const { text, value } of documents)
    for (const reading of leavesOf(text, value)) {
      const known = seen.get(reading.name) ?? { name: reading.name, values: new Set() }
      seen.set(reading.name, known)
      if (known.values.size < MAX_SEEN_VALUES) known.values.add(reading.value)
    }
  const values = [...seen.values()]
  const time = values.map(timeField).find((found) => found !== undefined)
  const fields = fieldRules(values.filter(({ name }) => name !== time?.path))
  const missing = [...new Set(values.flatMap(missingTexts))]
  return {
    decoder: 'json',
    ...(time === undefined ? {} : { time }),
    ...(values.some(isNumberText) ? { numbers: true } : {}),
    ...(missing.length === 0 ? {} : { missing }),
    ...(fields.length === 0 ? {} : { fields }),
  }
}

const leavesOf = (text: string, value: object): readonly Reading[] => {
  try {
    return documentLeaves(text, value, (document) => {
      const found = new Leaves('')
      found.walk(document, '', 0)
      return found
    }).readings
  } catch {
    return [] // too many values, or nested too deeply: no telemetry
  }
}

const timeField = ({ name, values }: SeenValue): TimeField | undefined => {
  if (!isTimeName(name)) return undefined
  for (const format of ['unix', 'unix-ms', 'iso8601'] as const)
    if ([...values].every((value) => payloadTime(value, format) !== undefined)) return { path: name, format }
  return undefined
}

const fieldRules = (values: readonly SeenValue[]): readonly FieldRule[] => [
  ...values
    .filter((value) => !isNoise(value))
    .flatMap((value): readonly FieldRule[] => {
      const unit = guessUnit(value)
      return unit === undefined ? [] : [{ match: [value.name], unit }]
    }),
  ...values.filter(isNoise).map(({ name }) => ({ match: [name], ignore: true })),
]

const deviceOf = ({ device }: TopicShape) => (device === undefined ? {} : { device })

/** One value, or lines of a dialect. */
const textRule = (
  messages: readonly Decodable[],
  shape: TopicShape,
  decoders: ReadonlyMap<string, DecoderPlugin>,
): ProfileRule => {
  const { name } = shape
  const place = { topics: [shape.pattern], ...deviceOf(shape) }
  const scalar: ProfileRule = { ...place, decoder: 'scalar', name: name ?? 'value' }
  const dialects = DIALECTS.filter((decoder) => decoders.has(decoder)).map((decoder) => ({
    ...place,
    decoder,
    options: defaultOptions(decoders.get(decoder)),
  }))
  const fitting =
    [scalar, ...dialects].find((rule) => isGood(rule, messages, decoders, true)) ??
    [scalar].find((rule) => isGood(rule, messages, decoders, false))
  if (fitting === undefined) return { ...place, decoder: 'generic' }
  if (fitting !== scalar) return fitting
  const values = new Set(messages.slice(0, MAX_SEEN_VALUES).map(({ payload }) => payload.toString().trim()))
  // The captured name says more than its template.
  const names =
    name === undefined || name.includes('{') ? messages.map(({ topic }) => topic.split('/').at(-1) ?? '') : [name]
  const fields = [...new Set(names)].flatMap((one): readonly FieldRule[] => {
    const unit = guessUnit({ name: one, values })
    return unit === undefined ? [] : [{ match: [one], unit }]
  })
  return { ...scalar, ...(fields.length === 0 ? {} : { fields }) }
}

/** What the file's reader fills in, too. */
const defaultOptions = (plugin: DecoderPlugin | undefined): Readonly<Record<string, unknown>> => {
  const properties = (plugin?.schema['properties'] ?? {}) as Readonly<Record<string, { readonly default?: unknown }>>
  return Object.fromEntries(
    Object.entries(properties).flatMap(([key, { default: value }]) => (value === undefined ? [] : [[key, value]])),
  )
}

const isGood = (
  rule: ProfileRule,
  messages: readonly Decodable[],
  decoders: ReadonlyMap<string, DecoderPlugin>,
  /** A text may be anything: also a line that a dialect understands better. */
  noTexts: boolean,
): boolean => {
  const draft = { name: 'draft', title: '', source: '', about: '', file: '', rules: [rule], examples: [] }
  const router = createRouter([draft], { decoders })
  const good = messages.filter((message) => {
    const { fault, readings } = router.decode(message)
    const isText = readings.every(({ value }) => typeof value === 'string')
    return fault === undefined && readings.length > 0 && !(noTexts && isText)
  })
  return good.length >= messages.length * GOOD_PART
}

/** Messages that bring names which none before them brought. */
const examplesOf = (name: string, messages: readonly Decodable[], decode: Decode): readonly ProfileExample[] => {
  const names = new Set<string>()
  const examples: ProfileExample[] = []
  for (const seen of messages) {
    // To the second, as people write it.
    const message = { ...seen, source: EXAMPLE_SOURCE, receivedAt: Math.floor(seen.receivedAt / 1_000) * 1_000 }
    if (examples.length >= MAX_EXAMPLES || message.payload.length > MAX_EXAMPLE_BYTES) continue
    const { profile, readings, fault } = decode(message)
    if (profile !== name) continue // another topic than the pattern takes
    const isNew = examples.length === 0 || readings.some((reading) => !names.has(reading.name))
    if (!isNew) continue
    for (const reading of readings) names.add(reading.name)
    examples.push(exampleOf(message, readings, fault))
  }
  return examples
}

const exampleOf = (
  { topic, payload, receivedAt }: Decodable,
  readings: readonly Reading[],
  fault: string | undefined,
) => {
  const devices = new Set(readings.map(({ device }) => device))
  const [device] = devices
  const text = payload.toString()
  return {
    topic,
    ...(Buffer.from(text).equals(payload) ? { payload: text } : { payload: '', hex: payload.toString('hex') }),
    receivedAt: new Date(receivedAt).toISOString().replace('.000Z', 'Z'),
    ...(devices.size === 1 && device !== undefined ? { device } : {}),
    readings: readings.map(({ device: own, name, value, unit, timeMs }) => ({
      ...(devices.size > 1 ? { device: own } : {}),
      name,
      value,
      ...(unit === undefined ? {} : { unit }),
      ...(timeMs === undefined ? {} : { time: new Date(timeMs).toISOString() }),
    })),
    ...(fault === undefined ? {} : { fault }),
  }
}

const aboutText = (rule: ProfileRule, topics: readonly string[]): string =>
  [
    'Device: the level of the topic that is {device}. CHECK',
    `Name: ${rule.decoder === 'json' ? 'the path in the JSON' : rule.decoder === 'scalar' ? 'from the topic' : `what the dialect ${rule.decoder} says`}.`,
    'Unit: guessed from the names. CHECK',
    `Time: ${rule.time === undefined ? 'none in the payload, so the arrival counts' : `${rule.time.path} of the payload`}.`,
    `Noise: ${rule.fields?.filter(({ ignore }) => ignore === true).length ?? 0} fields are left out. CHECK`,
    `Seen on: ${topics.slice(0, 3).join(', ')}${topics.length > 3 ? ', …' : ''}`,
  ].join('\n')
