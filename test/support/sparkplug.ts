// Sparkplug B payloads for tests, written with the wire format alone: what is read is not checked by what reads it.

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

export interface TestMetric {
  readonly name?: string
  readonly alias?: number
  readonly timestamp?: number
  readonly datatype?: number
  readonly historical?: boolean
  readonly isNull?: boolean
  readonly unit?: string
  readonly quality?: number
  readonly int?: number
  readonly long?: bigint
  readonly float?: number
  readonly double?: number
  readonly boolean?: boolean
  readonly string?: string
  readonly bytes?: Uint8Array
  readonly members?: readonly TestMetric[]
  readonly isDefinition?: boolean
  readonly columns?: readonly string[]
  readonly types?: readonly number[]
  readonly rows?: readonly (readonly number[])[]
}

const VARINT = WireType.Varint
const BYTES = WireType.LengthDelimited

const metricBytes = (metric: TestMetric): Uint8Array => {
  const writer = new BinaryWriter()
  const { name, alias, timestamp, datatype, unit, quality } = metric
  if (name !== undefined) writer.tag(1, BYTES).string(name)
  if (alias !== undefined) writer.tag(2, VARINT).uint64(BigInt(alias))
  if (timestamp !== undefined) writer.tag(3, VARINT).uint64(BigInt(timestamp))
  if (datatype !== undefined) writer.tag(4, VARINT).uint32(datatype)
  if (metric.historical === true) writer.tag(5, VARINT).bool(true)
  if (metric.isNull === true) writer.tag(7, VARINT).bool(true)
  if (unit !== undefined || quality !== undefined) {
    const properties = new BinaryWriter()
    if (unit !== undefined) properties.tag(1, BYTES).string('engUnit')
    if (quality !== undefined) properties.tag(1, BYTES).string('Quality')
    const value = (write: (writer: BinaryWriter) => BinaryWriter) => write(new BinaryWriter()).finish()
    if (unit !== undefined) properties.tag(2, BYTES).bytes(value((one) => one.tag(8, BYTES).string(unit)))
    if (quality !== undefined) properties.tag(2, BYTES).bytes(value((one) => one.tag(3, VARINT).uint32(quality)))
    writer.tag(9, BYTES).bytes(properties.finish())
  }
  if (metric.int !== undefined) writer.tag(10, VARINT).uint32(metric.int)
  if (metric.long !== undefined) writer.tag(11, VARINT).uint64(metric.long)
  if (metric.float !== undefined) writer.tag(12, WireType.Bit32).float(metric.float)
  if (metric.double !== undefined) writer.tag(13, WireType.Bit64).double(metric.double)
  if (metric.boolean !== undefined) writer.tag(14, VARINT).bool(metric.boolean)
  if (metric.string !== undefined) writer.tag(15, BYTES).string(metric.string)
  if (metric.bytes !== undefined) writer.tag(16, BYTES).bytes(metric.bytes)
  if (metric.rows !== undefined) writer.tag(17, BYTES).bytes(dataSetBytes(metric))
  if (metric.members !== undefined) {
    const template = new BinaryWriter()
    for (const member of metric.members) template.tag(2, BYTES).bytes(metricBytes(member))
    if (metric.isDefinition === true) template.tag(5, VARINT).bool(true)
    writer.tag(18, BYTES).bytes(template.finish())
  }
  return writer.finish()
}

const dataSetBytes = ({ columns = [], types = [], rows = [] }: TestMetric): Uint8Array => {
  const set = new BinaryWriter().tag(1, VARINT).uint64(BigInt(columns.length))
  for (const column of columns) set.tag(2, BYTES).string(column)
  for (const type of types) set.tag(3, VARINT).uint32(type)
  for (const row of rows) {
    const cells = new BinaryWriter()
    for (const value of row) {
      cells.tag(1, BYTES).bytes(new BinaryWriter().tag(4, WireType.Bit64).double(value).finish())
    }
    set.tag(4, BYTES).bytes(cells.finish())
  }
  return set.finish()
}

export const sparkplugPayload = (
  metrics: readonly TestMetric[],
  { seq, timestamp }: { readonly seq?: number; readonly timestamp?: number } = {},
): Buffer => {
  const writer = new BinaryWriter()
  if (timestamp !== undefined) writer.tag(1, VARINT).uint64(BigInt(timestamp))
  for (const metric of metrics) writer.tag(2, BYTES).bytes(metricBytes(metric))
  if (seq !== undefined) writer.tag(3, VARINT).uint64(BigInt(seq))
  return Buffer.from(writer.finish())
}
