// The dialect 'ruuvi': what RuuviTag and Ruuvi Air broadcast, as bytes, as hexadecimal text, or in the JSON of a Ruuvi
// Gateway, whose `ts` is the time. A gateway may also relay other makers' devices: they give nothing.

import type { Decoded, Reading } from '../../../core/contract.ts'
import type { DecoderInput } from '../../../core/decoder-contract.ts'
import { DecodeError } from '../../../core/errors.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import { parseJson } from '../../json-text.ts'
import { payloadText, startsLikeJson } from '../../payload.ts'
import { payloadTime } from '../../time-field.ts'
import { ruuviData } from './advertisement.ts'
import { formats } from './formats.ts'

/** An extended advertisement has 1650 bytes at most; as text and in JSON, some more. */
const MAX_BYTES = 16_384

const HEX = /^(?:[0-9A-Fa-f]{2})+$/
const lengthOf = (format: number): number | undefined => formats.get(format)?.length

const decode = (message: DecoderInput): Decoded => {
  const { payload, device } = message
  if (payload.length === 0) throw new DecodeError('the payload is empty')
  if (payload.length > MAX_BYTES) throw new DecodeError(`the payload has ${payload.length} bytes, too many for Ruuvi`)
  if (startsLikeJson(payload)) return decodeGateway(payloadText(payload), device)
  return { readings: measurements(fromText(payload) ?? payload, device, { timeMs: undefined, onAir: false }) }
}

const decodeGateway = (text: string, device: string): Decoded => {
  const json = parseJson(text)
  if (typeof json !== 'object' || json === null || !Object.hasOwn(json, 'data'))
    throw new DecodeError("the payload has no 'data', which a Ruuvi Gateway sends")
  const { data, ts, rssi } = json as Readonly<Record<string, unknown>>
  if (typeof data !== 'string' || !HEX.test(data)) throw new DecodeError("'data' is no hexadecimal text")
  const timeMs = payloadTime(ts, 'unix')
  const readings = [...measurements(Buffer.from(data, 'hex'), device, { timeMs, onAir: true })]
  if (readings.length > 0 && typeof rssi === 'number' && Number.isFinite(rssi))
    readings.push({ device, name: 'rssi', value: rssi, unit: 'dBm', ...(timeMs === undefined ? {} : { timeMs }) })
  return { readings }
}

const measurements = (
  bytes: Buffer,
  device: string,
  { timeMs, onAir }: { readonly timeMs: number | undefined; readonly onAir: boolean },
): readonly Reading[] => {
  const data = ruuviData(bytes, lengthOf, onAir)
  if (data === 'none') return []
  if (data === undefined)
    throw new DecodeError(`this is no data format of Ruuvi, or cut off: ${bytes.subarray(0, 8).toString('hex')}`)
  const format = formats.get(data[0] ?? 0)
  if (format === undefined)
    throw new DecodeError(`Ruuvi's data format ${data.subarray(0, 1).toString('hex')} is not known`)
  if (data.length < format.length)
    throw new DecodeError(`the data has ${data.length} bytes instead of ${format.length}: it is cut off`)
  const time = timeMs === undefined ? {} : { timeMs }
  return format.read(data).flatMap((measured) => (measured === undefined ? [] : [{ device, ...measured, ...time }]))
}

const fromText = (payload: Buffer): Buffer | undefined => {
  const text = payload.toString('latin1').trim().replace(/^0x/i, '')
  return HEX.test(text) ? Buffer.from(text, 'hex') : undefined
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'ruuvi',
  schema: { description: 'Data formats of Ruuvi, alone or from a Ruuvi Gateway', properties: {} },
  create: () => ({ decode }),
}
