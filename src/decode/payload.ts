// From payload bytes to text: strict UTF-8, with what surrounds it taken off (white space, a byte order mark, the NUL
// that C programs send along). Everything that is not text is a DecodeError.

import { isUtf8 } from 'node:buffer'
import { DecodeError } from '../core/errors.ts'

/** JSON above it is no telemetry; parsing it would hold up everybody else for milliseconds. */
const MAX_DECODED_BYTES = 1_048_576

const SPACE = 0x20
const DELETE = 0x7f
const FIRST_BEYOND_ASCII = 0x80
const LATIN1_SIGNS: ReadonlySet<number> = new Set([0xb0, 0xb2, 0xb3, 0xb5, 0xba])
/** A slice keeps the whole text alive that it was cut from; past this much of it, the slice is copied out. */
const MAX_TRIMMED_KEPT = 64

/** `latin-1` (ISO 8859-1) has a meaning for every byte; a profile must know that it is meant. */
export type TextEncoding = 'utf-8' | 'latin-1'

export const payloadText = (payload: Buffer, encoding: TextEncoding = 'utf-8'): string => {
  if (payload.length === 0) throw new DecodeError('the payload is empty')
  if (payload.length > MAX_DECODED_BYTES)
    throw new DecodeError(
      `the payload has ${payload.length} bytes, more than the ${MAX_DECODED_BYTES} that are decoded`,
    )
  const raw = payload.toString(encoding === 'latin-1' ? 'latin1' : 'utf8')
  // Broken UTF-8 became U+FFFD; only then is the second look needed.
  const broken = encoding === 'utf-8' && raw.includes('\ufffd') && !isUtf8(payload)
  if (broken && !isMeasureInLatin1(payload)) throw new DecodeError('the payload is binary: it is not valid UTF-8')
  const text = trimmed(broken ? payload.toString('latin1') : raw)
  if (text.length === 0) throw new DecodeError('the payload is empty but for white space')
  return text
}

// Devices that write 25°C in ISO 8859-1 are common; their degree sign (0xb0) is no UTF-8. Only the signs that stand in units
// (° ² ³ µ º) beside digits and printable ASCII are taken for it: anything else beyond ASCII is rather binary.
const isMeasureInLatin1 = (payload: Buffer): boolean =>
  payload.some((byte) => byte >= 0x30 && byte <= 0x39) &&
  payload.every(
    (byte) =>
      (byte >= SPACE && byte < DELETE) || LATIN1_SIGNS.has(byte) || byte === 0x09 || byte === 0x0a || byte === 0x0d,
  )

const trimmed = (text: string): string => {
  const first = text.charCodeAt(0)
  const last = text.charCodeAt(text.length - 1)
  if (first > SPACE && first < FIRST_BEYOND_ASCII && last > SPACE && last < FIRST_BEYOND_ASCII) return text
  let end = text.length
  while (end > 0 && text.charCodeAt(end - 1) === 0) end--
  const rest = text.slice(0, end).trim() // U+FEFF is white space to trim()
  return text.length - rest.length > MAX_TRIMMED_KEPT ? Buffer.from(rest).toString() : rest
}

/** Whether the text can only be JSON: an object, an array or a quoted string. */
export const looksLikeJson = (text: string): boolean => {
  const first = text.charCodeAt(0)
  return first === 0x7b || first === 0x5b || first === 0x22 // { [ "
}

/** The same question about bytes, for the device of a payload that could not be decoded. */
export const startsLikeJson = (payload: Buffer): boolean => {
  let index = payload.length >= 3 && payload[0] === 0xef && payload[1] === 0xbb && payload[2] === 0xbf ? 3 : 0
  for (; index < payload.length; index++) {
    const byte = payload[index]
    if (byte === 0x7b || byte === 0x5b || byte === 0x22) return true
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return false
  }
  return false
}
