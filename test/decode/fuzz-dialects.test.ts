import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'tap'
import { validator } from '../../src/config/validation.ts'
import type { Decodable } from '../../src/core/contract.ts'
import type { DecoderPlugin } from '../../src/core/plugin-contract.ts'
import { resolveSenml, writeSenmlPack } from '../../src/core/senml.ts'
import { examplePayload } from '../../src/decode/examples.ts'
import { createRouter, type Router } from '../../src/decode/router.ts'
import { mayBeList } from '../../src/log/channel.ts'
import { testDecoder } from '../../src/testing/decoder-contract.ts'
import { messageOn, profileOf } from '../support/decoding.ts'
import { decoders, profiles } from '../support/profiles.ts'

/** The long variant: TIDEGATE_FUZZ_RUNS=100000, for each dialect. */
const RUNS = Number(process.env['TIDEGATE_FUZZ_RUNS'] ?? 600)
/** Twenty times what the worst message takes here; a busy machine must not fail the test. */
const SLOWEST_MS = 2_000
const LARGEST_BYTES = 1_048_576
const MAX_READINGS = 5_000
const MAX_FAULT_LENGTH = 301
const SAMPLES = join(import.meta.dirname, '../../../shared/samples')
const SAMPLE_BYTES = 2_000
const TOPIC = 'fuzzed/device'

/** For dialects that need some, and that no profile uses. */
const OPTIONS: Readonly<Record<string, object>> = {
  regex: { patterns: ['(?<a>\\w+)=(?<b>[^;]*)', '(?<c>(?:x+)+)'], every: true },
  csv: { header: true, tolerant: true },
  binary: {
    fields: [
      { name: 'a', type: 'u64', at: 0 },
      { name: 'b', type: 'f32', at: -4, range: [-1, 1], optional: true },
      { name: 'c', type: 'text', at: 2, length: 3 },
      { name: 'd', type: 'bcd', at: 1, length: 2 },
    ],
    groups: [{ at: 1, sizeBytes: 3, fields: [{ name: 'x', type: 'i24', at: 0 }] }],
  },
}

interface Subject {
  readonly options: object
  readonly seeds: readonly Buffer[]
  readonly router: Router
}

const samples = (directory: string): readonly Buffer[] =>
  existsSync(directory)
    ? readdirSync(directory, { withFileTypes: true, recursive: true })
        .filter((file) => file.isFile() && !file.name.endsWith('.md'))
        .flatMap((file) => {
          const bytes = readFileSync(join(file.parentPath, file.name))
          return [bytes.subarray(0, SAMPLE_BYTES), bytes.subarray(0, SAMPLE_BYTES / 20)]
        })
    : []
const strangers = [...samples(SAMPLES), Buffer.from('[{"n":"a","v":1}]'), Buffer.from('temp:21.5,hum:40\n')]

/** The dialect as each profile uses it, or with the options above, or without any. */
const subjectsOf = (plugin: DecoderPlugin): readonly Subject[] => {
  const uses = profiles.flatMap(({ rules, examples, fields }) =>
    rules
      .filter(({ decoder }) => decoder === plugin.type)
      .map((rule) => ({
        rule,
        fields,
        seeds: examples.flatMap((one) => [one, ...(one.before ?? [])]).map(examplePayload),
      })),
  )
  const subject = (options: object, seeds: readonly Buffer[], more = {}): Subject => {
    const profile = profileOf('fuzzed', [
      { ...more, topics: ['{device...}'], decoder: plugin.type, options: { ...options } },
    ])
    return { options, seeds: seeds.length > 0 ? seeds : strangers, router: createRouter([profile], { decoders }) }
  }
  if (uses.length > 0)
    return uses.map(({ rule, seeds, fields = [] }) =>
      subject(rule.options ?? {}, seeds, { fields: [...(rule.fields ?? []), ...fields] }),
    )
  const options = structuredClone(OPTIONS[plugin.type] ?? {})
  const findings = validator({ type: 'object', ...plugin.schema })(options)
  if (findings.length > 0) throw new Error(`say options for ${plugin.type} above: ${findings[0]?.message}`)
  return [subject(options, [])]
}

