// The section `modbus` of a device profile: its schema, what a schema cannot say about it, and its resolved form, in which
// every register states everything. The rules with the decoder modbus get it as their options.

import {
  addressesOf,
  isBitTable,
  MAX_ADDRESS,
  MAX_BITS,
  MAX_REGISTERS,
  MODBUS_TABLES,
  MODBUS_TYPES,
} from '../core/modbus.ts'
import type { ModbusRegister, ModbusSection, ModbusTable, ModbusType, ModbusWrite } from '../core/profile.ts'
import { isUnit } from '../core/unit.ts'
import type { Path } from './document.ts'
import type { JsonSchema } from './schema.ts'
import { unknownUnit, wrong } from './template-findings.ts'
import { parseDuration } from './units.ts'
import type { Finding } from './validation.ts'

/** Of a device that the profile says nothing about: often enough for a chart, seldom enough for a slow bus. */
const DEFAULT_EVERY_MS = 10_000
/** More is not the map of a device but of a plant; each costs memory in every thread. */
const MAX_ENTRIES = 2_000
/** Registers of the longest text. */
const MAX_LENGTH = 125
/** Digits of BCD that a number holds exactly. */
const MAX_BCD_REGISTERS = 3

type Order = 'big' | 'little'

interface WrittenCommon {
  readonly table?: ModbusTable
  readonly type?: ModbusType
  readonly wordOrder?: Order
  readonly byteOrder?: Order
}

interface WrittenRegister extends WrittenCommon {
  readonly name: string
  readonly address: number
  readonly length?: number
  readonly bit?: number
  readonly bits?: readonly [number, number]
  readonly scale?: number
  readonly offset?: number
  readonly exponent?: string
  readonly unit?: string
  readonly missing?: readonly (number | string)[]
  readonly every?: string
}

type WrittenWrite = WrittenCommon & Omit<ModbusWrite, 'table' | 'type' | 'words' | 'bytes'>

export interface WrittenModbus extends WrittenCommon {
  readonly every?: string
  readonly timeout?: string
  readonly maxRegisters?: number
  readonly maxBits?: number
  readonly gap?: number
  readonly unreadable?: readonly { readonly table: ModbusTable; readonly first: number; readonly last: number }[]
  readonly registers: readonly WrittenRegister[]
  readonly write?: readonly WrittenWrite[]
}

const duration = (description: string, least: string): JsonSchema => ({
  type: 'string',
  format: 'duration',
  formatMinimum: least,
  formatMaximum: '1d',
  description,
})
const object = (properties: JsonSchema, required: readonly string[]): JsonSchema => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
})
const name: JsonSchema = { type: 'string', minLength: 1, maxLength: 200, description: 'Name of the reading' }
const address: JsonSchema = { type: 'integer', minimum: 0, maximum: MAX_ADDRESS, description: 'As on the wire, from 0' }
const order: JsonSchema = { enum: ['big', 'little'] }
const table: JsonSchema = { enum: MODBUS_TABLES, description: 'Which table of the device' }
const common: JsonSchema = {
  table,
  type: { enum: MODBUS_TYPES, description: 'How the bits are read' },
  wordOrder: { ...order, description: 'Which register of several comes first; big by default' },
  byteOrder: { ...order, description: 'Which byte of a register comes first; big by default' },
}
const measure: JsonSchema = {
  scale: { type: 'number', description: 'Factor from the raw value to the reading' },
  offset: { type: 'number', description: 'Added after the factor' },
  unit: { type: 'string', minLength: 1, maxLength: 20, description: 'SenML unit' },
}

/** JSON Schema of the section. */
export const modbusSchema: JsonSchema = {
  ...object(
    {
      every: duration('How often the registers are read; 10s by default', '50ms'),
      timeout: duration('How long the device may take to answer; the source says it otherwise', '10ms'),
      maxRegisters: { type: 'integer', minimum: 1, maximum: MAX_REGISTERS, description: 'Registers in one request' },
      maxBits: {
        type: 'integer',
        minimum: 1,
        maximum: MAX_BITS,
        description: 'Coils or discrete inputs in one request',
      },
      gap: { type: 'integer', minimum: 0, maximum: MAX_BITS, description: 'Unused addresses that may be read along' },
      unreadable: {
        type: 'array',
        maxItems: MAX_ENTRIES,
        description: 'Addresses that no request may touch',
        items: object({ table, first: address, last: address }, ['table', 'first', 'last']),
      },
      ...common,
      registers: {
        type: 'array',
        minItems: 1,
        maxItems: MAX_ENTRIES,
        description: 'What is read',
        items: object(
          {
            name,
            address,
            ...common,
            length: { type: 'integer', minimum: 1, maximum: MAX_LENGTH, description: 'Registers of a string or bcd' },
            bit: { type: 'integer', minimum: 0, maximum: 63, description: 'One bit, 0 the lowest, as true or false' },
            bits: {
              type: 'array',
              minItems: 2,
              maxItems: 2,
              items: { type: 'integer', minimum: 0, maximum: 63 },
              description: 'Lowest and highest bit of an unsigned number within',
            },
            ...measure,
            exponent: { ...name, description: 'Register that holds a power of ten to multiply with (SunSpec)' },
            missing: {
              type: 'array',
              minItems: 1,
              maxItems: 20,
              items: { type: ['number', 'string'] },
              description: 'Raw values that mean "no value", such as 0x8000 or nan',
            },
            every: duration('How often this one is read, where it differs', '50ms'),
          },
          ['name', 'address'],
        ),
      },
      write: {
        type: 'array',
        minItems: 1,
        maxItems: MAX_ENTRIES,
        description: 'What commands may write',
        items: object(
          {
            name: { ...name, description: 'Name in the command' },
            address,
            ...common,
            ...measure,
            range: {
              type: 'array',
              minItems: 2,
              maxItems: 2,
              items: { type: 'number' },
              description: 'Allowed values',
            },
            values: {
              type: 'object',
              minProperties: 1,
              additionalProperties: { type: ['number', 'boolean'] },
              description: 'Words that may be sent, and the raw values that they stand for',
            },
            multiple: { type: 'boolean', description: 'Write one register with function 16 instead of 6' },
          },
          ['name', 'address'],
        ),
      },
    },
    ['registers'],
  ),
  description: 'The registers of a Modbus device',
}

