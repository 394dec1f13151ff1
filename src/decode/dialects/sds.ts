// The dialect 'sds': frames of Nova Fitness's particle sensors SDS011, SDS018 and SDS021 (Laser Dust Sensor Control
// Protocol V1.3): AA, command, six bytes, their sum, AB.

import type { Decoded, Reading } from '../../core/contract.ts'
import type { DecoderInput } from '../../core/decoder-contract.ts'
import { DecodeError } from '../../core/errors.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { checksums } from '../checksum.ts'

const HEAD = 0xaa
const TAIL = 0xab
const FRAME_BYTES = 10
const MEASUREMENT = 0xc0
const MAX_BYTES = 65_536

const decode = ({ payload, device }: DecoderInput): Decoded => {
  if (payload.length === 0) throw new DecodeError('the payload is empty')
  if (payload.length > MAX_BYTES) throw new DecodeError(`the payload has ${payload.length} bytes, too many for frames`)
  const readings: Reading[] = []
  let strange = 0
  for (let at = 0; at < payload.length; ) {
    if (!isFrame(payload, at)) {
      strange++
      at++
      continue
    }
    // Any other command is an answer to one of ours.
    if (payload[at + 1] === MEASUREMENT)
      readings.push(
        { device, name: 'pm2.5', value: payload.readUInt16LE(at + 2) / 10, unit: 'ug/m3' },
        { device, name: 'pm10', value: payload.readUInt16LE(at + 4) / 10, unit: 'ug/m3' },
        { device, name: 'id', value: payload.toString('hex', at + 6, at + 8).toUpperCase() },
      )
    at += FRAME_BYTES
  }
  if (strange === 0) return { readings }
  const whole = strange === payload.length && payload[0] === HEAD
  return { readings, fault: whole ? 'the frame is cut off, or its checksum is wrong' : `${strange} bytes are no frame` }
}

const isFrame = (payload: Buffer, at: number): boolean =>
  payload[at] === HEAD &&
  payload[at + FRAME_BYTES - 1] === TAIL &&
  checksums.sum8.of(payload, at + 2, at + 8) === payload[at + 8]

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'sds',
  schema: { description: "Frames of Nova Fitness's particle sensors", properties: {} },
  create: () => ({ decode }),
}
