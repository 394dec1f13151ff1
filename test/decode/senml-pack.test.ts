// SenML in CBOR, and digits that no double holds: against RFC 8428, its samples where present, and hostile bytes.

import { existsSync, readFileSync } from 'node:fs'
import { encode } from 'cborg'
import fc from 'fast-check'
import { test } from 'tap'
import type { Reading } from '../../src/core/contract.ts'
import { DecodeError } from '../../src/core/errors.ts'
import { resolveSenml, writeSenmlPack } from '../../src/core/senml.ts'
import { decodeCbor } from '../../src/decode/cbor.ts'
import { certainPackFromCbor, exactPack, packFromCbor } from '../../src/decode/senml-pack.ts'
import { messageOn } from '../support/decoding.ts'
import { router } from '../support/profiles.ts'

const NOW = Date.UTC(2026, 10, 20, 10)
const RUNS = Number(process.env['TIDEGATE_FUZZ_RUNS'] ?? 2_000)
const SAMPLES = new URL('../../../shared/samples/senml/rfc8428.json', import.meta.url)
/** RFC 8428, 6, table 4. */
const LABELS: Readonly<Record<string, number>> = {
  ...{ bver: -1, bn: -2, bt: -3, bu: -4, bv: -5, bs: -6 },
  ...{ n: 0, u: 1, v: 2, vs: 3, vb: 4, s: 5, t: 6, ut: 7, vd: 8 },
}

const toCbor = (pack: readonly object[]): Buffer =>
  Buffer.from(
    encode(
      pack.map(
        (record) =>
          new Map(
            Object.entries(record).map(([label, value]): [unknown, unknown] => [
              LABELS[label] ?? label,
              label === 'vd' ? Buffer.from(String(value), 'base64url') : value,
            ]),
          ),
      ),
    ),
  )

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')

interface Sample {
  readonly json?: readonly object[]
  readonly json_text?: string
  readonly cbor_hex?: string
  readonly expect?: readonly (readonly [name: string, unit: string, seconds: number | null, value: number])[]
}

test('the examples of RFC 8428 resolve as it says', { skip: !existsSync(SAMPLES) && 'no samples' }, async (t) => {
  const { cbor_labels: labels, rule: _, ...samples } = JSON.parse(readFileSync(SAMPLES, 'utf8'))
  t.strictSame(labels, LABELS)
  for (const [name, sample] of Object.entries<Sample>(samples)) {
    const pack = sample.json ?? JSON.parse(sample.json_text ?? '')
    const forms: Record<string, readonly Reading[]> = {
      json: resolveSenml(pack, 'topic', NOW),
      cbor: resolveSenml(packFromCbor(toCbor(pack)), 'topic', NOW),
      generic: router.decode(messageOn('topic', toCbor(pack))).readings,
    }
    if (sample.cbor_hex !== undefined)
      forms['given cbor'] = resolveSenml(packFromCbor(hex(sample.cbor_hex)), 'topic', NOW)
    for (const [form, readings] of Object.entries(forms)) {
      t.strictSame(readings, forms['json'], `${name} as ${form}`)
      for (const [index, [full, unit, seconds, value]] of (sample.expect ?? []).entries()) {
        const { device, name: own, timeMs, ...rest } = readings[index] ?? { device: '', name: '' }
        t.match(rest, { unit, value })
        t.ok(full === own || full === `${device}:${own}` || full === `${device}/${own}`, `${full} is ${device} ${own}`)
        t.equal(timeMs, seconds === null ? undefined : seconds * 1_000)
      }
    }
  }
})

