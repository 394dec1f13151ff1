// A Sparkplug B payload (Sparkplug 3.0, 6.4; the protobuf definition in its appendix), bytes to plain values and back. What
// cannot be read throws a DecodeError.

import { gunzipSync, inflateSync } from 'node:zlib'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { DecodeError } from '../../../core/errors.ts'

/** Template instances may hold others; deeper ones are an attack on the stack. */
const MAX_DEPTH = 8
/** More metrics, rows and members are a database. */
const MAX_ITEMS = 10_000
/** Of a compressed payload. */
const MAX_INFLATED_BYTES = 1_048_576
/** Sparkplug 3.0, 6.4.6 (payload compression) as Tahu writes it. */
const COMPRESSED = 'SPBV1.0_COMPRESSED'

export interface Payload {
  readonly timestamp: bigint | undefined
  readonly metrics: readonly Metric[]
  /** 0 to 255. */
  readonly seq: number | undefined
}

export interface Metric {
  readonly name: string | undefined
  readonly alias: string | undefined
  readonly timestamp: bigint | undefined
  readonly datatype: number | undefined
  readonly isHistorical: boolean
  readonly isNull: boolean
  readonly properties: ReadonlyMap<string, WireValue>
  readonly value: WireValue | undefined
}

/** As it stands in the payload; what it means follows from the datatype. */
export type WireValue =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'long'; readonly value: bigint }
  | { readonly kind: 'float' | 'double'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'dataset'; readonly value: DataSet }
  | { readonly kind: 'template'; readonly value: Template }

export interface DataSet {
  readonly columns: readonly string[]
  readonly types: readonly number[]
  readonly rows: readonly (readonly (WireValue | undefined)[])[]
}

export interface Template {
  readonly metrics: readonly Metric[]
  readonly isDefinition: boolean
}

