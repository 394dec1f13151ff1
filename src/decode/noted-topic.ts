// What other messages say about what comes on a topic (Home Assistant discovery), worked out once: completes what a profile or
// the generic decoder made of a message. Names and devices stay as they are; units, two-valued texts and presence are added.

import type { Decodable, Decoding, Presence, Reading, Seq } from '../core/contract.ts'
import type { TopicNote } from '../core/decoder-contract.ts'
import { DecodeError } from '../core/errors.ts'
import { convertUnit, type UnitSpelling, unitSpelling } from '../core/unit.ts'
import { at } from './fields.ts'
import { parseJson } from './json-text.ts'
import { payloadText, startsLikeJson } from './payload.ts'

/** Devices that one availability topic may stand for: those of a bridge. */
const MAX_PRESENCE = 1_000

/** Which device a message on a topic belongs to; with a path, one in JSON. */
export type DeviceOf = (topic: string, source: string, path: string | undefined) => string

export interface NotedTopic {
  /** It counts for messages behind this seq, and up to that one. */
  readonly after: Seq
  readonly upTo: Seq
  complete(decoding: Decoding, message: Decodable, deviceOf: DeviceOf): Decoding
}

export const noteTopic = (notes: readonly TopicNote[], after: Seq, upTo: Seq): NotedTopic => {
  const values = new Map<string | undefined, TopicNote>()
  for (const note of notes) if (note.is === 'value') values.set(note.path, merged(values.get(note.path), note))
  const entities = new Map(Array.from(values, ([path, note]) => [path, completer(note)]))
  const availability = notes.filter(({ is }) => is === 'availability')
  const complete: NotedTopic['complete'] = (decoding, message, deviceOf) => {
    // An entity whose value is the whole payload says nothing about what stands inside JSON.
    const whole = startsLikeJson(message.payload) ? undefined : entities.get(undefined)
    const readings = values.size === 0 ? decoding.readings : completed(decoding.readings, entities, whole)
    // What a profile says about presence is better informed.
    const presence =
      decoding.presence ?? (availability.length === 0 ? undefined : presenceOf(availability, message, deviceOf))
    if (readings === decoding.readings && presence === decoding.presence) return decoding
    return { ...decoding, readings, ...(presence === undefined || presence.length === 0 ? {} : { presence }) }
  }
  return { after, upTo, complete }
}

/** Several entities may show the same value; the first one counts, and the others fill in. */
const merged = (first: TopicNote | undefined, note: TopicNote): TopicNote =>
  first === undefined ? note : { ...note, ...first }

type Complete = (reading: Reading) => Reading

const completed = (
  readings: readonly Reading[],
  entities: ReadonlyMap<string | undefined, Complete>,
  ofPayload: Complete | undefined,
): readonly Reading[] => {
  const whole = readings.length === 1 ? ofPayload : undefined
  let changed = false
  const result = readings.map((reading) => {
    const complete = entities.get(reading.name) ?? whole
    const better = complete === undefined ? reading : complete(reading)
    changed ||= better !== reading
    return better
  })
  return changed ? result : readings
}

const completer = ({ unit, kind = '', on, off }: TopicNote): Complete => {
  const isTwoValued = on !== undefined && off !== undefined && on !== off
  // Names hardly change from message to message.
  let lastName: string | undefined
  let spelling: UnitSpelling | undefined
  return (reading) => {
    const { value, name } = reading
    if (typeof value !== 'boolean' && isTwoValued) {
      const text = String(value)
      if (text === on) return { ...reading, value: true }
      if (text === off) return { ...reading, value: false }
    }
    if (typeof value !== 'number' || reading.unit !== undefined || unit === undefined) return reading
    if (name !== lastName) {
      lastName = name
      spelling = unitSpelling(unit, `${kind} ${name}`)
    }
    if (spelling === undefined) return reading
    const converted = convertUnit(value, spelling)
    return Number.isFinite(converted) ? { ...reading, value: converted, unit: spelling.unit } : reading
  }
}

const presenceOf = (notes: readonly TopicNote[], message: Decodable, deviceOf: DeviceOf): readonly Presence[] => {
  const found = new Map<string, Presence>()
  for (const note of notes) {
    const online = availabilityOf(note, message.payload)
    if (online === undefined) continue
    for (const { topic, path } of note.of ?? []) {
      if (found.size >= MAX_PRESENCE) break
      const device = deviceOf(topic, message.source, path)
      found.set(device, { device, online })
    }
  }
  return [...found.values()]
}

const availabilityOf = ({ path, on, off }: TopicNote, payload: Buffer): boolean | undefined => {
  try {
    const text = payloadText(payload)
    const value = path === undefined ? text : at(parseJson(text), path)
    return value === undefined ? undefined : String(value) === on ? true : String(value) === off ? false : undefined
  } catch (error) {
    // What cannot be read says nothing; the fault is told by decoding it.
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
