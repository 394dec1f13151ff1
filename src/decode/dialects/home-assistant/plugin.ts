// The dialect 'home-assistant': discovery topics, homeassistant/COMPONENT/[NODE/]OBJECT/config and the device-based
// homeassistant/device/[NODE/]OBJECT/config. They are no measurements: they say where the values are, in which unit, and
// what says whether a device is there. An empty one takes back what was said.

import type { DecoderInput, Described, TopicNote } from '../../../core/decoder-contract.ts'
import { DecodeError } from '../../../core/errors.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import { parseJson } from '../../json-text.ts'
import { payloadText } from '../../payload.ts'
import { expanded, VALUE_KEYS } from './abbreviations.ts'
import { templatePlace } from './template.ts'

/** Entities of one device, and topics of one message; a large device has some hundred. */
const MAX_ENTITIES = 500
const MAX_NOTES = 2_000
/** Keys that a device hands down to each of its entities; real ones have a dozen. */
const MAX_SHARED_KEYS = 100
/** Topics that say whether one entity is there. */
const MAX_AVAILABILITY = 50
/** No device needs longer ones. */
const MAX_TOPIC_LENGTH = 512
const MAX_TEXT_LENGTH = 64
/** A path that no value stands at. */
const NOWHERE = ''

type Fields = ReadonlyMap<string, unknown>
type Place = { readonly topic: string; readonly path?: string }

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'home-assistant',
  schema: { description: 'Home Assistant MQTT discovery: says what comes on other topics', properties: {} },
  create: () => ({
    decode: (message) => {
      if (message.payload.length > 0) rootOf(message)
      return []
    },
    describe: (message): readonly Described[] => {
      if (message.payload.length === 0) return []
      const root = rootOf(message)
      const topics: TopicNote[] = []
      for (const entity of entitiesOf(root)) {
        topics.push(...entityNotes(entity).slice(0, MAX_NOTES))
        if (topics.length >= MAX_NOTES) break
      }
      return [{ key: message.topic, value: null, topics: topics.slice(0, MAX_NOTES) }]
    },
  }),
}

const rootOf = ({ payload }: DecoderInput): Fields => {
  const value = parseJson(payloadText(payload))
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DecodeError('the discovery is not a JSON object')
  return expanded(value)
}

/** One, or those of a device, which inherit what the device says. */
const entitiesOf = (root: Fields): readonly Fields[] => {
  const components = root.get('components')
  if (typeof components !== 'object' || components === null) return [root]
  const shared = new Map(Array.from(root).slice(0, MAX_SHARED_KEYS))
  shared.delete('components')
  const tilde = root.get('~')
  return Object.values(components)
    .slice(0, MAX_ENTITIES)
    .flatMap((one: unknown) => {
      if (typeof one !== 'object' || one === null) return []
      return [new Map([...shared, ...expanded(one, typeof tilde === 'string' ? tilde : undefined)])]
    })
}

const entityNotes = (entity: Fields): readonly TopicNote[] => {
  const values = [...stateNotes(entity), ...furtherNotes(entity)]
  return [...values, ...availabilityNotes(entity, values)]
}

const stateNotes = (entity: Fields): readonly TopicNote[] => {
  const topic = topicIn(entity, 'state_topic')
  if (topic === undefined) return []
  const on = textIn(entity, 'state_on') ?? textIn(entity, 'payload_on')
  const off = textIn(entity, 'state_off') ?? textIn(entity, 'payload_off')
  const unit = textIn(entity, 'unit_of_measurement')
  const kind = textIn(entity, 'device_class')
  return [
    {
      ...placeOf(topic, textIn(entity, 'value_template', 2_000) ?? textIn(entity, 'state_value_template', 2_000)),
      is: 'value',
      ...(unit === undefined ? {} : { unit }),
      ...(kind === undefined ? {} : { kind }),
      ...(on === undefined || off === undefined ? {} : { on, off }),
    },
  ]
}

const furtherNotes = (entity: Fields): readonly TopicNote[] =>
  VALUE_KEYS.flatMap(({ topic: key, template, unitKey, unit: fixed, kind }): TopicNote[] => {
    const topic = topicIn(entity, key)
    if (topic === undefined) return []
    const unit = fixed ?? (unitKey === undefined ? undefined : textIn(entity, unitKey))
    return [
      {
        ...placeOf(topic, textIn(entity, template, 2_000)),
        is: 'value',
        ...(unit === undefined ? {} : { unit }),
        ...(kind === undefined ? {} : { kind }),
      },
    ]
  })

/** With several topics and the mode `all` one of them can only say that the device is gone; with `any`, that it is there. */
const availabilityNotes = (entity: Fields, values: readonly TopicNote[]): readonly TopicNote[] => {
  const of = values.map(({ topic, path }) => (path === undefined ? { topic } : { topic, path }))
  if (of.length === 0) return []
  const list = entity.get('availability')
  const base = entity.get('~')
  const listed = Array.isArray(list) ? (list as readonly unknown[]).slice(0, MAX_AVAILABILITY) : []
  const each = listed.flatMap((one) =>
    typeof one === 'object' && one !== null ? [expanded(one, typeof base === 'string' ? base : undefined, true)] : [],
  )
  const single = entity.has('availability_topic') ? [entity] : []
  const all = [...each, ...single]
  const mode = all.length > 1 ? textIn(entity, 'availability_mode') : undefined
  return all.flatMap((one): TopicNote[] => {
    const topic = topicIn(one, one === entity ? 'availability_topic' : 'topic')
    if (topic === undefined) return []
    const template = textIn(one, one === entity ? 'availability_template' : 'value_template', 2_000)
    const on = textIn(one, 'payload_available') ?? 'online'
    const off = textIn(one, 'payload_not_available') ?? 'offline'
    return [
      {
        ...placeOf(topic, template),
        is: 'availability',
        ...(mode === 'all' ? {} : { on }),
        ...(mode === 'any' ? {} : { off }),
        of,
      },
    ]
  })
}

const placeOf = (topic: string, template: string | undefined): Place => {
  const place = templatePlace(template)
  if (place.kind === 'whole') return { topic }
  return { topic, path: place.kind === 'path' ? place.path : NOWHERE }
}

const topicIn = (fields: Fields, key: string): string | undefined => {
  const topic = fields.get(key)
  return typeof topic === 'string' && topic !== '' && topic.length <= MAX_TOPIC_LENGTH ? topic : undefined
}

/** Texts, and what stands in place of one: `payload_on: 1`, `payload_on: true`. */
const textIn = (fields: Fields, key: string, maxLength = MAX_TEXT_LENGTH): string | undefined => {
  const value = fields.get(key)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value.length <= maxLength ? value : undefined
}
