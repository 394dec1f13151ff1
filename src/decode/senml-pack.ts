// From payloads to the records of a SenML Pack, as core/senml.ts resolves them: JSON without loss of digits, and CBOR, whose
// labels are integers (RFC 8428, 6).

import { DecodeError } from '../core/errors.ts'
import { isSenmlPack, MAX_SENML_RECORDS } from '../core/senml.ts'
import { decodeCbor } from './cbor.ts'
import { parseJson, quoteLargeIntegers } from './json-text.ts'

/** RFC 8428, 6, table 4. It is conclusive: extensions have texts for labels. */
const LABELS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [-1, 'bver'],
  [-2, 'bn'],
  [-3, 'bt'],
  [-4, 'bu'],
  [-5, 'bv'],
  [-6, 'bs'],
  [0, 'n'],
  [1, 'u'],
  [2, 'v'],
  [3, 'vs'],
  [4, 'vb'],
  [5, 's'],
  [6, 't'],
  [7, 'ut'],
  [8, 'vd'],
])
const TEXT_LABELS: ReadonlySet<unknown> = new Set(LABELS.values())

/** Array headers of CBOR, the empty one left out. No text in UTF-8 begins with one of these bytes. */
const FIRST_ARRAY = 0x81
const LAST_SHORT_ARRAY = 0x9b
const OPEN_ARRAY = 0x9f

/**
 * A Pack as JSON.parse gave it, with the integers of `v` that no double holds as bigint. `text` is what it was parsed from.
 */
export const exactPack = (pack: unknown, text: string): unknown => {
  const quoted = quoteLargeIntegers(text)
  return quoted === text ? pack : withExactValues(pack, parseJson(quoted))
}

/** The same, where the value has been parsed with large integers in quotes already. */
export const withExactValues = (pack: unknown, exact: unknown): unknown => {
  if (!Array.isArray(pack) || !Array.isArray(exact)) return pack
  const others: unknown[] = exact
  return pack.map((record: unknown, index) => {
    const digits = memberOf(others[index], 'v')
    if (typeof digits !== 'string' || typeof memberOf(record, 'v') !== 'number') return record
    return { ...(record as object), v: BigInt(digits) }
  })
}

/** Records of a Pack in CBOR with the labels of JSON. Throws DecodeError. */
export const packFromCbor = (payload: Buffer): readonly unknown[] => {
  const pack = decodeCbor(payload)
  if (!Array.isArray(pack)) throw new DecodeError('a SenML Pack is an array of records')
  if (pack.length > MAX_SENML_RECORDS)
    throw new DecodeError(`the SenML Pack has ${pack.length} records, more than ${MAX_SENML_RECORDS}`)
  return pack.map((record: unknown, index) => {
    if (!(record instanceof Map)) throw new DecodeError(`SenML record ${index} is not a map`)
    return recordFrom(record, index)
  })
}

/**
 * The Pack that the payload certainly is: not a word of it could be anything else, as every label is one of the table, and
 * nothing is left over. Undefined for all other bytes; never throws.
 */
export const certainPackFromCbor = (payload: Buffer): readonly unknown[] | undefined => {
  const first = payload[0] ?? 0
  if (first < FIRST_ARRAY || (first > LAST_SHORT_ARRAY && first !== OPEN_ARRAY)) return undefined
  // The first record is a map: most other bytes end here.
  const second = payload[first < 0x98 || first === OPEN_ARRAY ? 1 : 1 + 2 ** (first - 0x98)] ?? 0
  if (second >> 5 !== 5) return undefined
  try {
    const pack = packFromCbor(payload)
    const known = pack.every((record) => Object.keys(record as object).every((label) => TEXT_LABELS.has(label)))
    return known && isSenmlPack(pack) ? pack : undefined
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

const recordFrom = (map: ReadonlyMap<unknown, unknown>, index: number): object => {
  // Without a prototype: a label may be '__proto__'.
  const record: Record<string, unknown> = Object.create(null)
  for (const [key, value] of map) {
    // An integer that the table does not know is a label all the same, and ignored as such.
    const label =
      LABELS.get(key) ?? (typeof key === 'string' ? key : typeof key === 'number' ? `label ${key}` : undefined)
    if (label === undefined) throw new DecodeError(`SenML record ${index} has a label that is neither integer nor text`)
    if (Object.hasOwn(record, label)) throw new DecodeError(`SenML record ${index} has '${label}' more than once`)
    record[label] = labelValue(label, value, index)
  }
  return record
}

const labelValue = (label: string, value: unknown, index: number): unknown => {
  if (label === 'vd') {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('base64url')
    throw new DecodeError(`SenML record ${index}: 'vd' is not a byte string`) // RFC 8428, 6
  }
  if (typeof value !== 'bigint') return value
  // Only a value keeps digits that a double may not have; a time with so many is out of range anyway.
  const isExact = label !== 'v' || Number.isSafeInteger(Number(value))
  return isExact || digitsOf(value) > 40 ? Number(value) : value
}

const digitsOf = (value: bigint): number => String(value).length

const memberOf = (record: unknown, label: string): unknown =>
  typeof record === 'object' && record !== null && Object.hasOwn(record, label)
    ? (record as Record<string, unknown>)[label]
    : undefined