/** What every decoding must hold, whatever came in. */
const check = (router: Router, message: Decodable): void => {
  const started = performance.now()
  router.learn({ ...message, seq: 1 })
  const { profile, device, readings, fault, doubtful = [] } = router.decode(message)
  const elapsedMs = performance.now() - started
  if (elapsedMs > SLOWEST_MS) throw new Error(`took ${elapsedMs} ms`)
  if (profile === '' || device === '') throw new Error('has no profile or no device')
  if (fault !== undefined && /a fault inside tidegate|^decoder '.*' is faulty/.test(fault)) throw new Error(fault)
  if (fault !== undefined && fault.length > MAX_FAULT_LENGTH) throw new Error('a fault without bound')
  if (readings.length > MAX_READINGS || doubtful.length > MAX_READINGS) throw new Error('readings without bound')
  const lists = mayBeList(message.payload, 0, message.payload.length)
  for (const { device: owner, name, value, unit, timeMs } of readings) {
    if (!router.mayBeDevice(message.topic, message.source, lists, (one) => one === owner))
      throw new Error(`a query for ${owner} would pass over it`)
    if (name === '' || unit === '' || owner === '') throw new Error('an empty name, unit or device')
    if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`${name} is not finite`)
    if (timeMs !== undefined && !Number.isFinite(timeMs)) throw new Error(`${name} has no time`)
  }
  if (readings.length === 0 || readings.length > 100) return
  const timed = readings.map((reading) => ({ timeMs: message.receivedAt, ...reading, seq: 1 }))
  resolveSenml(JSON.parse(writeSenmlPack(device, timed)), 'topic', message.receivedAt)
}

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  cut: fc.nat(4),
  put: fc.uint8Array({ maxLength: 4 }),
})
const mutated = (seeds: readonly Buffer[]) =>
  fc.tuple(fc.constantFrom(...seeds), fc.array(edit, { minLength: 0, maxLength: 4 })).map(([seed, edits]) => {
    let payload = seed
    for (const { at, cut, put } of edits) {
      const start = Math.floor(at * payload.length)
      payload = Buffer.concat([payload.subarray(0, start), put, payload.subarray(start + cut)])
    }
    return payload
  })
const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))

for (const [type, plugin] of decoders) {
  const subjects = subjectsOf(plugin)
  test(`${type}: arbitrary bytes and mutated payloads are readings or a fault`, { timeout: 3_600_000 }, async (t) => {
    for (const { router, seeds } of subjects) {
      const payloads = fc.oneof(noise, { arbitrary: mutated(seeds), weight: 3 }, mutated(strangers))
      const holds = fc.property(payloads, (payload) => check(router, messageOn(TOPIC, payload)))
      fc.assert(holds, { numRuns: Math.ceil(RUNS / subjects.length) })
    }
    t.pass()
  })

  test(`${type}: the worst payloads of the largest size take no time worth mentioning`, async (t) => {
    const [{ router, seeds } = { router: undefined, seeds: [] }] = subjects
    const long = seeds.reduce((a, b) => (b.length > a.length ? b : a), Buffer.from('x'))
    const fillers = [
      long,
      ...['[', '{"a":', '1,', ' ', 'a=1 ', '":', '\n', 'x:', '$', '\0'].map((text) => Buffer.from(text)),
    ]
    for (const filler of fillers) if (router) check(router, messageOn(TOPIC, Buffer.alloc(LARGEST_BYTES, filler)))
    t.pass()
  })

  test(`${type}: the dialect keeps the contract of decoders`, async (t) => {
    // The options were checked when the profile was read; those of modbus are another section of it.
    const loose = { ...plugin, schema: { ...plugin.schema, additionalProperties: true } }
    for (const { options, seeds } of subjects.slice(0, 3)) {
      const examples = seeds.slice(0, 20).map((payload) => ({ payload }))
      await testDecoder(
        loose,
        { options, examples, mutations: 200 },
        async (name, run) => void (await t.resolves(run(), name)),
      )
    }
  })
}
