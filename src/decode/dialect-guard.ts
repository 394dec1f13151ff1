// What a dialect may do wrong costs one message its readings, and nothing else: dialects may be third parties' code, and what
// they throw or give is looked at before anything uses it. (A dialect that never returns is beyond help: it is code.)

import type { Decoded, Doubt, Presence, Reading, SequenceNumber } from '../core/contract.ts'
import { DecodeError, describe } from '../core/errors.ts'
import { topicNameFault } from '../core/topic.ts'
import { MAX_READINGS, MAX_TEXT_LENGTH, nameFault } from './limits.ts'

/** SenML units are short; what is longer is something else. */
const MAX_UNIT_LENGTH = 64
/** A device is a Topic Name. */
const MAX_DEVICE_LENGTH = 65_535
const MAX_FAULT_LENGTH = 10_000

/** Calls a dialect. Nothing but a DecodeError comes out, and no promise. */
export const guarded = <Result>(type: string, work: () => Result): Result => {
  let result: Result
  try {
    result = work()
  } catch (error) {
    if (isDecodeError(error)) throw error instanceof DecodeError ? error : new DecodeError(describe(error))
    throw faulty(type, describe(error))
  }
  if (isObject(result) && typeof result['then'] === 'function') {
    // Nobody waits for it; a rejection must not end the process.
    Promise.resolve(result).then(nothing, nothing)
    throw faulty(type, 'it is asynchronous')
  }
  return result
}

/** What a dialect gave, as far as it is what the contract says; the rest is named by the fault. Throws DecodeError. */
export const checkedDecoded = (type: string, given: unknown): Decoded => {
  const whole = Array.isArray(given) ? { readings: given } : given
  if (!isObject(whole) || !Array.isArray(whole['readings'])) throw faulty(type, 'it gives no readings')
  const { fault, doubtful, presence, request, sequence } = whole
  const list: readonly unknown[] = whole['readings']
  if (list.length > MAX_READINGS) throw new DecodeError(`the payload has more than ${MAX_READINGS} values`)
  const wrong = (what: string) => faulty(type, what).message
  const faults =
    fault === undefined ? [] : [typeof fault === 'string' && fault !== '' ? fault : wrong('its fault is no text')]
  const sound = <Part>(parts: unknown, name: string, is: (part: unknown) => part is Part): readonly Part[] => {
    if (parts === undefined) return []
    const all: readonly unknown[] = Array.isArray(parts) ? parts.slice(0, MAX_READINGS) : [undefined]
    const good = all.filter(is)
    if (good.length < all.length) faults.push(wrong(`it gives ${name} that is none`))
    return good
  }
  const readings = sound(list, 'a reading', isReading)
  const doubts = sound(doubtful, 'a doubtful value', isDoubt)
  const present = sound(presence, 'a presence', isPresence)
  const asked = sound(request === undefined ? undefined : [request], 'a request', isRequest)[0]
  const counted = sound(sequence === undefined ? undefined : [sequence], 'a sequence number', isSequence)[0]
  const [first] = faults
  return {
    readings,
    ...(first === undefined
      ? {}
      : { fault: (faults.length > 1 ? faults.join('; ') : first).slice(0, MAX_FAULT_LENGTH) }),
    ...(doubts.length === 0 ? {} : { doubtful: doubts }),
    ...(present.length === 0 ? {} : { presence: present }),
    ...(asked === undefined ? {} : { request: asked }),
    ...(counted === undefined ? {} : { sequence: counted }),
  }
}

/** A third party has no class of ours to throw: the name of the error says what is meant. */
const isDecodeError = (error: unknown): boolean =>
  error instanceof DecodeError || (error instanceof Error && error.name === 'DecodeError')

const faulty = (type: string, what: string): DecodeError => new DecodeError(`decoder '${type}' is faulty: ${what}`)

const nothing = (): void => undefined

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const isName = (name: unknown): name is string => typeof name === 'string' && nameFault(name) === undefined

const isDevice = (device: unknown): boolean => typeof device === 'string' && device.length <= MAX_DEVICE_LENGTH

/** Whether it is finite, and how long it is, is asked where the fields of the profile are applied. */
const isValue = (value: unknown): boolean =>
  typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean'

const isReading = (part: unknown): part is Reading => {
  if (!isObject(part)) return false
  const { device, name, value, unit, timeMs } = part
  return (
    typeof name === 'string' &&
    isDevice(device) &&
    isValue(value) &&
    (typeof value !== 'string' || value.length <= MAX_TEXT_LENGTH) &&
    (unit === undefined || (typeof unit === 'string' && unit !== '' && unit.length <= MAX_UNIT_LENGTH)) &&
    (timeMs === undefined || (typeof timeMs === 'number' && Number.isFinite(timeMs)))
  )
}

const isDoubt = (part: unknown): part is Doubt =>
  isObject(part) &&
  isName(part['name']) &&
  isDevice(part['device']) &&
  (part['reason'] === 'faulty' || part['reason'] === 'out-of-range') &&
  (part['value'] === undefined || isValue(part['value']))

const isPresence = (part: unknown): part is Presence =>
  isObject(part) && isDevice(part['device']) && typeof part['online'] === 'boolean'

const isRequest = (part: unknown): part is NonNullable<Decoded['request']> =>
  isObject(part) &&
  typeof part['to'] === 'string' &&
  typeof part['topic'] === 'string' &&
  topicNameFault(part['topic']) === undefined &&
  Buffer.isBuffer(part['payload']) &&
  typeof part['reason'] === 'string'

const isSequence = (part: unknown): part is SequenceNumber =>
  isObject(part) &&
  typeof part['of'] === 'string' &&
  Number.isSafeInteger(part['number']) &&
  Number.isSafeInteger(part['modulo']) &&
  isRequest(part['request'])
