// What the value of a Sparkplug metric means: datatypes to readings' values (Sparkplug 3.0, 6.4.16). Integers beyond 2^53 are
// text with all their digits.

import type { Reading } from '../../../core/contract.ts'
import type { WireValue } from './payload.ts'

const INT8 = 1
const INT16 = 2
const INT32 = 3
const INT64 = 4
const DATE_TIME = 13
/** A Date holds 10^8 days about 1970. */
const MAX_DATE_MS = 8_640_000_000_000_000n

/** Undefined where it is none: bytes, files, arrays. NaN and infinities stay what they are. */
export const metricValue = (wire: WireValue, datatype: number | undefined): Reading['value'] | undefined => {
  switch (wire.kind) {
    case 'int':
      return fromInt(wire.value, datatype)
    case 'long':
      return fromLong(wire.value, datatype)
    case 'float':
      return shortestFloat(wire.value)
    case 'double':
    case 'boolean':
    case 'string':
      return wire.value
    default:
      return undefined
  }
}

// Negative numbers come in two's complement, of 32 bits or of as many as the type has.
const fromInt = (value: number, datatype: number | undefined): number => {
  if (datatype === INT8) return (value << 24) >> 24
  if (datatype === INT16) return (value << 16) >> 16
  return datatype === INT32 || datatype === INT64 ? value | 0 : value
}

const fromLong = (value: bigint, datatype: number | undefined): number | string => {
  if (datatype === DATE_TIME) return value <= MAX_DATE_MS ? new Date(Number(value)).toISOString() : value.toString()
  const isSigned = datatype === INT64 || datatype === INT32 || datatype === INT16 || datatype === INT8
  const whole = isSigned ? BigInt.asIntN(64, value) : value
  const number = Number(whole)
  return Number.isSafeInteger(number) ? number : whole.toString()
}

/** The shortest decimal that is the same 32-bit number: 21.1 instead of 21.100000381469727. */
const shortestFloat = (value: number): number => {
  if (!Number.isFinite(value)) return value
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}
