// How fast messages become readings: each decoder by the way of the router, on the examples of the profiles that use it. The
// yardstick is JSON.parse of a JSON object with as many bytes (of the payloads themselves where they are JSON).

import type { Decodable } from '../../src/core/contract.ts'
import type { ExampleMessage, ProfileExample } from '../../src/core/profile.ts'
import { examplePayload } from '../../src/decode/examples.ts'
import { createRouter } from '../../src/decode/router.ts'
import { messageOn, profileOf } from '../support/decoding.ts'
import { decoders, profiles } from '../support/profiles.ts'
import { quick, whole } from './report.ts'

const ROUND_MS = quick ? 30 : 80
const ROUNDS = 3
/** Examples of one profile that are decoded in turns. */
const MAX_EXAMPLES = 20

interface Subject {
  readonly name: string
  readonly payloads: readonly Buffer[]
  /** Decodes the payload at this place of the list; how many readings it gave. */
  decode(index: number): number
}

const simple = (
  name: string,
  decoder: string,
  payload: string,
  options?: Readonly<Record<string, unknown>>,
): Subject => {
  const rules = [{ topics: ['bench/{device...}'], decoder, ...(options === undefined ? {} : { options }) }]
  const router = createRouter(decoder === 'generic' ? [] : [profileOf('bench', rules)], { decoders })
  const message = messageOn('bench/meter', payload)
  return { name, payloads: [message.payload], decode: () => router.decode(message).readings.length }
}

const text = { decimal: 'auto', encoding: 'utf-8', text: [], missing: [] }
const subjects: readonly Subject[] = [
  simple(
    'generic: JSON object',
    'generic',
    '{"temperature":21.5,"humidity":40,"pressure":1013.2,"on":true,"label":"attic"}',
  ),
  simple(
    'generic: SenML',
    'generic',
    '[{"bn":"house/attic/","n":"temperature","u":"Cel","v":21.5},{"n":"door","vb":true}]',
  ),
  simple('generic: 21.5', 'generic', '21.5'),
  simple('generic: 25 °C', 'generic', '25 °C'),
  simple('json: three fields', 'json', '{"temperature":21.5,"humidity":40,"pressure":1013.2}'),
  simple('csv', 'csv', '1795168800,21.5,40,1013.2,ok', {
    ...{ ...text, columns: ['at', 'temperature', 'humidity', 'pressure', 'state'], separator: ',' },
    ...{ header: false, tolerant: false, skipLines: 0 },
  }),
  simple('pairs', 'pairs', 'temp:21.5,hum:40,press:1013.2', { ...text, separator: 'auto', assign: 'auto', names: [] }),
  simple('regex', 'regex', 'T=21.5 C H=40 %', {
    ...{ ...text, patterns: ['^T=(?<temperature>[-+\\d.]+) C H=(?<humidity>[\\d.]+) %$'], ignoreCase: false },
    ...{ lines: true, every: false, unmatched: 'fault' },
  }),
  simple('binary', 'binary', '\u0001gABCDEFGH', {
    ...{ encoding: 'raw', endian: 'big', groups: [] },
    fields: [
      { name: 'temperature', type: 'i16', at: 0, scale: 0.1, unit: 'Cel' },
      { name: 'count', type: 'u32', at: 2 },
      { name: 'level', type: 'f32', at: 6 },
    ],
  }),
]

/** Every other decoder, on the examples of the profile that has most of them. */
const profileSubjects = (): readonly Subject[] =>
  [...decoders.keys()].flatMap((decoder) => {
    if (subjects.some(({ name }) => name === decoder)) return []
    const using = profiles
      .filter(({ rules }) => rules.some((rule) => rule.decoder === decoder))
      .toSorted((a, b) => b.examples.length - a.examples.length)
    const [profile] = using
    if (profile === undefined) return []
    const router = createRouter(profiles, { decoders })
    const claimed = profile.rules.some(({ topics }) => topics.length > 0)
    const decode = (message: Decodable) => (claimed ? router.decode(message) : router.decodeAs(profile.name, message))
    const message = (one: ExampleMessage) => messageOn(one.topic, examplePayload(one))
    const good = profile.examples
      .filter((one) => one.readings !== undefined && one.readings.length > 0)
      .slice(0, MAX_EXAMPLES)
    let seq = 0
    for (const before of good.flatMap((one: ProfileExample) => [...(one.before ?? []), one]))
      router.learn({ ...message(before), seq: ++seq })
    const messages = good.map(message)
    if (messages.length === 0) return []
    const name = `${decoder} (${profile.name})`
    const payloads = messages.map(({ payload }) => payload)
    return [
      {
        name,
        payloads,
        decode: (index: number) => decode(messages[index] ?? message(good[0] ?? { topic: 'a' })).readings.length,
      },
    ]
  })

/** Microseconds per message: the best of some rounds, since whatever disturbs makes it slower. */
const measured = (
  count: number,
  work: (index: number) => number,
): { readonly us: number; readonly results: number } => {
  let us = Number.POSITIVE_INFINITY
  let results = 0
  for (let round = 0; round <= ROUNDS; round++) {
    // Time of this process on a core: what else the machine does then matters little.
    const started = process.cpuUsage()
    let elapsedUs = 0
    let done = 0
    results = 0
    while (elapsedUs < ROUND_MS * 1_000) {
      for (let turn = 0; turn < 128; turn++) results += work(done++ % count)
      const { user, system } = process.cpuUsage(started)
      elapsedUs = user + system
    }
    // The first round is for the compiler.
    if (round > 0) us = Math.min(us, elapsedUs / done)
    results /= done
  }
  return { us, results }
}

const parsed = (json: string): number => (JSON.parse(json) === undefined ? 0 : 1)

const yardstick = (payload: Buffer): string => {
  const own = payload.toString('utf8')
  if (/^\s*[[{]/.test(own)) {
    try {
      JSON.parse(own)
      return own
    } catch {
      // Not JSON after all: something of its size.
    }
  }
  const fields: string[] = []
  for (let size = 2; size < payload.length; size += fields.at(-1)?.length ?? 1)
    fields.push(`"field${fields.length}":${20 + fields.length}.5,`)
  return `{${fields.join('').slice(0, -1)}}`
}

export const benchDecoders = async (): Promise<void> => {
  console.log('\nDecoding, one core: each decoder by the way of the router')
  console.log(
    `${'  decoder'.padEnd(34)}${['bytes', 'readings', 'messages/s', 'MB/s', 'of JSON.parse'].map((title) => title.padStart(14)).join('')}`,
  )
  for (const { name, payloads, decode } of [...subjects, ...profileSubjects()]) {
    const own = measured(payloads.length, decode)
    const texts = payloads.map(yardstick)
    const json = measured(texts.length, (index) => parsed(texts[index] ?? '{}'))
    const bytes = payloads.reduce((sum, { length }) => sum + length, 0) / payloads.length
    const jsonBytes = texts.reduce((sum, { length }) => sum + length, 0) / texts.length
    // Per byte: payloads that are not JSON have a yardstick of about their size only.
    const ratio = json.us / jsonBytes / (own.us / bytes)
    const columns = [
      whole(bytes),
      own.results.toFixed(1),
      whole(1e6 / own.us),
      (bytes / own.us).toFixed(1),
      ratio.toFixed(2),
    ]
    console.log(`  ${name.padEnd(32)}${columns.map((column) => column.padStart(14)).join('')}`)
  }
}