export const readPayload = (bytes: Uint8Array): Payload => {
  try {
    const budget = { items: MAX_ITEMS }
    const payload = payloadOf(new BinaryReader(bytes), budget)
    return payload.uuid === COMPRESSED ? payloadOf(new BinaryReader(inflated(payload)), budget) : payload
  } catch (error) {
    if (error instanceof DecodeError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new DecodeError(`the payload is no Sparkplug B payload: ${reason}`)
  }
}

interface Budget {
  items: number
}

interface RawPayload extends Payload {
  readonly uuid: string
  readonly body: Uint8Array | undefined
}

const payloadOf = (reader: BinaryReader, budget: Budget): RawPayload => {
  let timestamp: bigint | undefined
  let seq: number | undefined
  let uuid = ''
  let body: Uint8Array | undefined
  const metrics: Metric[] = []
  eachField(reader, reader.len, (field) => {
    if (field === 1) timestamp = BigInt(reader.uint64())
    else if (field === 2) metrics.push(metricOf(reader, budget, 0))
    else if (field === 3) seq = Number(reader.uint64())
    else if (field === 4) uuid = reader.string()
    else if (field === 5) body = reader.bytes()
    else return false
    return true
  })
  return { timestamp, seq, uuid, body, metrics }
}

const inflated = ({ body = new Uint8Array(), metrics }: RawPayload): Uint8Array => {
  const algorithm = metrics.find(({ name }) => name === 'algorithm')?.value
  const options = { maxOutputLength: MAX_INFLATED_BYTES }
  return algorithm?.kind === 'string' && algorithm.value.toUpperCase() === 'DEFLATE'
    ? inflateSync(body, options)
    : gunzipSync(body, options)
}

/** Reads the fields of a message that ends at `end`; what `read` does not know is passed over. */
const eachField = (reader: BinaryReader, end: number, read: (field: number, wireType: WireType) => boolean): void => {
  while (reader.pos < end) {
    const [field, wireType] = reader.tag()
    if (!read(field, wireType)) reader.skip(wireType, field)
  }
  if (reader.pos !== end) throw new RangeError('a part is longer than what it stands in')
}

/** Where the message that begins here ends. */
const endOf = (reader: BinaryReader): number => {
  const length = reader.uint32()
  const end = reader.pos + length
  if (end > reader.len) throw new RangeError('the payload ends too early')
  return end
}

const spend = (budget: Budget): void => {
  budget.items--
  if (budget.items < 0) throw new DecodeError(`the payload has more than ${MAX_ITEMS} metrics, rows or columns`)
}

const metricOf = (reader: BinaryReader, budget: Budget, depth: number): Metric => {
  spend(budget)
  let name: string | undefined
  let alias: string | undefined
  let timestamp: bigint | undefined
  let datatype: number | undefined
  let isHistorical = false
  let isNull = false
  let properties: ReadonlyMap<string, WireValue> = new Map()
  let value: WireValue | undefined
  eachField(reader, endOf(reader), (field) => {
    if (field === 1) name = reader.string()
    else if (field === 2) alias = String(reader.uint64())
    else if (field === 3) timestamp = BigInt(reader.uint64())
    else if (field === 4) datatype = reader.uint32()
    else if (field === 5) isHistorical = reader.bool()
    else if (field === 7) isNull = reader.bool()
    else if (field === 9) properties = propertiesOf(reader, budget)
    else if (field >= 10 && field <= 15) value = simpleValue(reader, field - 10)
    else if (field === 16) {
      reader.bytes()
      value = { kind: 'bytes' }
    } else if (field === 17) value = { kind: 'dataset', value: dataSetOf(reader, budget) }
    else if (field === 18) value = { kind: 'template', value: templateOf(reader, budget, depth + 1) }
    else return false
    return true
  })
  return { name, alias, timestamp, datatype, isHistorical, isNull, properties, value }
}

/** int, long, float, double, boolean and string stand in this order in metrics, properties and data sets. */
const simpleValue = (reader: BinaryReader, place: number): WireValue | undefined => {
  if (place === 0) return { kind: 'int', value: reader.uint32() }
  if (place === 1) return { kind: 'long', value: BigInt(reader.uint64()) }
  if (place === 2) return { kind: 'float', value: reader.float() }
  if (place === 3) return { kind: 'double', value: reader.double() }
  if (place === 4) return { kind: 'boolean', value: reader.bool() }
  return { kind: 'string', value: reader.string() }
}

const propertiesOf = (reader: BinaryReader, budget: Budget): ReadonlyMap<string, WireValue> => {
  const keys: string[] = []
  const values: (WireValue | undefined)[] = []
  eachField(reader, endOf(reader), (field) => {
    spend(budget)
    if (field === 1) keys.push(reader.string())
    else if (field === 2) {
      let value: WireValue | undefined
      eachField(reader, endOf(reader), (inner) => {
        if (inner < 3 || inner > 8) return false
        value = simpleValue(reader, inner - 3)
        return true
      })
      values.push(value)
    } else return false
    return true
  })
  const properties = new Map<string, WireValue>()
  for (const [index, key] of keys.entries()) {
    const value = values[index]
    if (value !== undefined) properties.set(key, value)
  }
  return properties
}

const dataSetOf = (reader: BinaryReader, budget: Budget): DataSet => {
  const columns: string[] = []
  const types: number[] = []
  const rows: (WireValue | undefined)[][] = []
  eachField(reader, endOf(reader), (field, wireType) => {
    spend(budget)
    if (field === 2) columns.push(reader.string())
    else if (field === 3 && wireType === WireType.LengthDelimited) {
      const end = endOf(reader)
      while (reader.pos < end) {
        spend(budget)
        types.push(reader.uint32())
      }
    } else if (field === 3) types.push(reader.uint32())
    else if (field === 4) rows.push(rowOf(reader, budget))
    else return false
    return true
  })
  return { columns, types, rows }
}

const rowOf = (reader: BinaryReader, budget: Budget): (WireValue | undefined)[] => {
  const row: (WireValue | undefined)[] = []
  eachField(reader, endOf(reader), (field) => {
    if (field !== 1) return false
    spend(budget)
    let value: WireValue | undefined
    eachField(reader, endOf(reader), (inner) => {
      if (inner < 1 || inner > 6) return false
      value = simpleValue(reader, inner - 1)
      return true
    })
    row.push(value)
    return true
  })
  return row
}

const templateOf = (reader: BinaryReader, budget: Budget, depth: number): Template => {
  if (depth > MAX_DEPTH) throw new DecodeError(`the payload is nested deeper than ${MAX_DEPTH} levels`)
  const metrics: Metric[] = []
  let isDefinition = false
  eachField(reader, endOf(reader), (field) => {
    if (field === 2) metrics.push(metricOf(reader, budget, depth))
    else if (field === 5) isDefinition = reader.bool()
    else return false
    return true
  })
  return { metrics, isDefinition }
}

/** Sparkplug 3.0, 6.4.20: asks an edge node for its births, by an NCMD. */
export const rebirthCommand = (timeMs: number): Buffer => {
  const timestamp = BigInt(Math.max(0, Math.round(timeMs)))
  const metric = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string('Node Control/Rebirth')
    .tag(3, WireType.Varint)
    .uint64(timestamp)
    .tag(4, WireType.Varint)
    .uint32(11)
    .tag(14, WireType.Varint)
    .bool(true)
    .finish()
  const payload = new BinaryWriter()
    .tag(1, WireType.Varint)
    .uint64(timestamp)
    .tag(2, WireType.LengthDelimited)
    .bytes(metric)
    .finish()
  return Buffer.from(payload)
}
