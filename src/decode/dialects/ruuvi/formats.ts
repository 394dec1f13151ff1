// Ruuvi's data formats 3 (RAWv1), 5 (RAWv2), 6 and E1 (docs.ruuvi.com, Bluetooth advertisements): fields, most significant
// byte first, and the value that stands for "not available", which gives no reading.

import type { Reading } from '../../../core/contract.ts'

export type Measured = Pick<Reading, 'name' | 'value' | 'unit'>

interface Format {
  readonly length: number
  readonly read: (data: Buffer) => readonly (Measured | undefined)[]
}

/** SenML has no unit for multiples of the standard gravity, which is 9.80665 m/s2. */
const MILLIGRAVITY = 0.00980665

const number = (name: string, value: number | undefined, unit?: string): Measured | undefined =>
  value === undefined
    ? undefined
    : { name, value: Number(value.toPrecision(9)), ...(unit === undefined ? {} : { unit }) }

const unsigned = (data: Buffer, at: number, size = 2): number | undefined => {
  const value = data.readUIntBE(at, size)
  return value === 256 ** size - 1 ? undefined : value
}
const signed = (data: Buffer, at: number): number | undefined => {
  const value = data.readInt16BE(at)
  return value === -0x8000 ? undefined : value
}
const times = (value: number | undefined, factor: number, offset = 0): number | undefined =>
  value === undefined ? undefined : value * factor + offset

const climate = (data: Buffer): readonly (Measured | undefined)[] => [
  number('temperature', times(signed(data, 1), 0.005), 'Cel'),
  number('humidity', times(unsigned(data, 3), 0.0025), '%RH'),
  number('pressure', times(unsigned(data, 5), 1, 50_000), 'Pa'),
]

const axes = (data: Buffer, at: number): readonly (Measured | undefined)[] =>
  ['x', 'y', 'z'].map((axis, index) =>
    number(`acceleration.${axis}`, times(signed(data, at + 2 * index), MILLIGRAVITY), 'm/s2'),
  )

const mac = (data: Buffer, at: number, size: number): Measured | undefined => {
  const bytes = data.subarray(at, at + size)
  return bytes.every((byte) => byte === 0xff)
    ? undefined
    : { name: 'mac', value: (bytes.toString('hex').toUpperCase().match(/../g) ?? []).join(':') }
}

// Eight bits of an index in a byte of its own, the lowest one among the flags.
const index = (name: string, high: number, low: number): Measured | undefined => {
  const value = high * 2 + low
  return value === 511 ? undefined : { name, value }
}

const rawV1 = (data: Buffer): readonly (Measured | undefined)[] => {
  const whole = data.readUInt8(2)
  const degrees = (whole & 0x7f) + data.readUInt8(3) / 100
  return [
    number('temperature', whole & 0x80 ? -degrees : degrees, 'Cel'),
    number('humidity', data.readUInt8(1) / 2, '%RH'),
    number('pressure', data.readUInt16BE(4) + 50_000, 'Pa'),
    ...axes(data, 6),
    number('battery', data.readUInt16BE(12) / 1000, 'V'),
  ]
}

const rawV2 = (data: Buffer): readonly (Measured | undefined)[] => {
  const power = data.readUInt16BE(13)
  const millivolts = power >> 5
  const steps = power & 0x1f
  return [
    ...climate(data),
    ...axes(data, 7),
    number('battery', millivolts === 0x7ff ? undefined : (millivolts + 1600) / 1000, 'V'),
    number('tx-power', steps === 0x1f ? undefined : steps * 2 - 40, 'dBm'),
    number('movements', unsigned(data, 15, 1), 'count'),
    number('sequence', unsigned(data, 16), 'count'),
    mac(data, 18, 6),
  ]
}

/** Format 6: 254 is 65535 lux, logarithmic. */
const LUX_STEP = Math.log(65_536) / 254

const air = (data: Buffer): readonly (Measured | undefined)[] => {
  const flags = data.readUInt8(16)
  const light = unsigned(data, 13, 1)
  const lux = light === undefined ? undefined : Math.round((Math.exp(light * LUX_STEP) - 1) * 100) / 100
  return [
    ...climate(data),
    number('pm2.5', times(unsigned(data, 7), 0.1), 'ug/m3'),
    number('co2', unsigned(data, 9), 'ppm'),
    index('voc-index', data.readUInt8(11), (flags >> 6) & 1),
    index('nox-index', data.readUInt8(12), flags >> 7),
    number('illuminance', lux, 'lux'),
    // It counts all of 0 to 255.
    number('sequence', data.readUInt8(15), 'count'),
    { name: 'calibrating', value: (flags & 1) === 1 },
    mac(data, 17, 3),
  ]
}

const extendedAir = (data: Buffer): readonly (Measured | undefined)[] => {
  const flags = data.readUInt8(28)
  return [
    ...climate(data),
    ...['pm1', 'pm2.5', 'pm4', 'pm10'].map((name, place) =>
      number(name, times(unsigned(data, 7 + 2 * place), 0.1), 'ug/m3'),
    ),
    number('co2', unsigned(data, 15), 'ppm'),
    index('voc-index', data.readUInt8(17), (flags >> 6) & 1),
    index('nox-index', data.readUInt8(18), flags >> 7),
    number('illuminance', times(unsigned(data, 19, 3), 0.01), 'lux'),
    number('sequence', unsigned(data, 25, 3), 'count'),
    { name: 'calibrating', value: (flags & 1) === 1 },
    mac(data, 34, 6),
  ]
}

/** By the first byte. */
export const formats: ReadonlyMap<number, Format> = new Map([
  [0x03, { length: 14, read: rawV1 }],
  [0x05, { length: 24, read: rawV2 }],
  [0x06, { length: 20, read: air }],
  [0xe1, { length: 40, read: extendedAir }],
])
