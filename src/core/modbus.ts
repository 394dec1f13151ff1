// What source and decoder of Modbus must agree on: how wide a register of a profile is, how its bytes are ordered, which
// function reads a table, what an exception means, and the CRC. MODBUS Application Protocol Specification V1.1b3.

import type { ModbusRegister, ModbusTable, ModbusType } from './profile.ts'

/** Registers of 16 bits that one request may read (6.3, 6.4). */
export const MAX_REGISTERS = 125
/** Coils or discrete inputs that one request may read (6.1, 6.2). */
export const MAX_BITS = 2_000
export const MAX_ADDRESS = 0xffff

export const MODBUS_TABLES: readonly ModbusTable[] = ['coil', 'discrete', 'input', 'holding']

/** Whether an address of the table holds one bit; else it holds 16. */
export const isBitTable = (table: ModbusTable): boolean => table === 'coil' || table === 'discrete'

/** Registers of each type; of `string` and `bcd` the profile says it. */
const WIDTHS: Readonly<Record<Exclude<ModbusType, 'string' | 'bcd'>, number>> = {
  bool: 1,
  u16: 1,
  i16: 1,
  u32: 2,
  i32: 2,
  f32: 2,
  u64: 4,
  i64: 4,
  f64: 4,
}

export const MODBUS_TYPES: readonly ModbusType[] = [
  ...(Object.keys(WIDTHS) as (keyof typeof WIDTHS)[]),
  'string',
  'bcd',
]

/** How many addresses of its table a register takes. */
export const addressesOf = ({ type, length }: Pick<ModbusRegister, 'type' | 'length'>): number =>
  type === 'string' || type === 'bcd' ? (length ?? 1) : WIDTHS[type]

/**
 * The bytes most significant first, however the device orders them; a copy. The same way brings them back. For two registers
 * ABCD: words little = CDAB, bytes little = BADC, both = DCBA.
 */
export const reordered = (bytes: Buffer, { words, bytes: order }: Pick<ModbusRegister, 'words' | 'bytes'>): Buffer => {
  const result = Buffer.alloc(bytes.length)
  const count = bytes.length / 2
  for (let word = 0; word < count; word++) {
    const from = 2 * (words === 'little' ? count - 1 - word : word)
    result[2 * word] = bytes[order === 'little' ? from + 1 : from] ?? 0
    result[2 * word + 1] = bytes[order === 'little' ? from : from + 1] ?? 0
  }
  return result
}

// 7: MODBUS Exception Codes.
const EXCEPTIONS: Readonly<Record<number, string>> = {
  1: 'illegal function',
  2: 'illegal data address',
  3: 'illegal data value',
  4: 'device failure',
  5: 'acknowledged, not done yet',
  6: 'device busy',
  8: 'memory parity error',
  10: 'gateway path unavailable',
  11: 'gateway target does not respond',
}

export const exceptionText = (code: number): string => `exception ${code}, ${EXCEPTIONS[code] ?? 'unknown'}`

/** CRC-16/MODBUS over the bytes; on the line it follows them low byte first (MODBUS over serial line V1.02, 6.2.2). */
export const modbusCrc = (bytes: Buffer, start: number, end: number): number => {
  let crc = 0xffff
  for (let index = start; index < end; index++) {
    crc ^= bytes[index] ?? 0
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >> 1) ^ 0xa001 : crc >> 1
  }
  return crc
}
