// The dialect 'sparkplug': Sparkplug B (Eclipse Sparkplug 3.0) on spBv1.0/GROUP/TYPE/EDGE[/DEVICE]. Births tell names, datatypes
// and units; what follows them names metrics by alias. Only births of the same session, and before a message, count for it: an
// alias of another session may mean another metric.

import type { Decoded, DeviceRequest, Doubt, Reading } from '../../../core/contract.ts'
import type { DecoderInput, Description } from '../../../core/decoder-contract.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import { convertUnit, unitSpelling } from '../../../core/unit.ts'
import { payloadTime } from '../../time-field.ts'
import { type Birth, birthOf, birthRows, type MetricDefinition, unitOf } from './birth.ts'
import { type Metric, type Payload, readPayload, rebirthCommand, type WireValue } from './payload.ts'
import { metricValue } from './value.ts'

/** Sequence numbers are 0 to 255, over all messages of an edge node but NDEATH (Sparkplug 3.0, 6.4.23). */
const SEQUENCE_MODULO = 256
/** Sparkplug 3.0, 6.4.12: what the property Quality may say; 192 is good. */
const BAD_QUALITIES: ReadonlySet<number> = new Set([0, 500])
const NAMELESS: Birth = { byAlias: new Map(), byName: new Map() }

interface Options {
  readonly message: 'birth' | 'data' | 'death'
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'sparkplug',
  schema: {
    description: 'Sparkplug B payloads; which rule is for births decides what is learnt from',
    properties: {
      message: { enum: ['birth', 'data', 'death'], default: 'data', description: 'What comes on the topics' },
    },
  },
  create: (options) => {
    const { message } = options as Options
    if (message === 'death') return { decode: decodeDeath }
    if (message === 'birth') return { decode: decodeBirth, describe }
    return { decode: decodeData }
  },
}

/** spBv1.0/GROUP/TYPE/EDGE[/DEVICE]; the key of a birth is who was born. */
const placeOf = (topic: string) => {
  const [namespace = '', group = '', type = '', edge = '', device] = topic.split('/')
  const node = `${group}/${edge}`
  return {
    node,
    self: device === undefined ? node : `${node}/${device}`,
    type,
    ncmd: `${namespace}/${group}/NCMD/${edge}`,
  }
}

const describe = (message: DecoderInput) => {
  const { self } = placeOf(message.topic)
  const { metrics } = readPayload(message.payload)
  const bdSeq = bdSeqOf(metrics)
  return [{ key: self, value: birthRows(metrics), ...(bdSeq === undefined ? {} : { tag: bdSeq }) }]
}

const decodeBirth = (message: DecoderInput): Decoded => {
  const payload = readPayload(message.payload)
  const { self, node } = placeOf(message.topic)
  const found = new Found(message, payload, birthOf(birthRows(payload.metrics)))
  found.addAll(payload.metrics, '')
  const presence = [{ device: message.device, online: true }]
  return { ...found.result(), presence, ...sequenceOf(message, payload, self === node) }
}

const decodeData = (message: DecoderInput): Decoded => {
  const payload = readPayload(message.payload)
  const birth = sessionBirth(message)
  const found = new Found(message, payload, birth ?? NAMELESS)
  found.addAll(payload.metrics, '')
  const reason = birth === undefined ? 'its birth is not known' : found.unknown > 0 ? 'it uses an unknown alias' : ''
  const request = reason === '' ? {} : { request: rebirthRequest(message, reason) }
  return { ...found.result(), ...request, ...sequenceOf(message, payload, false) }
}

const decodeDeath = (message: DecoderInput): Decoded => {
  const { node, self } = placeOf(message.topic)
  const payload = readPayload(message.payload)
  if (self !== node)
    return {
      readings: [],
      presence: [{ device: message.device, online: false }],
      ...sequenceOf(message, payload, false),
    }
  // The will of an earlier session may come after the birth of the next one (Sparkplug 3.0, 6.4.19: bdSeq).
  const born = earlier(message, message.description(node))?.tag
  const died = bdSeqOf(payload.metrics)
  if (born !== undefined && died !== undefined && born !== died) return { readings: [] }
  return { readings: [], presence: [{ device: message.device, below: true, online: false }] }
}

const earlier = (message: DecoderInput, description: Description | undefined): Description | undefined =>
  description !== undefined && description.seq < (message.seq ?? Number.POSITIVE_INFINITY) ? description : undefined

/** The birth that the message builds upon; a device has to be born again after its node. */
const sessionBirth = (message: DecoderInput): Birth | undefined => {
  const { node, self } = placeOf(message.topic)
  const own = earlier(message, message.description(self))
  if (own === undefined) return undefined
  if (self === node) return birthOf(own.value)
  const nodeBirth = earlier(message, message.description(node))
  return nodeBirth !== undefined && nodeBirth.seq > own.seq ? undefined : birthOf(own.value)
}

