// Numbers in bytes. Integers of more than 48 bits come as bigint, so that no digit is lost before it is known whether it counts.

import type { Endian, NumberType } from './layout.ts'

export const numberBytes: Readonly<Record<NumberType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u24: 3,
  i24: 3,
  u32: 4,
  i32: 4,
  u48: 6,
  u64: 8,
  i64: 8,
  f32: 4,
  f64: 8,
}

/** The bytes must be there. */
export const readNumber = (bytes: Buffer, at: number, type: NumberType, endian: Endian): number | bigint => {
  const little = endian === 'little'
  switch (type) {
    case 'f32':
      return shortest(little ? bytes.readFloatLE(at) : bytes.readFloatBE(at))
    case 'f64':
      return little ? bytes.readDoubleLE(at) : bytes.readDoubleBE(at)
    case 'u64':
      return little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at)
    case 'i64':
      return little ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at)
    default: {
      const size = numberBytes[type]
      if (type.startsWith('i')) return little ? bytes.readIntLE(at, size) : bytes.readIntBE(at, size)
      return little ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size)
    }
  }
}

/** Bits low…high of an integer, as an unsigned number, or as a signed one where the whole is signed. */
export const bitField = (
  whole: number | bigint,
  [low, high]: readonly [number, number],
  signed: boolean,
): number | bigint => {
  const width = high - low + 1
  const shifted = BigInt(whole) >> BigInt(low)
  const bits = signed ? BigInt.asIntN(width, shifted) : BigInt.asUintN(width, shifted)
  return width <= 48 ? Number(bits) : bits
}

/** Binary-coded decimal, most significant digit first once the byte order is undone; undefined where a digit is above 9. */
export const readBcd = (bytes: Buffer, at: number, length: number, endian: Endian): bigint | undefined => {
  const part = bytes.subarray(at, at + length)
  const digits = (endian === 'little' ? Buffer.from(part).reverse() : part).toString('hex')
  return /^\d+$/.test(digits) ? BigInt(digits) : undefined
}

// A float of 32 bits as the decimal that was meant: 21.1, not 21.100000381469727.
const shortest = (value: number): number => {
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits))
    if (Math.fround(candidate) === value) return candidate
  }
  return value
}
