// From a command's payload to writes: {"name": value} by the entries `write` of the profile, or {"write": {"table", "address",
// "value"}} for the same entries by their address. Anything that the profile does not list, or out of its range, is refused
// before anything is written.

import { describe, TidegateError } from '../../core/errors.ts'
import { addressesOf, reordered } from '../../core/modbus.ts'
import type { ModbusType, ModbusWrite } from '../../core/profile.ts'
import type { WriteRequest } from './client.ts'

/** A command sets a few things; each write takes a round trip on the bus. */
const MAX_WRITES = 50
const MAX_PAYLOAD_BYTES = 16_384
const MAX_SHOWN = 60

export interface NamedWrite {
  readonly name: string
  readonly request: WriteRequest
}

/** Throws TG_BAD_REQUEST. */
export const parseWrites = (payload: Buffer, entries: readonly ModbusWrite[]): readonly NamedWrite[] => {
  const wishes = Object.entries(parsed(payload))
  if (wishes.length === 0) throw refused('the command is empty')
  if (wishes.length > MAX_WRITES) throw refused(`the command sets more than ${MAX_WRITES} values`)
  return wishes.map(([name, value]) => {
    if (name === 'write') return rawWrite(value, entries)
    const entry = entries.find((one) => one.name === name)
    if (entry === undefined) throw refused(`the profile lists no '${shown(name)}' to write; ${known(entries)}`)
    return { name, request: writeRequest(entry, value) }
  })
}

const rawWrite = (value: unknown, entries: readonly ModbusWrite[]): NamedWrite => {
  if (!isObject(value)) throw refused('write must be an object with table, address and value')
  const { table, address, value: wanted, unit, ...others } = value
  // Unit 0 is a broadcast (MODBUS over serial line V1.02, 2.1): nobody answers it, so nobody knows what it did.
  if (unit !== undefined) throw refused('a command names its device, not a unit; there are no broadcasts')
  const [stranger] = Object.keys(others)
  if (stranger !== undefined) throw refused(`write has no key '${shown(stranger)}'`)
  const entry = entries.find((one) => one.table === table && one.address === address)
  if (entry === undefined)
    throw refused(`the profile lists no ${shown(String(table))} ${shown(String(address))} to write; ${known(entries)}`)
  return { name: entry.name, request: writeRequest(entry, wanted) }
}

const writeRequest = (entry: ModbusWrite, value: unknown): WriteRequest => {
  const { name, table, address, values, range, scale = 1, offset = 0, multiple = false } = entry
  const given = typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string' ? value : undefined
  const word = String(given)
  if (given === undefined) throw refused(`${name} must be a number, true, false or a word`)
  const stands = values !== undefined && Object.hasOwn(values, word) ? values[word] : undefined
  if (stands === undefined && typeof given === 'string')
    throw refused(`${name} cannot be '${shown(word)}'${words(values)}`)
  // With words and no range, the words are all there is.
  if (
    stands === undefined &&
    values !== undefined &&
    range === undefined &&
    !Object.values(values).includes(given as number)
  )
    throw refused(`${name} cannot be ${word}${words(values)}`)
  if (table === 'coil') {
    const state = stands ?? given
    if (state === true || state === 1) return { table, address, value: true, multiple: false }
    if (state === false || state === 0) return { table, address, value: false, multiple: false }
    throw refused(`${name} is a coil: true or false`)
  }
  const number = Number(given)
  if (stands === undefined && (!Number.isFinite(number) || (typeof given === 'boolean' && values === undefined)))
    throw refused(`${name} must be a number`)
  if (stands === undefined && range !== undefined && (number < range[0] || number > range[1]))
    throw refused(`${name}: ${number} is outside ${range[0]} to ${range[1]}`)
  const raw = stands === undefined ? (number - offset) / scale : Number(stands)
  return { table: 'holding', address, value: registersOf(entry, raw), multiple }
}

const registersOf = ({ name, type, words: wordOrder, bytes }: ModbusWrite, raw: number): readonly number[] => {
  const buffer = reordered(encoded(name, type, raw), { words: wordOrder, bytes })
  return Array.from({ length: buffer.length / 2 }, (_, index) => buffer.readUInt16BE(2 * index))
}

const encoded = (name: string, type: ModbusType, raw: number): Buffer => {
  const buffer = Buffer.alloc(2 * addressesOf({ type }))
  if (!Number.isFinite(type === 'f32' ? Math.fround(raw) : raw)) throw refused(`${name} does not fit into ${type}`)
  if (type === 'f32' || type === 'f64') {
    if (type === 'f32') buffer.writeFloatBE(raw)
    else buffer.writeDoubleBE(raw)
    return buffer
  }
  const integer = BigInt(Math.round(Number(raw.toPrecision(15))))
  const bits = 8 * buffer.length
  const signed = type.startsWith('i')
  const least = signed ? -(1n << BigInt(bits - 1)) : 0n
  const most = (1n << BigInt(signed ? bits - 1 : bits)) - 1n
  if (integer < least || integer > most) throw refused(`${name} does not fit into ${type}`)
  buffer.write(
    BigInt.asUintN(bits, integer)
      .toString(16)
      .padStart(bits / 4, '0'),
    'hex',
  )
  return buffer
}

const parsed = (payload: Buffer): Readonly<Record<string, unknown>> => {
  if (payload.length > MAX_PAYLOAD_BYTES) throw refused('the command is too long')
  let value: unknown
  try {
    value = JSON.parse(payload.toString())
  } catch (error) {
    throw refused(`the command is not valid JSON: ${describe(error)}`)
  }
  if (!isObject(value)) throw refused('the command must be an object, such as {"name": value}')
  return value
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const refused = (message: string): TidegateError => new TidegateError('TG_BAD_REQUEST', message)

const shown = (text: string): string => (text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text)

const words = (values: ModbusWrite['values']): string =>
  values === undefined ? '' : `; it can be ${Object.keys(values).join(', ')}`

const known = (entries: readonly ModbusWrite[]): string =>
  entries.length === 0
    ? 'it lists none'
    : `there is ${entries
        .slice(0, 20)
        .map(({ name }) => name)
        .join(', ')}`
