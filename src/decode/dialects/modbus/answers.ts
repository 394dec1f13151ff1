// What a source of type modbus writes into the log: the raw answers of one unit, as compact JSON. This is the reading side;
// anything that is not exactly of this form is a DecodeError.

import { DecodeError } from '../../../core/errors.ts'
import { exceptionText, isBitTable, MAX_ADDRESS, MAX_BITS, MAX_REGISTERS, MODBUS_TABLES } from '../../../core/modbus.ts'
import type { ModbusTable } from '../../../core/profile.ts'
import { parseJson } from '../../json-text.ts'
import { shownFault } from '../../limits.ts'

/** Reads of one cycle: no profile lists more registers. */
const MAX_READS = 2_000

export interface Answers {
  readonly unit: number
  /** Present where the unit came or went. */
  readonly online?: boolean
  readonly reads: readonly AnsweredRead[]
  /** One line each. */
  readonly errors: readonly string[]
}

export interface AnsweredRead {
  readonly table: ModbusTable
  readonly address: number
  /** Addresses. */
  readonly count: number
  /** Registers, or coils from the lowest bit of the first byte on. */
  readonly data: Buffer
}

type Members = Readonly<Record<string, unknown>>

export const parseAnswers = (text: string): Answers => {
  const members = object(parseJson(text), 'the payload')
  const { unit, online, reads = [], errors = [] } = members
  if (!isWhole(unit, 255)) throw new DecodeError('the payload has no unit')
  if (online !== undefined && typeof online !== 'boolean') throw new DecodeError('online is neither true nor false')
  if (!isList(reads) || !isList(errors)) throw new DecodeError('reads or errors is no list, or too long')
  return {
    unit,
    ...(online === undefined ? {} : { online }),
    reads: reads.map((read, index) => answered(object(read, `reads[${index}]`), index)),
    errors: errors.map((error, index) => complaint(object(error, `errors[${index}]`))),
  }
}

const answered = ({ table, address, count, data }: Members, index: number): AnsweredRead => {
  const fault = (what: string) => new DecodeError(`reads[${index}] ${what}`)
  if (!isTable(table)) throw fault('has no table')
  if (!isWhole(address, MAX_ADDRESS)) throw fault('has no address')
  if (typeof data !== 'string' || !/^([0-9a-fA-F]{2})+$/.test(data)) throw fault('has no data')
  const bytes = Buffer.from(data, 'hex')
  if (isBitTable(table)) {
    if (!isWhole(count, MAX_BITS) || bytes.length !== Math.ceil(count / 8)) throw fault('has not the bits it counts')
    return { table, address, count, data: bytes }
  }
  if (bytes.length % 2 !== 0 || bytes.length > 2 * MAX_REGISTERS) throw fault('is not made of registers')
  return { table, address, count: bytes.length / 2, data: bytes }
}

const complaint = ({ table, address, count, code, error }: Members): string => {
  const what = isWhole(code, 255) ? exceptionText(code) : typeof error === 'string' ? shownFault(error) : 'failed'
  if (!isTable(table) || !isWhole(address, MAX_ADDRESS)) return what
  return `${table} ${isWhole(count, MAX_BITS) && count > 1 ? `${address} to ${address + count - 1}` : address}: ${what}`
}

const object = (value: unknown, what: string): Members => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DecodeError(`${what} is no object, as a source of type modbus writes it`)
  return value as Members
}

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value) && value.length <= MAX_READS

const isTable = (value: unknown): value is ModbusTable => MODBUS_TABLES.some((table) => table === value)

const isWhole = (value: unknown, most: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most
