// The dialect 'pms': frames of Plantower's particle sensors (data manuals of PMS1003 to PMSA003, appendix I). A frame is
// "BM", the length of the rest, big-endian words, and the sum of all bytes before. What the words mean depends on the
// model, which the frame does not tell.

import type { Decoded, Doubt, Reading } from '../../core/contract.ts'
import type { DecoderInput } from '../../core/decoder-contract.ts'
import { DecodeError } from '../../core/errors.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { checksums } from '../checksum.ts'

interface Field {
  readonly name: string
  readonly unit: string
  readonly scale: number
  readonly signed?: true
}

interface Model {
  /** Bytes behind the length. */
  readonly length: number
  readonly fields: readonly Field[]
  /** Where the byte is that is not 0 when the sensor is faulty. */
  readonly errorAt?: number
}

const START = Buffer.from('BM')
const HEADER_BYTES = 4
/** Answers to commands: command, data, sum. */
const ANSWER_LENGTH = 4
const MAX_BYTES = 65_536

const dust = (name: string): Field => ({ name, unit: 'ug/m3', scale: 1 })
/** Particles of at least this size, in micrometres, in 0.1 litre of air. */
const count = (size: string): Field => ({ name: `particles.${size}um`, unit: 'count', scale: 1 })

// CF = 1 is for the factory's own dust; the values without it are for the atmosphere.
const DUST = ['pm1.cf1', 'pm2.5.cf1', 'pm10.cf1', 'pm1', 'pm2.5', 'pm10'].map(dust)
const SIZES = ['0.3', '0.5', '1', '2.5', '5', '10']
const formaldehyde: Field = { name: 'formaldehyde', unit: 'ug/m3', scale: 1 }
const temperature: Field = { name: 'temperature', unit: 'Cel', scale: 0.1, signed: true }
const humidity: Field = { name: 'humidity', unit: '%RH', scale: 0.1 }

const counted = [...DUST, ...SIZES.map(count)]

const MODELS = {
  pms3003: { length: 20, fields: DUST },
  pms1003: { length: 28, fields: counted },
  pms5003: { length: 28, fields: counted, errorAt: 29 },
  pms7003: { length: 28, fields: counted, errorAt: 29 },
  pmsa003: { length: 28, fields: counted, errorAt: 29 },
  pms5003s: { length: 28, fields: [...counted, formaldehyde] },
  pms5003t: { length: 28, fields: [...DUST, ...SIZES.slice(0, 4).map(count), temperature, humidity], errorAt: 29 },
  pms5003st: { length: 36, fields: [...counted, formaldehyde, temperature, humidity], errorAt: 37 },
} as const satisfies Readonly<Record<string, Model>>

const decode = ({ payload, device }: DecoderInput, model: Model): Decoded => {
  if (payload.length > MAX_BYTES) throw new DecodeError(`the payload has ${payload.length} bytes, too many for frames`)
  const readings: Reading[] = []
  const doubtful: Doubt[] = []
  const faults: string[] = []
  let strange = 0
  for (let at = 0; at < payload.length; ) {
    const frame = frameAt(payload, at)
    if (frame === undefined) {
      strange++
      at++
      continue
    }
    at += frame.length
    const length = frame.length - HEADER_BYTES
    if (length === ANSWER_LENGTH) continue
    if (length !== model.length) {
      faults.push(`the frame has ${frame.length} bytes, but this model sends ${model.length + HEADER_BYTES}`)
      continue
    }
    const error = model.errorAt === undefined ? 0 : frame.readUInt8(model.errorAt)
    if (error !== 0) faults.push(`the sensor reports the error ${error}`)
    for (const [index, field] of model.fields.entries()) {
      const value = fieldValue(frame, HEADER_BYTES + 2 * index, field)
      if (error === 0) readings.push({ device, name: field.name, value, unit: field.unit })
      else doubtful.push({ device, name: field.name, reason: 'faulty', value })
    }
  }
  if (strange > 0 || payload.length === 0) faults.push(strangeText(payload, strange))
  const [first, ...others] = faults
  const fault = others.length === 0 ? first : `${first} (and ${others.length} more)`
  return {
    readings,
    ...(doubtful.length === 0 ? {} : { doubtful }),
    ...(fault === undefined ? {} : { fault }),
  }
}

const fieldValue = (frame: Buffer, offset: number, { scale, signed }: Field): number => {
  const raw = signed === true ? frame.readInt16BE(offset) : frame.readUInt16BE(offset)
  return scale === 1 ? raw : Number((raw * scale).toPrecision(12))
}

const strangeText = (payload: Buffer, strange: number): string => {
  if (payload.length === 0) return 'the payload is empty'
  const start = payload.indexOf(START)
  return strange === payload.length && start >= 0
    ? 'the frame is cut off, or its checksum is wrong'
    : `${strange} bytes are no frame`
}

/** A whole frame with the right sum that begins here. */
const frameAt = (payload: Buffer, at: number): Buffer | undefined => {
  if (payload[at] !== START[0] || payload[at + 1] !== START[1] || at + HEADER_BYTES > payload.length) return undefined
  const end = at + HEADER_BYTES + payload.readUInt16BE(at + 2)
  // Lengths are even, and no model has more than 36; a longer one would only be noise to sum up.
  if (end > payload.length || end - at < 2 * HEADER_BYTES || end - at > MAX_FRAME_BYTES) return undefined
  return checksums.sum16.of(payload, at, end - 2) === payload.readUInt16BE(end - 2)
    ? payload.subarray(at, end)
    : undefined
}

const MAX_FRAME_BYTES = 64

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'pms',
  schema: {
    description: "Frames of Plantower's particle sensors",
    properties: {
      model: { enum: Object.keys(MODELS), default: 'pms5003', description: 'Which sensor it is' },
    },
  },
  create: (options) => {
    const { model } = options as { readonly model: keyof typeof MODELS }
    return { decode: (message) => decode(message, MODELS[model]) }
  },
}
