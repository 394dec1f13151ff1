// One field of a binary layout, compiled: reads its bytes, and says whether they are a value, none, or a wrong one.

import type { Reading } from '../../../core/contract.ts'
import { isUnit } from '../../../core/unit.ts'
import type { Collected } from '../../collected.ts'
import type { Endian, FieldLayout, NumberType } from './layout.ts'
import { bitField, numberBytes, readBcd, readNumber } from './number.ts'

export interface BinaryField {
  /** Adds what it finds; `prefix` stands before its name. */
  read(bytes: Buffer, device: string, prefix: string, found: Collected): void
}

type Raw = number | bigint | string | boolean

/** Throws an Error with a message for the author of the profile. */
export const compileField = (field: FieldLayout, usual: Endian): BinaryField => {
  const size = checkedSize(field)
  const endian = field.endian ?? usual
  const isMissing = sentinel(field.missing)
  const isFaulty = sentinel(field.faulty)
  const read: BinaryField['read'] = (bytes, device, prefix, found) => {
    const name = prefix + field.name
    const at = field.at < 0 ? bytes.length + field.at : field.at
    if (at < 0 || at + size > bytes.length) {
      if (field.optional !== true) found.fault(`${name} lies beyond the ${bytes.length} bytes of the payload`)
      return
    }
    const raw = rawValue(field, bytes, at, size, endian)
    if (raw === undefined) {
      found.doubt({ device, name, reason: 'faulty' })
      found.fault(`${name} is no BCD number: ${bytes.toString('hex', at, at + size)}`)
      return
    }
    if (isMissing(raw, bytes, at, size)) return
    if (isFaulty(raw, bytes, at, size) || (typeof raw === 'number' && !Number.isFinite(raw))) {
      found.doubt({ device, name, reason: 'faulty' })
      found.fault(`${name} is marked as faulty by the device`)
      return
    }
    const value = scaled(field, raw)
    if (field.range !== undefined && typeof value === 'number' && (value < field.range[0] || value > field.range[1])) {
      found.doubt({ device, name, reason: 'out-of-range', value })
      found.fault(`${name}: ${value} is outside ${field.range[0]} to ${field.range[1]}`)
      return
    }
    if (value === '') return
    found.push({ device, name, value, ...(field.unit === undefined ? {} : { unit: field.unit }) })
  }
  return { read }
}

const isNumberType = (type: FieldLayout['type']): type is NumberType => type in numberBytes

const checkedSize = ({ name, type, length, bits, range, unit, scale, offset }: FieldLayout): number => {
  const size = isNumberType(type) ? numberBytes[type] : type === 'bool' ? 1 : length
  if (size === undefined) throw new Error(`field ${name} of type ${type} needs a length`)
  if (length !== undefined && length !== size)
    throw new Error(`field ${name} of type ${type} has ${size} bytes, always`)
  const float = type === 'f32' || type === 'f64'
  if (bits !== undefined && (float || type === 'text' || type === 'hex' || type === 'bcd'))
    throw new Error(`field ${name} of type ${type} has no bits`)
  if (bits !== undefined && (bits[0] > bits[1] || bits[1] >= size * 8))
    throw new Error(`field ${name} has no bits ${bits[0]} to ${bits[1]}`)
  const numeric = isNumberType(type) || type === 'bcd'
  if (!numeric && (scale ?? offset ?? range) !== undefined)
    throw new Error(`field ${name} of type ${type} has neither scale, offset nor range`)
  if (range !== undefined && range[0] > range[1]) throw new Error(`the range of field ${name} is empty`)
  if (unit !== undefined && !isUnit(unit)) throw new Error(`${unit}, the unit of field ${name}, is no SenML unit`)
  return size
}

const rawValue = (
  { type, bits }: FieldLayout,
  bytes: Buffer,
  at: number,
  size: number,
  endian: Endian,
): Raw | undefined => {
  switch (type) {
    case 'text':
      // C strings end at the first NUL; padding with spaces or 0xff is no text either.
      return bytes
        .toString('latin1', at, at + size)
        .replace(/\0.*$/s, '')
        .replace(/[\s\u00ff]+$/, '')
    case 'hex':
      return bytes.toString('hex', at, at + size)
    case 'bcd':
      return readBcd(bytes, at, size, endian)
    case 'bool': {
      const byte = bytes[at] ?? 0
      return bits === undefined ? byte !== 0 : bitField(byte, bits, false) !== 0
    }
    default: {
      const number = readNumber(bytes, at, type, endian)
      return bits === undefined ? number : bitField(number, bits, type.startsWith('i'))
    }
  }
}

const sentinel = (
  list: readonly (number | string)[] = [],
): ((raw: Raw, bytes: Buffer, at: number, size: number) => boolean) => {
  if (list.length === 0) return () => false
  const numbers = new Set(list.filter((one) => typeof one === 'number'))
  const texts = new Set(list.filter((one) => typeof one === 'string').map((one) => one.toLowerCase()))
  return (raw, bytes, at, size) =>
    ((typeof raw === 'number' || typeof raw === 'bigint') && numbers.has(Number(raw))) ||
    (texts.size > 0 && texts.has(bytes.toString('hex', at, at + size)))
}

/** Integers beyond 2^53 that are not scaled stay exact, as text. */
const scaled = ({ scale, offset }: FieldLayout, raw: Raw): Reading['value'] => {
  if (typeof raw === 'string' || typeof raw === 'boolean') return raw
  const number = Number(raw)
  if (scale !== undefined || offset !== undefined)
    return Number((number * (scale ?? 1) + (offset ?? 0)).toPrecision(12))
  return typeof raw === 'bigint' && !Number.isSafeInteger(number) ? raw.toString() : number
}
