// The dialect 'dsmr': telegrams of the P1 port of smart meters (DSMR 2.2 to 5, ESMR, e-MUCS, Sagemcom). What hangs on the
// M-Bus of a meter is a device of its own below it, `meter/gas`: it has its own number, its own time and its own pace.

import type { Decoded } from '../../../core/contract.ts'
import type { DecoderInput } from '../../../core/decoder-contract.ts'
import { DecodeError } from '../../../core/errors.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import { parseObjects } from './data-object.ts'
import { type DsmrOptions, TelegramReadings } from './readings.ts'
import { parseTelegrams } from './telegram.ts'

/** DSMR 5.0.2 P1, 5.12: a telegram is far below it, text message included. */
const MAX_BYTES = 65_536

const decode = ({ payload, device }: DecoderInput, options: DsmrOptions): Decoded => {
  if (payload.length === 0) throw new DecodeError('the payload is empty')
  if (payload.length > MAX_BYTES)
    throw new DecodeError(`the payload has ${payload.length} bytes, too many for a telegram`)
  const { telegrams, faults } = parseTelegrams(payload, options.crc)
  const all = [...faults]
  const parts = telegrams.map(({ lines }) => {
    const { objects, faults: bad } = parseObjects(lines)
    all.push(...bad)
    const part = new TelegramReadings(device, options)
    part.add(objects)
    all.push(...part.faults)
    return part
  })
  const doubtful = parts.flatMap((part) => part.doubtful)
  const [first, ...others] = all
  const fault = others.length === 0 ? first : `${first} (and ${others.length} more)`
  return {
    readings: parts.flatMap((part) => part.readings),
    ...(doubtful.length === 0 ? {} : { doubtful }),
    ...(fault === undefined ? {} : { fault }),
  }
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'dsmr',
  schema: {
    description: 'Telegrams of the P1 port of smart meters',
    properties: {
      crc: {
        enum: ['by-version', 'required', 'ignored'],
        default: 'by-version',
        description: 'by-version: checked where there is one, and required of meters that say DSMR 4 or later',
      },
      winterOffsetHours: {
        type: 'integer',
        minimum: -12,
        maximum: 14,
        default: 1,
        description: 'Hours from UTC to local time in winter; summer has one more',
      },
      history: {
        type: 'boolean',
        default: false,
        description: 'Earlier power failures and monthly peaks, too, which each telegram repeats',
      },
    },
  },
  create: (options) => ({ severalDevices: true, decode: (message) => decode(message, options as DsmrOptions) }),
}
