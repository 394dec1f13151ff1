// The decoder for messages that no profile claims. JSON object: one reading per leaf, the device is the topic. JSON array
// of SenML records, in JSON or CBOR: SenML. One value: the last topic level is the name, the levels before it are the device.

import type { Decodable, Decoding, Reading } from '../core/contract.ts'
import { DecodeError } from '../core/errors.ts'
import { GENERIC_PROFILE } from '../core/profile.ts'
import { isSenmlPack, resolveSenml } from '../core/senml.ts'
import { doubtOf } from './doubt.ts'
import { parseJson, quoteLargeIntegers } from './json-text.ts'
import { Leaves } from './leaves.ts'
import { shownFault } from './limits.ts'
import { looksLikeJson, payloadText, startsLikeJson } from './payload.ts'
import { jsonString, parseScalar, type ScalarValue } from './scalar.ts'
import { certainPackFromCbor, exactPack } from './senml-pack.ts'

/** What a topic says about a message of one value. */
export interface ScalarPlace {
  /** Absent for a topic of one level: then it is the name of the source. */
  readonly device: string | undefined
  readonly name: string
}

export const scalarPlace = (topic: string): ScalarPlace => {
  let end = topic.length
  while (end > 0 && topic[end - 1] === '/') end-- // an empty last level names nothing
  if (end === 0) return { device: undefined, name: topic }
  const slash = topic.lastIndexOf('/', end - 1)
  return { device: slash > 0 ? topic.slice(0, slash) : undefined, name: topic.slice(slash + 1, end) }
}

/** Throws DecodeError. */
export const decodeGeneric = (message: Decodable, place: ScalarPlace): Decoding => {
  const pack = certainPackFromCbor(message.payload)
  if (pack !== undefined) return packDecoding(message, pack)
  const text = payloadText(message.payload)
  if (looksLikeJson(text)) {
    const value = parseJson(text)
    if (typeof value === 'object') return decodeDocument(message, text, value)
    return scalarDecoding(message, place, jsonString(value, place.name))
  }
  try {
    return scalarDecoding(message, place, parseScalar(text, place.name))
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    const device = place.device ?? message.source
    const doubtful = [doubtOf(device, place.name, { reason: 'faulty', wrong: text })]
    return { profile: GENERIC_PROFILE, device, readings: [], fault: shownFault(error.message), doubtful }
  }
}

/** The device of a message that could not be decoded. */
export const genericDevice = (message: Decodable, place: ScalarPlace): string =>
  startsLikeJson(message.payload) ? message.topic : (place.device ?? message.source)

const scalarDecoding = (message: Decodable, place: ScalarPlace, scalar: ScalarValue): Decoding => {
  const device = place.device ?? message.source
  return { profile: GENERIC_PROFILE, device, readings: [{ device, name: place.name, ...scalar }] }
}

const decodeDocument = (message: Decodable, text: string, value: unknown): Decoding => {
  if (isSenmlPack(value)) return packDecoding(message, exactPack(value, text))
  const leaves = documentLeaves(text, value, (document) => {
    const found = new Leaves(message.topic)
    found.walk(document, '', 0)
    return found
  })
  const decoding = { profile: GENERIC_PROFILE, device: message.topic, readings: leaves.readings }
  const { fault, doubtful } = leaves
  if (fault === undefined) return decoding
  return doubtful === undefined ? { ...decoding, fault } : { ...decoding, fault, doubtful }
}

const packDecoding = (message: Decodable, pack: unknown): Decoding => {
  const readings = resolveSenml(pack, message.topic, message.receivedAt)
  return { profile: GENERIC_PROFILE, device: commonDevice(readings) ?? message.topic, readings }
}

/** Walks a document; a second time with large integers as text where the first time met some. */
export const documentLeaves = (text: string, value: unknown, walk: (document: unknown) => Leaves): Leaves => {
  const leaves = walk(value)
  return leaves.inexact ? walk(parseJson(quoteLargeIntegers(text))) : leaves
}

const commonDevice = (readings: readonly Reading[]): string | undefined => {
  const device = readings[0]?.device
  return readings.every((reading) => reading.device === device) ? device : undefined
}
