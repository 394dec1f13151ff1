// A rule whose decoder is a dialect: hands the dialect what it needs and applies the profile's fields to what it gives.

import type { Decodable, Decoding, Doubt, Reading } from '../core/contract.ts'
import type { Decoder, DecoderInput } from '../core/decoder-contract.ts'
import type { DecoderPlugin } from '../core/plugin-contract.ts'
import type { Captures } from '../core/topic-pattern.ts'
import type { Descriptions, Learnable } from './descriptions.ts'
import { checkedDecoded, guarded } from './dialect-guard.ts'
import { doubtOf, MAX_DOUBTS } from './doubt.ts'
import { type Fields, readingName } from './fields.ts'
import { nameFault, shortened, shownFault } from './limits.ts'

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
    const input = this.#input(bound, message)
    const whole = checkedDecoded(
      this.#type,
      guarded(this.#type, () => this.#decoder.decode(input)),
    )
    const faults: string[] = whole.fault === undefined ? [] : [whole.fault]
    const readings: Reading[] = []
    const doubtful: Doubt[] = []
    for (const reading of whole.readings) {
      const outcome = this.#fielded(bound, reading)
      if (outcome === undefined) continue
      if (!('fault' in outcome)) readings.push(outcome)
      else {
        faults.push(outcome.fault)
        if (outcome.doubt !== undefined && doubtful.length < MAX_DOUBTS) doubtful.push(outcome.doubt)
      }
    }
    for (const doubt of (whole.doubtful ?? []).slice(0, MAX_DOUBTS)) {
      const named = this.#named(bound, doubt.name)
      if (named.field?.ignore !== true)
        doubtful.push({ ...doubt, device: this.#owner(bound, doubt.device), name: named.shown })
    }
    const { profile, device } = bound
    const [first, ...others] = faults
    const fault = first === undefined ? undefined : others.length === 0 ? first : `${first} (and ${others.length} more)`
    const { doubtful: _, ...rest } = whole
    const doubts = doubtful.length === 0 ? {} : { doubtful }
    return {
      ...rest,
      profile,
      device,
      readings,
      ...doubts,
      ...(fault === undefined ? {} : { fault: shownFault(fault) }),
    }
  }

  /** Whether messages of this dialect tell about others. */
  get describes(): boolean {
    return this.#decoder.describe !== undefined
  }

  /** Throws DecodeError. */
  learn(bound: BoundDialect, message: Learnable): void {
    const describe = () => this.#decoder.describe?.(this.#input(bound, message)) ?? []
    this.#descriptions.learn(this.#type, message, () => guarded(this.#type, describe))
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
      description: (key) => this.#descriptions.find(this.#type, source, key, seq),
    }
  }

  // A reading, nothing (noise, no value), or a fault.
  #fielded(bound: BoundDialect, reading: Reading): Reading | Fault | undefined {
    const { name, field, shown } = this.#named(bound, reading.name)
    const fault = nameFault(name)
    if (fault !== undefined) return { fault }
    if (field?.ignore === true) return undefined
    const converted = bound.fields.convert(field, shortened(name), reading.value, reading.unit, undefined)
    if (converted === undefined) return undefined
    const device = this.#owner(bound, reading.device)
    if ('fault' in converted) return { fault: converted.fault, doubt: doubtOf(device, shown, converted) }
    return {
      device,
      name: shown,
      ...converted,
      ...(reading.timeMs === undefined ? {} : { timeMs: reading.timeMs }),
      ...(reading.historical === undefined ? {} : { historical: reading.historical }),
    }
  }

  #named({ named, fields, captures }: BoundDialect, own: string) {
    const name = named(own)
    const field = nameFault(name) === undefined ? fields.find(name) : undefined
    return { name, field, shown: field?.name === undefined ? name : readingName(field.name, captures, own) }
  }

  #owner({ device }: BoundDialect, given: string): string {
    return this.severalDevices && given !== '' ? given : device
  }
}

interface Fault {
  readonly fault: string
  readonly doubt?: Doubt
}
