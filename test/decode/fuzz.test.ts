import fc from 'fast-check'
import { test } from 'tap'
import type { Decodable } from '../../src/core/contract.ts'
import { DecodeError } from '../../src/core/errors.ts'
import { resolveSenml, writeSenmlPack } from '../../src/core/senml.ts'
import { examplePayload } from '../../src/decode/examples.ts'
import { decodeGeneric, scalarPlace } from '../../src/decode/generic.ts'
import { mayBeList } from '../../src/log/channel.ts'
import { messageOn } from '../support/decoding.ts'
import { profiles, router } from '../support/profiles.ts'

/** The long variant: TIDEGATE_FUZZ_RUNS=100000. */
const RUNS = Number(process.env['TIDEGATE_FUZZ_RUNS'] ?? 3_000)
/** Twenty times what the worst message takes here; a busy machine must not fail the test. */
const SLOWEST_MS = 1_500

const seeds = profiles.flatMap(({ examples }) => examples)

/** What every decoding must hold, whatever came in. */
const check = (message: Decodable): void => {
  const started = performance.now()
  const { profile, device, readings, fault } = router.decode(message)
  const elapsedMs = performance.now() - started
  if (elapsedMs > SLOWEST_MS) throw new Error(`took ${elapsedMs} ms`)
  if (profile === '' || device === '') throw new Error('has no profile or no device')
  if (fault?.startsWith('a fault inside tidegate')) throw new Error(fault)
  const lists = mayBeList(message.payload, 0, message.payload.length)
  for (const { device: owner, name, value, unit, timeMs } of readings) {
    if (!router.mayBeDevice(message.topic, message.source, lists, (one) => one === owner))
      throw new Error(`a query for ${owner} would pass over it`)
    if (name === '' || unit === '') throw new Error('an empty name or unit')
    if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`${name} is not finite`)
    if (timeMs !== undefined && !Number.isFinite(timeMs)) throw new Error(`${name} has no time`)
  }
  const pack = writeSenmlPack(
    device,
    readings.map((reading) => ({ timeMs: message.receivedAt, ...reading, seq: 1 })),
  )
  if (readings.length > 0) resolveSenml(JSON.parse(pack), 'topic', message.receivedAt)
}

const topic = fc.oneof(
  fc.constantFrom(...seeds.map((seed) => seed.topic), 'a', 'a/b/c', '/', 'a/', '__proto__/x'),
  fc.string({ minLength: 1, maxLength: 40 }).map((text) => text.replace(/[+#\0]/g, '/')),
)

const hold = (property: fc.IProperty<[string, Buffer]>) => fc.assert(property, { numRuns: RUNS })

test('arbitrary bytes on any topic are readings or a fault', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
  hold(fc.property(topic, bytes, (name, payload) => check(messageOn(name, payload))))
  t.pass()
})

test('arbitrary JSON on any topic is readings or a fault', async (t) => {
  const json = fc.json({ maxDepth: 6 }).map((text) => Buffer.from(text))
  hold(fc.property(topic, json, (name, payload) => check(messageOn(name, payload))))
  t.pass()
})

test('arbitrary text on any topic is readings or a fault', async (t) => {
  const parts = [
    '21.5',
    ',',
    '-',
    'e9',
    'nan',
    'inf',
    '°C',
    '%',
    ' ',
    '"',
    '{',
    '[',
    'ON',
    'null',
    '\0',
    '\n',
    'µ',
    '1e999',
  ]
  const text = fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 4 })), { maxLength: 6 })
  hold(
    fc.property(
      topic,
      text.map((list) => Buffer.from(list.join(''))),
      (name, payload) => check(messageOn(name, payload)),
    ),
  )
  t.pass()
})

test('mutated payloads of real devices are readings or a fault', async (t) => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(4),
    put: fc.uint8Array({ maxLength: 4 }),
  })
  const mutated = fc
    .tuple(fc.constantFrom(...seeds), fc.array(edit, { minLength: 1, maxLength: 4 }))
    .map(([seed, edits]): [string, Buffer] => {
      let payload = examplePayload(seed)
      for (const { at, cut, put } of edits) {
        const start = Math.floor(at * payload.length)
        payload = Buffer.concat([payload.subarray(0, start), put, payload.subarray(start + cut)])
      }
      return [seed.topic, payload]
    })
  fc.assert(
    fc.property(mutated, ([name, payload]) => check(messageOn(name, payload))),
    { numRuns: RUNS },
  )
  t.pass()
})

test('the generic decoder throws DecodeError and nothing else', async (t) => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array)),
    fc.json().map((text) => Buffer.from(text.slice(0, -1))),
  )
  const only = fc.property(payload, (bytes) => {
    try {
      decodeGeneric(messageOn('a/b', bytes), scalarPlace('a/b'))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
    }
  })
  fc.assert(only, { numRuns: RUNS })
  t.pass()
})

test('arbitrary records are a Pack or a DecodeError', async (t) => {
  const label = fc.constantFrom(
    'bn',
    'bt',
    'bu',
    'bv',
    'bs',
    'bver',
    'n',
    'u',
    'v',
    'vs',
    'vb',
    'vd',
    's',
    't',
    'ut',
    'x',
    'x_',
  )
  const value = fc.oneof(fc.string({ maxLength: 8 }), fc.double(), fc.boolean(), fc.constant(null), fc.integer())
  const pack = fc.array(fc.dictionary(label, value, { maxKeys: 5 }), { maxLength: 4 })
  const only = fc.property(pack, (records) => {
    try {
      for (const reading of resolveSenml(records, 'topic', 0))
        if (reading.name === '' || reading.device === '') throw new Error('an empty name or device')
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
    }
  })
  fc.assert(only, { numRuns: RUNS })
  t.pass()
})

test('the worst payloads of the largest size take no time worth mentioning', async (t) => {
  const size = 1_048_576
  const filled = (head: string, part: string, tail = '') =>
    Buffer.from(head + part.repeat(Math.floor((size - head.length - tail.length) / part.length)) + tail)
  const worst = [
    filled('', '['),
    filled('', '{"a":'),
    filled('[', '1,', '1]'),
    filled('[', 'null,', 'null]'),
    filled('[', '12345678901234567890,', '1]'),
    filled('"', '\\"', '"'),
    filled('', '1'),
    filled('', '1e'),
    filled('', ' '),
    filled('', '\0'),
    filled('', '\u00e4'),
    filled('{"', 'k', '":1}'),
  ]
  for (const payload of worst)
    for (const name of ['a/b', 'tele/x/SENSOR', 'zigbee2mqtt/x']) check(messageOn(name, payload))
  t.pass()
})