/** Everything stated. To be called with what the schema accepted. */
export const resolveModbus = (written: WrittenModbus): ModbusSection => {
  const ofSection = ({ table = written.table ?? 'holding', ...own }: WrittenCommon) => ({
    table,
    type: own.type ?? (isBitTable(table) ? 'bool' : (written.type ?? 'u16')),
    words: own.wordOrder ?? written.wordOrder ?? 'big',
    bytes: own.byteOrder ?? written.byteOrder ?? 'big',
  })
  return {
    everyMs: milliseconds(written.every) ?? DEFAULT_EVERY_MS,
    ...defined('timeoutMs', milliseconds(written.timeout)),
    maxRegisters: written.maxRegisters ?? MAX_REGISTERS,
    maxBits: written.maxBits ?? MAX_BITS,
    gap: written.gap ?? 0,
    unreadable: written.unreadable ?? [],
    registers: written.registers.map((register): ModbusRegister => {
      const { name, address, length, bit, bits, scale, offset, exponent, unit, missing, every } = register
      const resolved = { name, address, ...ofSection(register), ...defined('length', length) }
      return {
        ...resolved,
        // A single bit is a truth, whatever the register is.
        ...(bit === undefined ? {} : { bits: [bit, bit] as const, flag: true as const }),
        ...defined('bits', bits),
        ...defined('scale', scale),
        ...defined('offset', offset),
        ...defined('exponent', exponent),
        ...defined('unit', unit),
        ...defined(
          'missing',
          missing?.map((value) => missingText(value, 16 * addressesOf(resolved)) ?? ''),
        ),
        ...defined('everyMs', milliseconds(every)),
      }
    }),
    write: (written.write ?? []).map(({ table, type, wordOrder, byteOrder, ...rest }) => ({
      ...rest,
      ...ofSection({
        ...defined('table', table),
        ...defined('type', type),
        ...defined('wordOrder', wordOrder),
        ...defined('byteOrder', byteOrder),
      }),
    })),
  }
}

/** What is wrong with the section although the schema accepts it. */
export const modbusFindings = (written: WrittenModbus | undefined, decoders: readonly string[]): readonly Finding[] => {
  const used = decoders.indexOf('modbus')
  if (written === undefined)
    return used === -1 ? [] : [wrong(['rules', used, 'decoder'], 'decoder modbus needs the section modbus')]
  const section = resolveModbus(written)
  return [
    ...(used === -1 ? [wrong(['modbus'], 'the section modbus needs a rule with decoder modbus')] : []),
    ...section.unreadable.flatMap(({ first, last }, index) =>
      first > last ? [wrong(['modbus', 'unreadable', index], `${first} to ${last} is empty`)] : [],
    ),
    ...section.registers.flatMap((register, index) => [
      ...registerFindings(section, register, ['modbus', 'registers', index]),
      ...missingFindings(written.registers[index]?.missing, register, ['modbus', 'registers', index, 'missing']),
    ]),
    ...twice(section.registers, ['modbus', 'registers']),
    ...overlaps(section.registers),
    ...section.write.flatMap((write, index) => writeFindings(write, ['modbus', 'write', index])),
    ...twice(section.write, ['modbus', 'write']),
  ]
}