test('a Pack in CBOR holds numbers in every form that the RFC allows', async (t) => {
  const value = (bytes: string) =>
    resolveSenml(packFromCbor(hex(`81 a2 00 63 64 2f 61 02 ${bytes}`)), 't', NOW)[0]?.value
  t.equal(value('18 2a'), 42)
  t.equal(value('f9 3e00'), 1.5)
  t.equal(value('fa 41ac0000'), 21.5)
  t.equal(value('fb 4035800000000000'), 21.5)
  t.equal(value('c4 82 21 19 6ab3'), 273.15, 'decimal fraction')
  t.equal(value('1b 001fffffffffffff'), 9007199254740991)
  t.equal(value('1b 0020000000000000'), '9007199254740992')
  t.equal(value('1b 0020000000000001'), '9007199254740993')
  t.equal(value('1b ffffffffffffffff'), '18446744073709551615')
  t.equal(value('3b ffffffffffffffff'), '-18446744073709551616')
  t.equal(value('c2 41 05'), 5, 'bignum')
  for (const bad of ['f97e00', 'f97c00', 'f6', 'f7', '6131', 'c48119', 'c4821a7fffffff01', 'c11a0', 'c25841'])
    t.throws(() => value(bad), DecodeError, bad)
})

test('integers of JSON that no double holds stay text, next to a base value they are numbers', async (t) => {
  const resolve = (text: string) => resolveSenml(exactPack(JSON.parse(text), text), 't', NOW).map(({ value }) => value)
  t.strictSame(resolve('[{"n":"a","v":9007199254740993},{"n":"9007199254740993","v":1}]'), ['9007199254740993', 1])
  t.strictSame(resolve('[{"n":"a","bv":1,"v":9007199254740993}]'), [9007199254740992 + 1])
  t.throws(() => resolve('[{"n":"a","v":"9007199254740993"}]'), DecodeError, 'a text is no number')
})

test('only what is certainly a Pack is taken for one on any topic', async (t) => {
  const decoded = (bytes: Buffer) => router.decode(messageOn('a/b', bytes))
  t.match(decoded(toCbor([{ n: 'x', v: 1 }])), {
    profile: 'generic',
    device: 'a/b',
    readings: [{ name: 'x', value: 1 }],
  })
  for (const bytes of [
    toCbor([]),
    toCbor([{ n: 'x' }]),
    toCbor([{ n: 'x', v: 1, other: 2 }]),
    Buffer.from(
      encode([
        new Map<unknown, unknown>([
          [0, 'x'],
          [2, 1],
          [9, 1],
        ]),
      ]),
    ),
    Buffer.from(encode([[0, 'x']])),
    Buffer.concat([toCbor([{ n: 'x', v: 1 }]), Buffer.from([0])]),
    toCbor([{ n: 'x', v: 1 }]).subarray(0, -1),
  ]) {
    t.equal(certainPackFromCbor(bytes), undefined, bytes.toString('hex'))
    t.match(decoded(bytes), { readings: [], fault: /./ })
  }
})

test('hostile CBOR costs little, and is a DecodeError', async (t) => {
  const cases: Record<string, Buffer> = {
    'deep arrays': Buffer.alloc(2 ** 20, 0x81),
    'deep maps': Buffer.alloc(2 ** 20, 0xa1),
    'deep tags': Buffer.alloc(2 ** 20, 0xc4),
    'deep open arrays': Buffer.alloc(2 ** 20, 0x9f),
    'an array of 2^32 items': hex('9a ffffffff 00'),
    'an array of 2^64 items': hex('9b ffffffffffffffff 00'),
    'a map of 2^63 items': hex('bb 8000000000000000 00'),
    'a text of 2^32 bytes': hex('81 a1 00 7a ffffffff 61'),
    'a text of 2^64 bytes': hex('81 a1 00 7b ffffffffffffffff 61'),
    'many empty maps': Buffer.concat([hex('9a 000fffff'), Buffer.alloc(2 ** 20 - 1, 0xa0)]),
    'an open text': hex('81 a1 00 7f 61 61 61'),
    'a break': hex('ff'),
    'a break in a map': hex('81 a2 00 ff'),
    'a key twice': hex('81 a3 00 61 61 02 01 02 02'),
    'a label twice, as number and text': hex('81 a3 00 61 61 02 01 61 76 02'),
    'a map as key': hex('81 a2 a0 61 61 02 01'),
    'a reserved length': hex('9c'),
    nothing: Buffer.alloc(0),
  }
  for (const [name, bytes] of Object.entries(cases)) {
    const started = performance.now()
    t.throws(() => packFromCbor(bytes), DecodeError, name)
    t.equal(certainPackFromCbor(bytes), undefined)
    t.ok(performance.now() - started < 1_500, `${name} took ${performance.now() - started} ms`)
  }
  const odd = new Map<unknown, unknown>([
    [0, 'a'],
    [2, 1],
    ['constructor', { v: 2 }],
    ['toString', 3],
  ])
  t.match(resolveSenml(packFromCbor(Buffer.from(encode([odd]))), 't', NOW), [{ name: 'a', value: 1 }])
  // It ends in an underscore: an extension that must be understood (RFC 8428, 4.4).
  const proto = Buffer.from(
    encode([
      new Map<unknown, unknown>([
        [0, 'a'],
        [2, 1],
        ['__proto__', new Map([['v', 2]])],
      ]),
    ]),
  )
  t.throws(() => resolveSenml(packFromCbor(proto), 't', NOW), /unknown extension '__proto__'/)
  t.equal(Object.hasOwn(Object.prototype, 'v'), false)
})

