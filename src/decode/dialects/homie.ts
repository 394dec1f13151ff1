// The dialect 'homie': values of the Homie convention, versions 4 (an attribute a topic) and 5 (one $description a device),
// typed and with units as the device describes them. https://homieiot.github.io/specification/

import type { Decoded, Presence } from '../../core/contract.ts'
import type { DecoderInput, Described } from '../../core/decoder-contract.ts'
import { DecodeError } from '../../core/errors.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { convertUnit, unitSpelling } from '../../core/unit.ts'
import { at } from '../fields.ts'
import { parseJson } from '../json-text.ts'
import { MAX_TEXT_LENGTH, shortened } from '../limits.ts'
import { payloadText } from '../payload.ts'
import { parseScalar, type ScalarValue } from '../scalar.ts'

const MAX_PROPERTIES = 2_000
/** Children of a root device, and theirs. */
const MAX_CHILDREN = 500
const MAX_ATTRIBUTE_LENGTH = 256
/** Homie 5, "Payload": an empty string is sent as one zero byte, because an empty payload deletes. */
const EMPTY_STRING = Buffer.from([0])

interface Options {
  readonly message: 'value' | 'attribute' | 'description' | 'state'
}

/** Plain data. */
interface Property {
  readonly datatype?: string
  readonly unit?: string
  readonly format?: string
}

interface Device {
  readonly properties: readonly (readonly [path: string, property: Property])[]
  readonly children: readonly string[]
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'homie',
  schema: {
    description: 'Messages of the Homie convention',
    properties: {
      message: {
        enum: ['value', 'attribute', 'description', 'state'],
        default: 'value',
        description: 'What comes on the topics',
      },
    },
  },
  create: (options) => {
    const { message } = options as Options
    if (message === 'attribute') return { decode: () => [], describe: describeAttribute }
    if (message === 'description') return { decode: decodeDescription, describe: describeDevice }
    return { decode: message === 'state' ? decodeState : decodeValue }
  },
}

/** homie/DEVICE/NODE/PROPERTY/$unit; the key is the topic. */
const describeAttribute = ({ topic, payload }: DecoderInput): readonly Described[] =>
  payload.length === 0 || payload.length > MAX_ATTRIBUTE_LENGTH ? [] : [{ key: topic, value: payload.toString() }]

const decodeDescription = ({ payload }: DecoderInput): [] => {
  if (payload.length > 0) deviceIn(payload)
  return []
}

/** homie/5/DEVICE/$description; the key is homie/5/DEVICE. */
const describeDevice = ({ topic, payload }: DecoderInput): readonly Described[] =>
  payload.length === 0 ? [] : [{ key: topic.slice(0, topic.lastIndexOf('/')), value: deviceIn(payload) }]

const deviceIn = (payload: Buffer): Device => {
  const document = parseJson(payloadText(payload))
  const properties: [string, Property][] = []
  for (const [node, described] of entriesOf(at(document, 'nodes')))
    for (const [id, property] of entriesOf(at(described, 'properties')))
      if (properties.length < MAX_PROPERTIES) properties.push([`${node}/${id}`, propertyOf(property)])
  const children = at(document, 'children')
  const named = Array.isArray(children) ? (children as readonly unknown[]) : []
  return { properties, children: named.filter((child) => typeof child === 'string').slice(0, MAX_CHILDREN) }
}

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : []

const propertyOf = (value: unknown): Property => {
  const text = (key: string) => {
    const found = at(value, key)
    return typeof found === 'string' && found.length <= MAX_ATTRIBUTE_LENGTH ? { [key]: found } : {}
  }
  return { ...text('datatype'), ...text('unit'), ...text('format') }
}

/** Descriptions are shared by all messages that need them. */
const byPath = new WeakMap<Device, ReadonlyMap<string, Property>>()

/** PREFIX/DEVICE/NODE/PROPERTY: what the device says of it, in version 5 or else in version 4. */
const propertyAt = ({ topic, description }: DecoderInput): Property => {
  const levels = topic.split('/')
  const device = description(levels.slice(0, -2).join('/'))?.value as Device | undefined
  if (device !== undefined) {
    const known = byPath.get(device) ?? new Map(device.properties)
    byPath.set(device, known)
    return known.get(levels.slice(-2).join('/')) ?? {}
  }
  const attribute = (name: string) => {
    const value = description(`${topic}/$${name}`)?.value
    return typeof value === 'string' ? { [name]: value } : {}
  }
  return { ...attribute('datatype'), ...attribute('unit'), ...attribute('format') }
}

