// The dialect 'modbus': raw answers of a Modbus unit, as a source of type modbus keeps them, read by the registers that the
// section `modbus` of the profile lists. What was not read this time is no reading; what failed is named in the fault.

import type { Decoded, Doubt, Reading } from '../../../core/contract.ts'
import { addressesOf, isBitTable } from '../../../core/modbus.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import type { ModbusRegister, ModbusSection } from '../../../core/profile.ts'
import { payloadText } from '../../payload.ts'
import { type AnsweredRead, parseAnswers } from './answers.ts'
import { type RegisterValue, registerValue } from './value.ts'

/** Powers of ten that measurements need (SunSpec: -10 to 10); beyond, the register holds something else. */
const MAX_POWER = 10

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'modbus',
  // What a profile says stands in its section `modbus`, which is the options of such a rule once it is read.
  schema: { description: 'Registers of a Modbus device, listed in the section modbus of the profile', properties: {} },
  create: (options) => {
    const { registers = [] } = options as Partial<ModbusSection>
    const byName = new Map(registers.map((register) => [register.name, register]))
    return {
      decode: ({ payload, device }): Decoded => {
        const { unit, online, reads, errors } = parseAnswers(payloadText(payload))
        const readings: Reading[] = []
        const doubtful: Doubt[] = []
        for (const register of registers) {
          const outcome = registerReading(register, reads, byName)
          if (outcome === undefined || outcome === 'missing') continue
          const { name, unit: measure } = register
          if (outcome === 'faulty') doubtful.push({ device, name, reason: 'faulty' })
          else
            readings.push({ device, name, value: outcome.value, ...(measure === undefined ? {} : { unit: measure }) })
        }
        const [first, ...others] = errors
        const more = others.length === 0 ? '' : ` (and ${others.length} more)`
        return {
          readings,
          ...(first === undefined ? {} : { fault: `unit ${unit}: ${first}${more}` }),
          ...(doubtful.length === 0 ? {} : { doubtful }),
          ...(online === undefined ? {} : { presence: [{ device, online }] }),
        }
      },
    }
  },
}

// undefined: not read this time.
const registerReading = (
  register: ModbusRegister,
  reads: readonly AnsweredRead[],
  byName: ReadonlyMap<string, ModbusRegister>,
): RegisterValue | undefined => {
  const raw = rawOf(register, reads)
  if (raw === undefined) return undefined
  if (register.exponent === undefined) return registerValue(register, raw)
  const exponent = byName.get(register.exponent)
  const power = exponent === undefined ? undefined : registerReading(exponent, reads, new Map())
  if (power === undefined) return undefined
  if (power === 'missing' || power === 'faulty') return power
  const { value } = power
  if (typeof value !== 'number' || !Number.isInteger(value) || Math.abs(value) > MAX_POWER) return 'faulty'
  return registerValue(register, raw, value)
}

const rawOf = (register: ModbusRegister, reads: readonly AnsweredRead[]): Buffer | undefined => {
  const width = addressesOf(register)
  const read = reads.find(
    ({ table, address, count }) =>
      table === register.table && address <= register.address && address + count >= register.address + width,
  )
  if (read === undefined) return undefined
  const offset = register.address - read.address
  if (!isBitTable(register.table)) return read.data.subarray(2 * offset, 2 * (offset + width))
  const bit = ((read.data[offset >> 3] ?? 0) >> (offset & 7)) & 1
  return Buffer.of(bit)
}
