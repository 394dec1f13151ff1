// One cycle of one unit as a message for the log: the raw answers, and what went wrong. What they mean is the decoder's
// business (decode/dialects/modbus), so that a corrected profile applies to what was read before.

import { isBitTable } from '../../core/modbus.ts'
import type { ModbusError, ReadRequest } from './client.ts'

/** Every byte of it is kept for long: no unit has so much to complain about that it needs more. */
const MAX_ERRORS = 20

export interface Cycle {
  readonly unit: number
  readonly online?: boolean
  readonly reads: readonly (ReadRequest & { readonly data: Buffer })[]
  readonly errors: readonly CycleError[]
}

export type CycleError = Partial<ReadRequest> & { readonly error: Pick<ModbusError, 'message' | 'code'> }

export const cyclePayload = ({ unit, online, reads, errors }: Cycle): Buffer => {
  const document = {
    unit,
    ...(online === undefined ? {} : { online }),
    reads: reads.map(({ table, address, count, data }) => ({
      table,
      address,
      ...(isBitTable(table) ? { count } : {}),
      data: data.toString('hex'),
    })),
    ...(errors.length === 0 ? {} : { errors: errors.slice(0, MAX_ERRORS).map(written) }),
  }
  return Buffer.from(JSON.stringify(document))
}

const written = ({ table, address, count, error }: CycleError) => ({
  ...(table === undefined ? {} : { table, address, count }),
  ...(error.code === undefined ? { error: error.message } : { code: error.code }),
})
