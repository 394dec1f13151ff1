// The dialect 'binary': fields at positions in bytes, with checksum, magic bytes, sentinels and repeated groups, as an author
// of a profile copies them from a data sheet. Payloads may hold the bytes as hexadecimal or Base64 text.

import type { Decoded } from '../../../core/contract.ts'
import type { DecoderInput } from '../../../core/decoder-contract.ts'
import { DecodeError } from '../../../core/errors.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import { checksums } from '../../checksum.ts'
import { Collected } from '../../collected.ts'
import { shortened } from '../../limits.ts'
import { payloadText } from '../../payload.ts'
import { type BinaryField, compileField } from './field.ts'
import { binarySchema, type ChecksumLayout, type GroupLayout, type Layout } from './layout.ts'

interface BinaryOptions extends Layout {
  readonly encoding: 'raw' | 'hex' | 'base64'
  readonly layouts?: readonly Layout[]
}

interface CompiledLayout {
  /** Why these bytes are not of this layout. */
  misfit(bytes: Buffer): string | undefined
  /** Throws DecodeError. */
  decode(bytes: Buffer, device: string): Decoded
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'binary',
  schema: binarySchema,
  create: (given) => {
    const options = given as BinaryOptions
    const layouts = (options.layouts ?? [options]).map(compileLayout)
    return { decode: (input) => decodeBinary(options.encoding, layouts, input) }
  },
}

const decodeBinary = (
  encoding: BinaryOptions['encoding'],
  layouts: readonly CompiledLayout[],
  { payload, device }: DecoderInput,
): Decoded => {
  const bytes = payloadBytes(payload, encoding)
  const misfits = layouts.map((layout) => layout.misfit(bytes))
  const found = layouts[misfits.indexOf(undefined)]
  if (found === undefined)
    throw new DecodeError(misfits.length === 1 ? (misfits[0] ?? '') : `no layout fits: ${misfits.join('; ')}`)
  return found.decode(bytes, device)
}

const payloadBytes = (payload: Buffer, encoding: BinaryOptions['encoding']): Buffer => {
  if (encoding === 'raw') return payload
  const text = payloadText(payload)
    .replace(/^"(.*)"$/s, '$1')
    .replace(/\s/g, '')
  const valid = encoding === 'hex' ? /^(?:[0-9a-fA-F]{2})*$/ : /^[\w+/-]*={0,2}$/
  if (!valid.test(text)) throw new DecodeError(`the payload is no ${encoding}: ${shortened(text)}`)
  return Buffer.from(text, encoding)
}

const compileLayout = (layout: Layout): CompiledLayout => {
  const fields = layout.fields.map((field) => compileField(field, layout.endian))
  const groups = layout.groups.map((group) => ({
    group,
    fields: group.fields.map((field) => compileField(field, layout.endian)),
  }))
  const magic = (layout.magic ?? []).map(({ at, hex }) => ({ at, bytes: Buffer.from(hex.replace(/\s/g, ''), 'hex') }))
  return {
    misfit: (bytes) => {
      const { length, minLength = 1 } = layout
      if (length !== undefined && bytes.length !== length)
        return `the payload has ${bytes.length} bytes instead of ${length}`
      if (bytes.length < minLength) return `the payload has ${bytes.length} bytes, less than ${minLength}`
      for (const { at, bytes: wanted } of magic) {
        const start = at < 0 ? bytes.length + at : at
        if (start < 0 || !bytes.subarray(start, start + wanted.length).equals(wanted))
          return `the payload has no ${wanted.toString('hex')} at ${at}`
      }
      return undefined
    },
    decode: (bytes, device) => {
      if (layout.checksum !== undefined) verify(bytes, layout.checksum, layout.endian)
      const found = new Collected()
      for (const field of fields) field.read(bytes, device, '', found)
      for (const { group, fields: inner } of groups) readGroups(bytes, device, group, inner, found)
      return found.decoded()
    },
  }
}

const verify = (bytes: Buffer, { type, at, from, to = at, endian }: ChecksumLayout, usual: Layout['endian']): void => {
  const { sizeBytes, of } = checksums[type]
  const place = (position: number) => (position < 0 ? bytes.length + position : position)
  const start = place(at)
  if (start < 0 || start + sizeBytes > bytes.length || place(from) < 0 || place(to) > bytes.length)
    throw new DecodeError(`the payload of ${bytes.length} bytes is too short for its checksum`)
  const stated =
    (endian ?? usual) === 'little' ? bytes.readUIntLE(start, sizeBytes) : bytes.readUIntBE(start, sizeBytes)
  const actual = of(bytes, place(from), place(to))
  const hex = (value: number) => `0x${value.toString(16).padStart(sizeBytes * 2, '0')}`
  if (stated !== actual) throw new DecodeError(`the checksum is ${hex(stated)} instead of ${hex(actual)}`)
}

const readGroups = (
  bytes: Buffer,
  device: string,
  { at, sizeBytes, count, countAt, until = bytes.length, prefix }: GroupLayout,
  fields: readonly BinaryField[],
  found: Collected,
): void => {
  const place = (position: number) => (position < 0 ? bytes.length + position : position)
  const end = Math.min(place(until), bytes.length)
  const start = place(at)
  const fitting = start < 0 || start > end ? 0 : Math.floor((end - start) / sizeBytes)
  const wanted = count ?? (countAt === undefined ? fitting : (bytes[place(countAt)] ?? 0))
  if (wanted > fitting) found.fault(`the payload has ${fitting} groups instead of ${wanted}`)
  for (let index = 0; index < Math.min(wanted, fitting); index++) {
    const from = start + index * sizeBytes
    const name = prefix.replaceAll('{index}', String(index + 1))
    for (const field of fields) field.read(bytes.subarray(from, from + sizeBytes), device, name, found)
  }
}
