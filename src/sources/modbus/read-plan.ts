// Which requests read a list of registers: as few as the limits of the device allow. Pure.
//
// Sorted by address, each request takes as many registers as fit: no split into fewer requests exists, because what does not
// fit behind the first register of a request does not fit behind a later one either (test/sources/modbus/read-plan.test.ts
// compares with every possible split).

import { addressesOf, isBitTable, MODBUS_TABLES } from '../../core/modbus.ts'
import type { ModbusRegister, ModbusSection, ModbusTable } from '../../core/profile.ts'

export interface PlannedRead {
  readonly table: ModbusTable
  readonly address: number
  readonly count: number
  /** What it is for, by address. */
  readonly registers: readonly ModbusRegister[]
}

export type PlanLimits = Pick<ModbusSection, 'maxRegisters' | 'maxBits' | 'gap' | 'unreadable'>

/** `apart`: a register named in it begins a request of its own, because the device refused it together with the one before. */
export const planReads = (
  registers: readonly ModbusRegister[],
  limits: PlanLimits,
  apart: ReadonlySet<string> = new Set(),
): readonly PlannedRead[] => MODBUS_TABLES.flatMap((table) => planTable(table, registers, limits, apart))

const planTable = (
  table: ModbusTable,
  registers: readonly ModbusRegister[],
  limits: PlanLimits,
  apart: ReadonlySet<string>,
): readonly PlannedRead[] => {
  const most = isBitTable(table) ? limits.maxBits : limits.maxRegisters
  const holes = limits.unreadable.filter((range) => range.table === table)
  const sorted = registers.filter((register) => register.table === table).toSorted((a, b) => a.address - b.address)
  const reads: PlannedRead[] = []
  let members: ModbusRegister[] = []
  let first = 0
  let end = 0
  const flush = () => {
    if (members.length > 0) reads.push({ table, address: first, count: end - first, registers: members })
    members = []
  }
  for (const register of sorted) {
    const next = Math.max(end, register.address + addressesOf(register))
    const fits =
      members.length > 0 &&
      !(apart.has(register.name) && register.address > (members.at(-1)?.address ?? 0)) &&
      register.address - end <= limits.gap &&
      next - first <= most &&
      !holes.some((hole) => hole.first < register.address && hole.last >= end)
    if (!fits) {
      flush()
      first = register.address
      end = first
    }
    members.push(register)
    end = Math.max(end, register.address + addressesOf(register))
  }
  flush()
  return reads
}

/**
 * Where to part a read that the device refused: at every gap, since what nobody asked for is the likeliest to be illegal; without
 * a gap in the middle. Empty: there is nothing to part.
 */
export const partings = ({ registers }: Pick<PlannedRead, 'registers'>): readonly string[] => {
  const starts: { readonly register: ModbusRegister; readonly gap: boolean }[] = []
  let end: number | undefined
  for (const register of registers) {
    if (end !== undefined && register.address >= end) starts.push({ register, gap: register.address > end })
    end = Math.max(end ?? 0, register.address + addressesOf(register))
  }
  const gaps = starts.filter(({ gap }) => gap)
  const chosen = gaps.length > 0 ? gaps : starts.slice(Math.floor((starts.length - 1) / 2)).slice(0, 1)
  return chosen.map(({ register }) => register.name)
}