const decodeValue = (message: DecoderInput): Decoded => {
  const { payload, topic, device } = message
  if (payload.length === 0) return { readings: [] } // it is taken back
  const property = propertyAt(message)
  const name = topic.split('/').slice(-2).join('.')
  const { value, unit } = typedValue(payload, property, name)
  if (typeof value !== 'number') return { readings: [{ device, name, value }] }
  if (!isInRange(value, property.format))
    return { readings: [], doubtful: [{ device, name, reason: 'out-of-range', value }] }
  const spelling = property.unit === undefined ? undefined : unitSpelling(property.unit, name)
  if (unit !== undefined) return { readings: [{ device, name, value, unit }] } // it stood beside the value
  if (spelling === undefined) return { readings: [{ device, name, value }] }
  return { readings: [{ device, name, value: convertUnit(value, spelling), unit: spelling.unit }] }
}

const typedValue = (payload: Buffer, { datatype }: Property, name: string): ScalarValue => {
  if (payload.equals(EMPTY_STRING)) return { value: '' }
  const text = payloadText(payload)
  switch (datatype) {
    case 'integer':
    case 'float':
      return { value: numberOf(text, datatype, name) }
    case 'boolean':
      if (text !== 'true' && text !== 'false') throw notOf(text, datatype, name)
      return { value: text === 'true' }
    case undefined:
      return parseScalar(text, name)
    default:
      // string, enum, color, datetime, duration, json
      if (text.length > MAX_TEXT_LENGTH)
        throw new DecodeError(`${name} is text of ${text.length} characters, more than ${MAX_TEXT_LENGTH}`)
      return { value: text }
  }
}

const numberOf = (text: string, datatype: string, name: string): number | string => {
  const isInteger = /^[-+]?\d+$/.test(text)
  const isNumber = isInteger || (datatype === 'float' && /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(text))
  const number = Number(text)
  if (!isNumber || !Number.isFinite(number)) throw notOf(text, datatype, name)
  return isInteger && !Number.isSafeInteger(number) ? text : number
}

const notOf = (text: string, datatype: string, name: string): DecodeError =>
  new DecodeError(`${name}: ${shortened(JSON.stringify(text))} is no ${datatype}`)

/** `min:max`, `min:max:step`; either may be left out. */
const isInRange = (value: number, format: string | undefined): boolean => {
  const match = /^([-+.\de]*):([-+.\de]*)(?::.*)?$/i.exec(format ?? '')
  if (match === null) return true
  const [, low = '', high = ''] = match
  return !(low !== '' && value < Number(low)) && !(high !== '' && value > Number(high))
}

/** Homie 5, "$state": when a root device is lost or disconnected, so are its children. */
const decodeState = (message: DecoderInput): Decoded => {
  const { payload, device, topic } = message
  const state = payload.length === 0 ? '' : payloadText(payload)
  const readings = state === '' ? [] : [{ device, name: 'state', value: state }]
  if (['init', 'ready', 'alert', 'sleeping'].includes(state)) return { readings, presence: [{ device, online: true }] }
  if (!['lost', 'disconnected', ''].includes(state)) throw new DecodeError(`there is no state '${shortened(state)}'`)
  const self = topic.slice(0, topic.lastIndexOf('/'))
  const home = self.slice(0, self.lastIndexOf('/') + 1)
  const gone = new Map<string, Presence>([[device, { device, online: false }]])
  const look = [self]
  for (let place = 0; place < look.length && gone.size <= MAX_CHILDREN; place++) {
    const described = message.description(look[place] ?? '')?.value as Device | undefined
    for (const child of described?.children ?? []) {
      const name = `${home}${child}`
      if (gone.has(name)) continue
      gone.set(name, { device: name, online: false })
      look.push(name)
    }
  }
  return { readings, presence: [...gone.values()] }
}
