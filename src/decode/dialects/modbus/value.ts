// One register of a Modbus device: from the bytes that it sent to the value that its profile says they stand for.

import { addressesOf, isBitTable, reordered } from '../../../core/modbus.ts'
import type { ModbusRegister, ReadingValue } from '../../../core/profile.ts'

/** `missing`: the device says that there is none. `faulty`: there is one that cannot be right. */
export type RegisterValue = { readonly value: ReadingValue } | 'missing' | 'faulty'

/** Digits that scaling may leave: raw values have at most ten, unless they are counters. */
const SCALED_DIGITS = 12
const COUNTER_DIGITS = 15
const FIRST_LONG_COUNTER = 1e10

/** `raw` holds exactly the register's bytes, or one byte 0 or 1 for a coil. `power` multiplies with 10^power. */
export const registerValue = (register: ModbusRegister, raw: Buffer, power = 0): RegisterValue => {
  if (isBitTable(register.table)) return { value: raw[0] === 1 }
  const bytes = reordered(raw, register)
  const pattern = BigInt(`0x${bytes.toString('hex')}`)
  if (register.missing?.includes(String(pattern)) === true) return 'missing'
  if (register.bits !== undefined) {
    const [low, high] = register.bits
    const field = BigInt.asUintN(high - low + 1, pattern >> BigInt(low))
    return register.flag === true || register.type === 'bool' ? { value: field !== 0n } : scaled(register, field, power)
  }
  switch (register.type) {
    case 'f32':
      return real(register, bytes.readFloatBE(0), power, shortFloat)
    case 'f64':
      return real(register, bytes.readDoubleBE(0), power, (value) => value)
    case 'string':
      return text(bytes)
    case 'bcd':
      return digits(register, bytes, power)
    case 'bool':
      return { value: pattern !== 0n }
    case 'i16':
    case 'i32':
    case 'i64':
      return scaled(register, BigInt.asIntN(16 * addressesOf(register), pattern), power)
    default:
      return scaled(register, pattern, power)
  }
}

const scaled = (register: ModbusRegister, integer: bigint, power: number): RegisterValue => {
  const plain = register.scale === undefined && register.offset === undefined && power === 0
  const value = Number(integer)
  // Beyond 2^53 a number would lose digits: as it is, it stays text with all of them.
  if (plain) return { value: Number.isSafeInteger(value) ? value : String(integer) }
  return measured(register, value, power)
}

const real = (
  register: ModbusRegister,
  value: number,
  power: number,
  plain: (value: number) => number,
): RegisterValue => {
  if (Number.isNaN(value) && register.missing?.includes('nan') === true) return 'missing'
  if (!Number.isFinite(value)) return 'faulty'
  if (register.scale === undefined && register.offset === undefined && power === 0) return { value: plain(value) }
  return measured(register, plain(value), power)
}

const measured = ({ scale = 1, offset = 0 }: ModbusRegister, value: number, power: number): RegisterValue => {
  const digitsLeft = Math.abs(value) < FIRST_LONG_COUNTER ? SCALED_DIGITS : COUNTER_DIGITS
  // A negative power divides: 10^-1 itself is not exact.
  const raised = power < 0 ? value / 10 ** -power : value * 10 ** power
  const result = Number((raised * scale + offset).toPrecision(digitsLeft))
  return Number.isFinite(result) ? { value: result } : 'faulty'
}

/** The shortest decimal number that is this float: 230.1 and not 230.10000610351562. */
const shortFloat = (value: number): number => {
  for (let precision = 6; precision < 9; precision++) {
    const short = Number(value.toPrecision(precision))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}

const text = (bytes: Buffer): RegisterValue => {
  const end = bytes.indexOf(0)
  const value = bytes.toString('latin1', 0, end === -1 ? bytes.length : end).trim()
  if (value === '') return 'missing'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return /[\u0000-\u001f\u007f-\u009f]/.test(value) ? 'faulty' : { value }
}

const digits = (register: ModbusRegister, bytes: Buffer, power: number): RegisterValue => {
  const decimal = bytes.toString('hex')
  return /^\d+$/.test(decimal) ? scaled(register, BigInt(decimal), power) : 'faulty'
}
