// A rule whose decoder is a dialect: hands the dialect what it needs and applies the profile's fields to what it gives.

import type { Decodable, Decoded, Decoder, DecoderInput, Decoding, Reading } from '../core/contract.ts'
import { DecodeError } from '../core/errors.ts'
import type { DecoderPlugin } from '../core/plugin-contract.ts'
import type { Captures } from '../core/topic-pattern.ts'
import type { Descriptions, Learnable } from './descriptions.ts'
import { type Fields, readingName } from './fields.ts'
import { nameFault, shortened, shownFault } from './limits.ts'

/** A frame or a document with more is no telemetry, and would flood the live state. */
const MAX_READINGS = 5_000

export interface BoundDialect {
  readonly profile: string
  readonly device: string
  readonly captures: Captures
  readonly fields: Fields
  /** Whether the rule gives names: {path} is the dialect's own. */
  readonly named: (name: string) => string
}

export class Dialect {
  readonly #type: string
  readonly #decoder: Decoder
  readonly #descriptions: Descriptions

  constructor(plugin: DecoderPlugin, options: Readonly<Record<string, unknown>>, descriptions: Descriptions) {
    this.#type = plugin.type
    this.#decoder = plugin.create(options)
    this.#descriptions = descriptions
  }

  get severalDevices(): boolean {
    return this.#decoder.severalDevices === true
  }

  /** Throws DecodeError. */
  decode(bound: BoundDialect, message: Decodable): Decoding {
    const decoded = this.#decoder.decode(this.#input(bound, message))
    const whole: Decoded = Array.isArray(decoded) ? { readings: decoded } : (decoded as Decoded)
    const faults: string[] = whole.fault === undefined ? [] : [whole.fault]
    if (whole.readings.length > MAX_READINGS) throw new DecodeError(`the payload has more than ${MAX_READINGS} values`)
    const readings: Reading[] = []
    for (const reading of whole.readings) {
      const outcome = this.#fielded(bound, reading)
      if (typeof outcome === 'string') faults.push(outcome)
      else if (outcome !== undefined) readings.push(outcome)
    }
    const { profile, device } = bound
    const [first, ...others] = faults
    const fault = first === undefined ? undefined : others.length === 0 ? first : `${first} (and ${others.length} more)`
    return { ...whole, profile, device, readings, ...(fault === undefined ? {} : { fault: shownFault(fault) }) }
  }

  /** Whether the message told anything about others. */
  learn(bound: BoundDialect, message: Learnable): boolean {
    if (this.#decoder.describe === undefined) return false
    const described = this.#decoder.describe(this.#input(bound, message))
    const { seq, receivedAt } = message
    for (const { key, value } of described) this.#descriptions.learn(this.#type, key, { seq, receivedAt, value })
    return described.length > 0
  }

  #input({ device, captures }: BoundDialect, message: Decodable): DecoderInput {
    const { topic, payload, source, receivedAt, retain, seq } = message
    return {
      topic,
      payload,
      source,
      receivedAt,
      ...(retain === undefined ? {} : { retain }),
      ...(seq === undefined ? {} : { seq }),
      device,
      captures,
      description: (key) => this.#descriptions.find(this.#type, key, seq),
    }
  }

  // A reading, nothing (noise, no value), or the text of a fault.
  #fielded(bound: BoundDialect, reading: Reading): Reading | string | undefined {
    const name = bound.named(reading.name)
    const fault = nameFault(name)
    if (fault !== undefined) return fault
    const field = bound.fields.find(name)
    if (field?.ignore === true) return undefined
    const converted = bound.fields.convert(field, shortened(name), reading.value, reading.unit, undefined)
    if (converted === undefined) return undefined
    if ('fault' in converted) return converted.fault
    return {
      device: this.severalDevices && reading.device !== '' ? reading.device : bound.device,
      name: field?.name === undefined ? name : readingName(field.name, bound.captures, reading.name),
      ...converted,
      ...(reading.timeMs === undefined ? {} : { timeMs: reading.timeMs }),
      ...(reading.historical === undefined ? {} : { historical: reading.historical }),
    }
  }
}
