// Which stretches of a segment hold entries of a channel: the numbers of index points, ascending. Kept in a footer as steps
// from one to the next or as a bit for each point, whichever is shorter, so that a rare channel costs a byte or two.

import type { ByteReader } from './bytes.ts'
import { varintBytes, writeVarint } from './bytes.ts'

/** Numbers while a segment is written, and the bytes of its footer after that. Undefined: not known, it may be anywhere. */
export type Steps = number[] | EncodedSteps | undefined

export interface EncodedSteps {
  /** Which of two forms: distances as varints, or a bit for each index point. */
  readonly form: 'list' | 'bits'
  readonly bytes: Buffer
}

const BITS_FLAG = 1

/** Steps with one more at the end, or the same one again; a list is added to in place. */
export const withStep = (steps: Steps, step: number): Steps => {
  if (steps === undefined || !isList(steps) || steps.at(-1) === step) return steps
  steps.push(step)
  return steps
}

/** Bytes that encodeSteps takes at most. */
export const maxStepsBytes = (steps: Steps, total: number): number => {
  const bytes =
    steps === undefined ? 0 : isList(steps) ? Math.min(Math.ceil(total / 8), distanceBytes(steps)) : steps.bytes.length
  return varintBytes(2 * bytes + BITS_FLAG) + bytes
}

/** Writes the shorter form behind its length; undefined as a zero. Returns the position behind it. */
export const encodeSteps = (bytes: Buffer, at: number, steps: Steps, total: number): number => {
  if (steps === undefined) return writeVarint(bytes, at, 0)
  if (!isList(steps)) {
    const end = writeVarint(bytes, at, 2 * steps.bytes.length + (steps.form === 'bits' ? BITS_FLAG : 0))
    return end + steps.bytes.copy(bytes, end)
  }
  const bitBytes = Math.ceil(total / 8)
  const listBytes = distanceBytes(steps)
  if (listBytes <= bitBytes) {
    let end = writeVarint(bytes, at, 2 * listBytes)
    let last = 0
    for (const step of steps) {
      end = writeVarint(bytes, end, step - last)
      last = step
    }
    return end
  }
  const start = writeVarint(bytes, at, 2 * bitBytes + BITS_FLAG)
  bytes.fill(0, start, start + bitBytes)
  for (const step of steps) bytes[start + (step >> 3)] = (bytes[start + (step >> 3)] as number) | (1 << (step & 7))
  return start + bitBytes
}

/** What encodeSteps wrote; keeps the reader's bytes. */
export const decodeSteps = (reader: ByteReader): Steps => {
  const length = reader.varint()
  if (length === 0) return undefined
  const start = reader.take(Math.floor(length / 2))
  const bytes = reader.bytes.subarray(start, reader.position)
  return { form: length % 2 === BITS_FLAG ? 'bits' : 'list', bytes }
}

/** Sets the place of each step to 1; of all when the steps are not known, or make no sense. */
export const markSteps = (steps: Steps, into: Uint8Array): void => {
  if (steps === undefined) into.fill(1)
  else if (isList(steps)) for (const step of steps) into[step] = 1
  else if (steps.form === 'bits') markBits(steps.bytes, into)
  else markDistances(steps.bytes, into)
}

const markBits = (bits: Buffer, into: Uint8Array): void => {
  if (bits.length * 8 < into.length) into.fill(1)
  for (let step = 0; step < into.length; step++)
    if (((bits[step >> 3] as number) & (1 << (step & 7))) !== 0) into[step] = 1
}

const markDistances = (bytes: Buffer, into: Uint8Array): void => {
  let step = 0
  let distance = 0
  let factor = 1
  for (const byte of bytes) {
    distance += (byte & 0x7f) * factor
    factor *= 0x80
    if (byte >= 0x80) continue
    step += distance
    into[step] = 1
    distance = 0
    factor = 1
  }
}

const isList = (steps: number[] | EncodedSteps): steps is number[] => Array.isArray(steps)

const distanceBytes = (steps: readonly number[]): number => {
  let length = 0
  let last = 0
  for (const step of steps) {
    length += varintBytes(step - last)
    last = step
  }
  return length
}
