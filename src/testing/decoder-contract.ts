// The contract of a decoder: options that its schema accepts, the examples of its author, purity, and what strangers may send.

import { deepStrictEqual } from 'node:assert'
import type { Reading } from '../core/contract.ts'
import type { Decoder, DecoderInput } from '../core/decoder-contract.ts'
import { DecodeError } from '../core/errors.ts'
import type { DecoderPlugin } from '../core/plugin-contract.ts'
import { checkedDecoded, guarded } from '../decode/dialect-guard.ts'
import { type Check, type ContractCheck, runChecks } from './check.ts'
import { acceptedConfig, checkShape } from './context.ts'
import { mutations } from './mutation.ts'

export interface DecoderExample {
  readonly payload: string | Buffer
  readonly topic?: string
  /** Exactly the readings that must come out; the device need not be stated. Without readings and fault it is only a seed. */
  readonly readings?: readonly (Omit<Reading, 'device'> & { readonly device?: string })[]
  /** Part of the fault, or of the message of the error. */
  readonly fault?: string
}

export interface DecoderSubject {
  readonly options?: object
  readonly examples: readonly DecoderExample[]
  /** Mutated examples that are tried. */
  readonly mutations?: number
}

const ARRIVAL = Date.UTC(2026, 10, 20, 10)
const DEVICE = 'contract/device'
/** Payloads beyond are refused by the sources. */
const LARGEST_BYTES = 262_144
/** A hundred times what it should take; linear work on 256 KiB takes milliseconds. */
const SLOWEST_MS = 3_000

/** Checks that a decoder keeps what core/contract.ts promises of it. */
export const testDecoder = (plugin: DecoderPlugin, subject: DecoderSubject, check: Check): Promise<void> =>
  runChecks(decoderChecks(plugin, subject), check)

const decoderChecks = (plugin: DecoderPlugin, subject: DecoderSubject): readonly ContractCheck[] => {
  const create = (): Decoder => plugin.create(acceptedConfig(plugin, subject.options ?? {}))
  // Anew for each check: what one of them finds changed, another must not start from.
  const inputs = () => subject.examples.map(inputOf)
  return [
    { name: 'has a kind, a type, a schema and create()', run: async () => checkShape(plugin, 'decoder') },
    { name: 'its schema accepts the options, and create() takes them', run: async () => void create() },
    {
      name: 'the examples come out as they say',
      run: async () => {
        for (const [index, example] of subject.examples.entries())
          checkExample(example, outcome(plugin.type, create(), inputOf(example)), index + 1)
      },
    },
    {
      name: 'the same message gives the same readings, whatever came before, from any instance',
      run: async () => {
        const fresh = inputs().map((input) => outcome(plugin.type, create(), input))
        const used = create()
        for (const round of [1, 2])
          deepStrictEqual(
            inputs().map((input) => outcome(plugin.type, used, input)),
            fresh,
            `round ${round}`,
          )
      },
    },
    {
      name: 'the payload is left as it is',
      run: async () => {
        for (const input of inputs()) {
          const before = Buffer.from(input.payload)
          outcome(plugin.type, create(), input)
          if (!before.equals(input.payload)) throw new Error(`the payload was changed: ${before.toString('hex')}`)
        }
      },
    },
    {
      name: 'whatever the bytes are, they are readings or a DecodeError',
      run: async () => {
        const decoder = create()
        const seeds = inputs().map(({ payload }) => payload)
        for (const payload of mutations(seeds, subject.mutations ?? 2_000))
          sound(outcome(plugin.type, decoder, { ...inputOf({ payload }), payload }), payload)
      },
    },
    {
      name: 'the largest payloads take no time worth mentioning',
      run: async () => {
        const decoder = create()
        for (const seed of [
          ...inputs().map(({ payload }) => payload),
          Buffer.from([0]),
          Buffer.from('{'),
          Buffer.from('1,'),
        ]) {
          if (seed.length === 0) continue
          const payload = Buffer.alloc(LARGEST_BYTES, seed)
          const started = performance.now()
          sound(outcome(plugin.type, decoder, inputOf({ payload })), payload)
          const tookMs = performance.now() - started
          if (tookMs > SLOWEST_MS)
            throw new Error(`${LARGEST_BYTES} bytes that repeat ${shown(seed)} took ${Math.round(tookMs)} ms`)
        }
      },
    },
    {
      name: 'what it describes is a list of keys and values',
      run: async () => {
        const decoder = create()
        for (const input of inputs())
          for (const { key } of described(plugin.type, decoder, input))
            if (typeof key !== 'string') throw new Error('a description has no key')
      },
    },
  ]
}

const inputOf = ({ payload, topic = DEVICE }: DecoderExample): DecoderInput => ({
  topic,
  payload: Buffer.from(payload),
  source: 'contract-test',
  receivedAt: ARRIVAL,
  device: DEVICE,
  captures: new Map(),
  description: () => undefined,
})

interface Outcome {
  readonly readings: readonly Reading[]
  readonly fault?: string
}

/** Throws what is against the contract; a DecodeError is a fault. */
const outcome = (type: string, decoder: Decoder, input: DecoderInput): Outcome => {
  try {
    return checkedDecoded(
      type,
      guarded(type, () => decoder.decode(input)),
    )
  } catch (error) {
    if (error instanceof DecodeError) return { readings: [], fault: error.message }
    throw error
  }
}

const described = (type: string, decoder: Decoder, input: DecoderInput) => {
  try {
    return guarded(type, () => decoder.describe?.(input)) ?? []
  } catch (error) {
    if (error instanceof DecodeError && !isMistake(error.message)) return []
    throw error
  }
}

/** As the guard words what a decoder may not do. */
const isMistake = (fault: string): boolean => fault.startsWith("decoder '") && fault.includes(' is faulty: ')

const sound = ({ fault, readings }: Outcome, payload: Buffer): void => {
  if (fault !== undefined && isMistake(fault)) throw new Error(`${fault}, on ${shown(payload)}`)
  for (const { name, value } of readings)
    if (typeof value === 'number' && !Number.isFinite(value))
      throw new Error(`${name} is ${value}, on ${shown(payload)}`)
}

const checkExample = (example: DecoderExample, actual: Outcome, number: number): void => {
  const { readings, fault } = example
  // An example that expects nothing is there to be mutated.
  if (readings === undefined && fault === undefined) return
  if (fault === undefined && actual.fault !== undefined)
    throw new Error(`example ${number} has the fault: ${actual.fault}`)
  if (fault !== undefined && actual.fault?.includes(fault) !== true)
    throw new Error(`example ${number} lacks the fault: ${fault}`)
  if (readings === undefined) return
  const expected = readings.map((reading) => ({ device: DEVICE, ...reading }))
  deepStrictEqual(
    actual.readings.map((reading) => ({ ...reading })),
    expected,
    `example ${number}`,
  )
}

const shown = (payload: Buffer): string =>
  `${payload.toString('hex', 0, 40)}${payload.length > 40 ? `… (${payload.length} bytes)` : ''}`