const registerFindings = (section: ModbusSection, register: ModbusRegister, at: Path): readonly Finding[] => {
  const { table, type, address, bits, length, unit, exponent, scale } = register
  const width = addressesOf(register)
  const last = address + width - 1
  const power = section.registers.find((other) => other.name === exponent)
  const isText = type === 'string' || type === 'bcd'
  const most = type === 'bcd' ? MAX_BCD_REGISTERS : isBitTable(table) ? section.maxBits : section.maxRegisters
  return [
    ...(isBitTable(table) !== (type === 'bool') && (isBitTable(table) || bits === undefined)
      ? [wrong(at, isBitTable(table) ? `a ${table} is a bool, not ${type}` : 'a bool in a register needs its bit')]
      : []),
    ...(last > MAX_ADDRESS ? [wrong([...at, 'address'], `${type} at ${address} ends beyond ${MAX_ADDRESS}`)] : []),
    ...(width > most ? [wrong(at, `${type} of ${width} registers is longer than ${most}`)] : []),
    ...(isText === (length !== undefined)
      ? []
      : [wrong(at, isText ? `${type} needs its length in registers` : `${type} has a length of its own`)]),
    ...(bits === undefined ? [] : bitsFindings(register, bits, at)),
    ...(unit === undefined || isUnit(unit) ? [] : [wrong([...at, 'unit'], unknownUnit(unit))]),
    ...(scale === 0 ? [wrong([...at, 'scale'], 'a scale of 0 leaves nothing')] : []),
    ...(exponent !== undefined &&
    (power === undefined || power.everyMs !== register.everyMs || power.exponent !== undefined)
      ? [wrong([...at, 'exponent'], `${exponent} must be a register that is read as often, without an exponent itself`)]
      : []),
    ...section.unreadable
      .filter((range) => range.table === table && range.first <= last && range.last >= address)
      .map(({ first, last: end }) => wrong(at, `lies in the unreadable ${table} ${first} to ${end}`)),
  ]
}

const bitsFindings = ({ type, ...register }: ModbusRegister, [low, high]: readonly [number, number], at: Path) => {
  if (!['bool', 'u16', 'u32', 'u64'].includes(type)) return [wrong(at, `bits need u16, u32 or u64, not ${type}`)]
  return low > high || high >= 16 * addressesOf({ type, ...register })
    ? [wrong(at, `${type} has no bits ${low} to ${high}`)]
    : []
}

const missingFindings = (
  written: readonly (number | string)[] | undefined,
  register: ModbusRegister,
  at: Path,
): readonly Finding[] =>
  (written ?? []).flatMap((value, index) =>
    missingText(value, 16 * addressesOf(register)) === undefined
      ? [
          wrong(
            [...at, index],
            `${value} is no raw value of ${register.type}; write a whole number (long ones in quotes) or nan`,
          ),
        ]
      : [],
  )

// Named twice, a reading would have two values.
const twice = (entries: readonly { readonly name: string }[], at: Path): readonly Finding[] =>
  entries.flatMap(({ name }, index) =>
    entries.findIndex((other) => other.name === name) === index
      ? []
      : [wrong([...at, index, 'name'], `the name ${name} is taken already`)],
  )

// Parts of one register are what bits are for; anything else that overlaps is a slip in an address or a type.
const overlaps = (registers: readonly ModbusRegister[]): readonly Finding[] => {
  const owner = new Map<string, ModbusRegister>()
  return registers.flatMap((register, index): Finding[] => {
    if (register.bits !== undefined) return []
    for (let address = register.address; address < register.address + addressesOf(register); address++) {
      const key = `${register.table} ${address}`
      const other = owner.get(key)
      if (other !== undefined)
        return [wrong(['modbus', 'registers', index, 'address'], `${key} belongs to ${other.name} already`)]
      owner.set(key, register)
    }
    return []
  })
}

const writeFindings = (
  { name, table, type, unit, range, address, ...write }: ModbusWrite,
  at: Path,
): readonly Finding[] => [
  ...(name === 'write' ? [wrong([...at, 'name'], 'the name write is that of raw writes')] : []),
  ...(table === 'coil' || table === 'holding' ? [] : [wrong(at, `table ${table} cannot be written`)]),
  ...((type === 'bool') === isBitTable(table) && type !== 'string' && type !== 'bcd'
    ? []
    : [wrong(at, `table ${table} cannot be written as ${type}`)]),
  ...(address + addressesOf({ type }) - 1 > MAX_ADDRESS
    ? [wrong([...at, 'address'], 'ends beyond the last address')]
    : []),
  ...(unit === undefined || isUnit(unit) ? [] : [wrong([...at, 'unit'], unknownUnit(unit))]),
  ...(range !== undefined && range[0] > range[1] ? [wrong([...at, 'range'], 'the range is empty')] : []),
  ...(write.scale === 0 ? [wrong([...at, 'scale'], 'a scale of 0 cannot be undone')] : []),
]

/** The raw value as an unsigned decimal number; negative ones as the device has them. `nan` stays. */
const missingText = (value: number | string, bits: number): string | undefined => {
  if (String(value).toLowerCase() === 'nan') return 'nan'
  if (typeof value === 'number' && !Number.isSafeInteger(value)) return undefined
  if (!/^(-?\d+|0x[0-9a-fA-F]+)$/.test(String(value))) return undefined
  const raw = BigInt(value)
  return raw >= 1n << BigInt(bits) || raw < -(1n << BigInt(bits - 1)) ? undefined : String(BigInt.asUintN(bits, raw))
}

const milliseconds = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : parseDuration(text)

const defined = <K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } =>
  value === undefined ? {} : ({ [key]: value } as { readonly [key in K]: V })
