// The dialect 'vedirect': the text protocol of Victron Energy's devices. Names are Victron's labels.

import type { Decoded, Reading } from '../../../core/contract.ts'
import type { DecoderInput } from '../../../core/decoder-contract.ts'
import { DecodeError } from '../../../core/errors.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import { parseBlocks } from './block.ts'
import { bitMeanings, codes, measures, plainNumbers, switches } from './labels.ts'

/** A block has a few hundred bytes. */
const MAX_BYTES = 65_536

type Value = Pick<Reading, 'value' | 'unit'>

const NUMBER = /^-?\d{1,15}(?:\.\d{1,10})?$/
const CODE = /^(?:\d{1,10}|0[xX][0-9A-Fa-f]{1,8})$/
/** "---": nothing to measure with. TTG is -1 while the battery is not discharged. */
const NO_VALUE = '---'
const INFINITE = '-1'

const decode = ({ payload, device }: DecoderInput): Decoded => {
  if (payload.length === 0) throw new DecodeError('the payload is empty')
  if (payload.length > MAX_BYTES)
    throw new DecodeError(`the payload has ${payload.length} bytes, too many for VE.Direct`)
  const { blocks, faults } = parseBlocks(payload)
  const readings: Reading[] = []
  const all = [...faults]
  for (const [label, text] of blocks.flatMap(({ fields }) => fields)) {
    if (text === '' || text === NO_VALUE || (label === 'TTG' && text === INFINITE)) continue
    const value = labelValue(label, text)
    if (value === undefined) all.push(`${label} has no value that can be read: ${text}`)
    else readings.push({ device, name: label, ...value })
  }
  const [first, ...others] = all
  const fault = others.length === 0 ? first : `${first} (and ${others.length} more)`
  return fault === undefined ? { readings } : { readings, fault }
}

// Always of the same type for one label: a code is a text, also where its meaning is not known.
const labelValue = (label: string, text: string): Value | undefined => {
  const measure = measures.get(label)
  if (measure !== undefined)
    return NUMBER.test(text)
      ? { value: Number((Number(text) * measure.scale).toPrecision(12)), unit: measure.unit }
      : undefined
  if (plainNumbers.has(label)) return NUMBER.test(text) ? { value: Number(text) } : undefined
  if (switches.has(label)) {
    const upper = text.toUpperCase()
    return upper === 'ON' || upper === 'OFF' ? { value: upper === 'ON' } : undefined
  }
  const meanings = codes.get(label)
  if (meanings !== undefined) return CODE.test(text) ? { value: meanings.get(Number(text)) ?? text } : undefined
  const bits = bitMeanings.get(label)
  if (bits !== undefined) return CODE.test(text) ? { value: bitsText(Number(text), bits) } : undefined
  return { value: text }
}

const bitsText = (value: number, meanings: readonly string[]): string => {
  const set: string[] = []
  for (let bit = 0; bit < 32; bit++) if (Math.floor(value / 2 ** bit) % 2 === 1) set.push(meanings[bit] ?? `bit ${bit}`)
  return set.length === 0 ? 'none' : set.join(', ')
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'vedirect',
  schema: { description: 'VE.Direct text blocks of Victron Energy', properties: {} },
  create: () => ({ decode }),
}