const bdSeqOf = (metrics: readonly Metric[]): string | undefined => {
  const value = metrics.find(({ name }) => name === 'bdSeq')?.value
  return value?.kind === 'long' || value?.kind === 'int' ? String(value.value) : undefined
}

const rebirthRequest = (message: DecoderInput, reason: string): DeviceRequest => {
  const { node, ncmd } = placeOf(message.topic)
  return { to: node, topic: ncmd, payload: rebirthCommand(message.receivedAt), reason: `${node}: ${reason}` }
}

const sequenceOf = (message: DecoderInput, { seq }: Payload, first: boolean): Pick<Decoded, 'sequence'> => {
  if (seq === undefined || !(seq >= 0 && seq < SEQUENCE_MODULO)) return {}
  const { node } = placeOf(message.topic)
  const request = rebirthRequest(message, 'a message of it is missing')
  return { sequence: { of: node, number: seq, modulo: SEQUENCE_MODULO, ...(first ? { first: true } : {}), request } }
}

/** The readings of one message, as they are found. */
class Found {
  /** Metrics whose alias no birth explains. */
  unknown = 0
  readonly #message: DecoderInput
  readonly #payload: Payload
  readonly #birth: Birth
  readonly #readings: Reading[] = []
  readonly #doubtful: Doubt[] = []
  #firstUnknown = ''

  constructor(message: DecoderInput, payload: Payload, birth: Birth) {
    this.#message = message
    this.#payload = payload
    this.#birth = birth
  }

  addAll(metrics: readonly Metric[], before: string): void {
    for (const metric of metrics) this.#add(metric, before)
  }

  result(): Decoded {
    const fault =
      this.unknown === 0
        ? {}
        : { fault: `${this.unknown} metrics, the first with alias ${this.#firstUnknown}, are in no birth before` }
    const doubtful = this.#doubtful.length === 0 ? {} : { doubtful: this.#doubtful }
    return { readings: this.#readings, ...fault, ...doubtful }
  }

  #add(metric: Metric, before: string): void {
    const definition = this.#definitionOf(metric, before)
    if (definition === undefined) {
      if (this.unknown++ === 0) this.#firstUnknown = metric.alias ?? 'none'
      return
    }
    const { value: wire } = metric
    if (metric.isNull || wire === undefined) return
    if (wire.kind === 'template') {
      // A definition says what instances look like and is no value (Sparkplug 3.0, 6.4.15).
      if (!wire.value.isDefinition) this.addAll(wire.value.metrics, `${definition.name}/`)
    } else if (wire.kind === 'dataset') {
      const { columns, types, rows } = wire.value
      for (const [index, row] of rows.entries())
        for (const [place, cell] of row.entries()) {
          const name = `${definition.name}/${rows.length === 1 ? '' : `${index}/`}${columns[place] ?? place}`
          if (cell !== undefined) this.#put(metric, { name, datatype: types[place], unit: undefined }, cell)
        }
    } else this.#put(metric, definition, wire)
  }

  #definitionOf(metric: Metric, before: string): MetricDefinition | undefined {
    const { name, alias, datatype } = metric
    const { byAlias, byName } = this.#birth
    const known =
      name === undefined ? (alias === undefined ? undefined : byAlias.get(alias)) : byName.get(before + name)
    const found = known ?? (name === undefined ? undefined : { name: before + name, datatype, unit: undefined })
    if (found === undefined) return undefined
    return { name: found.name, datatype: datatype ?? found.datatype, unit: unitOf(metric) ?? found.unit }
  }

  #put(metric: Metric, { name, datatype, unit }: MetricDefinition, wire: WireValue): void {
    const { device } = this.#message
    const value = metricValue(wire, datatype)
    if (value === undefined) return // bytes, files and arrays are no readings
    const quality = metric.properties.get('Quality')
    const isBad = quality?.kind === 'int' && BAD_QUALITIES.has(quality.value)
    const isNumber = typeof value !== 'number' || Number.isFinite(value)
    if (isBad || !isNumber) {
      this.#doubtful.push({ device, name, reason: 'faulty', value: isNumber ? value : String(value) })
      return
    }
    const spelling = unit === undefined || typeof value !== 'number' ? undefined : unitSpelling(unit, name)
    const timestamp = metric.timestamp ?? this.#payload.timestamp
    const timeMs = timestamp === undefined ? undefined : payloadTime(Number(timestamp), 'unix-ms')
    this.#readings.push({
      device,
      name,
      value: spelling === undefined || typeof value !== 'number' ? value : convertUnit(value, spelling),
      ...(spelling === undefined ? {} : { unit: spelling.unit }),
      ...(timeMs === undefined ? {} : { timeMs }),
      ...(metric.isHistorical ? { historical: true } : {}),
    })
  }
}