/** Without half a surrogate pair. */
const isWhole = (one: string): boolean => Buffer.from(one).toString() === one

const text = fc.string({ minLength: 1, maxLength: 20 }).filter((one) => !one.includes('/') && isWhole(one))
const reading = fc.record(
  {
    name: text,
    value: fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.string().filter((one) => isWhole(one)),
    ),
    unit: fc.constantFrom('Cel', '%RH', 'W'),
    timeMs: fc.integer({ min: 3e11, max: 4e12 }),
    seq: fc.nat(),
  },
  { requiredKeys: ['name', 'value', 'timeMs', 'seq'] },
)

test('what is written as a Pack is read as the same readings, as JSON and as CBOR', async () => {
  fc.assert(
    fc.property(fc.array(reading, { minLength: 1, maxLength: 8 }), (list) => {
      const json = writeSenmlPack('dev/1', list)
      const expected = list.map(({ seq: _, ...rest }) => ({
        device: 'dev/1',
        ...rest,
        value: rest.value === 0 ? 0 : rest.value,
      }))
      const pack = JSON.parse(json)
      for (const readings of [
        resolveSenml(exactPack(pack, json), 't', NOW),
        resolveSenml(packFromCbor(toCbor(pack)), 't', NOW),
      ]) {
        if (readings.length !== expected.length) throw new Error('a reading is missing')
        for (const [index, { timeMs, ...rest }] of readings.entries()) {
          const { timeMs: time, ...other } = expected[index] as Reading
          const same = Object.entries(other).every(([key, value]) => Object.is(rest[key as keyof typeof rest], value))
          // Integers beyond 2^53 are written without a fraction, and stay text.
          const large = typeof rest.value === 'string' && Number(rest.value) === other.value
          if (!(same || large) || Math.abs((timeMs ?? 0) - (time ?? 0)) > 0.01)
            throw new Error(`${JSON.stringify(rest)} is not ${JSON.stringify(other)}`)
        }
      }
    }),
    { numRuns: RUNS },
  )
})

test('arbitrary and mutated CBOR is records or a DecodeError', async () => {
  const seed = hex(
    '87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333',
  )
  const mutated = fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
    const bytes = Buffer.from(seed)
    for (const [at, byte] of changes) bytes[at] = byte
    return bytes
  })
  const arbitrary = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
  fc.assert(
    fc.property(fc.oneof(arbitrary, mutated), (bytes) => {
      try {
        decodeCbor(bytes)
        for (const { value } of resolveSenml(packFromCbor(bytes), 't', NOW))
          if (typeof value === 'number' && !Number.isFinite(value)) throw new Error('not finite')
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
      }
    }),
    { numRuns: RUNS },
  )
})
