import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { DecodeError } from '../../src/core/errors.ts'
import { isSenmlPack, parseSenml, resolveSenml, writeSenmlPack } from '../../src/core/senml.ts'

const NOW = Date.UTC(2026, 10, 20, 10)
const WIRE = 'urn:dev:ow:10e2073a0108006'

const resolve = (pack: unknown) => resolveSenml(pack, 'the/topic', NOW)

test('a Pack of one record without separators keeps its name, and the topic is the device', async (t) => {
  t.strictSame(resolve([{ n: 'urn:dev:ow:10e2073a01080063', u: 'Cel', v: 23.1 }]), [
    { device: 'the/topic', name: 'urn:dev:ow:10e2073a01080063', value: 23.1, unit: 'Cel' },
  ])
})

test('a base name that ends in a colon or a slash is the device', async (t) => {
  for (const separator of [':', '/']) {
    const readings = resolve([
      { bn: `${WIRE}${separator}`, n: 'voltage', u: 'V', v: 120.1 },
      { n: 'a/b', v: 1.2 },
    ])
    t.strictSame(readings, [
      { device: WIRE, name: 'voltage', value: 120.1, unit: 'V' },
      { device: WIRE, name: 'a/b', value: 1.2 },
    ])
  }
})

test('without such a base name the last slash parts device and name', async (t) => {
  t.match(resolve([{ n: 'house/attic/temperature', v: 1 }]), [{ device: 'house/attic', name: 'temperature' }])
  t.match(resolve([{ bn: 'house/', v: 1 }]), [{ device: 'the/topic', name: 'house/' }])
  t.match(resolve([{ n: '/x', v: 1 }]), [{ device: 'the/topic', name: '/x' }])
})

test('base time, base unit and times add up as in RFC 8428, 5.1.3', async (t) => {
  const text =
    `[{"bn":"${WIRE}:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},` +
    '{"n":"current","t":-5,"v":1.2},{"n":"current","t":-1,"v":1.6},{"n":"current","v":1.7}]'
  t.strictSame(parseSenml(text, 'the/topic', NOW), [
    { device: WIRE, name: 'voltage', value: 120.1, unit: 'V', timeMs: 1276020076001 },
    { device: WIRE, name: 'current', value: 1.2, unit: 'A', timeMs: 1276020071001 },
    { device: WIRE, name: 'current', value: 1.6, unit: 'A', timeMs: 1276020075001 },
    { device: WIRE, name: 'current', value: 1.7, unit: 'A', timeMs: 1276020076001 },
  ])
})

test('times below 2^28 seconds are relative to the arrival, and none at all is the arrival', async (t) => {
  t.match(resolve([{ n: 'a', v: 1, t: -60.5 }]), [{ timeMs: NOW - 60_500 }])
  t.match(resolve([{ n: 'a', v: 1, t: 30 }]), [{ timeMs: NOW + 30_000 }])
  t.match(resolve([{ n: 'a', v: 1, t: 2 ** 28 }]), [{ timeMs: 2 ** 28 * 1000 }])
  t.strictSame(resolve([{ n: 'a', v: 1, t: 0 }]), [{ device: 'the/topic', name: 'a', value: 1 }])
})

test('base value and base sum add up, and a missing one counts as zero', async (t) => {
  t.match(resolve([{ bn: 'x/', bv: 20, n: 'a', v: 0.5 }, { n: 'b' }]), [{ value: 20.5 }, { name: 'b', value: 20 }])
  t.strictSame(resolve([{ bs: 100, n: 'w', u: 'W', v: 5, s: 1 }]), [
    { device: 'the/topic', name: 'w', value: 5, unit: 'W' },
    { device: 'the/topic', name: 'w.sum', value: 101 },
  ])
})

test('strings, booleans and data are values', async (t) => {
  const types = [
    { bn: 'd/', n: 'label', vs: 'Machine Room' },
    { n: 'open', vb: false },
    { n: 'nfc', vd: 'aGkgCg' },
  ]
  t.match(resolve(types), [{ value: 'Machine Room' }, { value: false }, { value: 'aGkgCg' }])
})

test('a base field holds until it comes again, and a record of base fields alone is no reading', async (t) => {
  const readings = resolve([
    { bn: 'one/', bu: 'V' },
    { n: 'a', v: 1 },
    { bn: 'two/', n: 'a', v: 2 },
    { n: 'b', u: 'A', v: 3 },
  ])
  t.match(readings, [
    { device: 'one', unit: 'V' },
    { device: 'two', unit: 'V' },
    { device: 'two', name: 'b', unit: 'A' },
  ])
  t.equal(readings.length, 3)
})

test('unknown labels are ignored unless they must be understood', async (t) => {
  t.match(resolve([{ n: 'a', v: 1, seq: 7, foo: {} }]), [{ value: 1 }])
  t.throws(() => resolve([{ n: 'a', v: 1, foo_: 1 }]), { code: 'TG_DECODE', message: /unknown extension 'foo_'/ })
})

test('versions beyond what is understood are refused', async (t) => {
  t.match(resolve([{ bver: 10, n: 'a', v: 1 }]), [{ value: 1 }])
  t.match(resolve([{ bver: 26, n: 'a', u: 'hPa', v: 1 }]), [{ value: 1 }], 'RFC 9100: secondary units')
  t.throws(() => resolve([{ bver: 11, n: 'a', v: 1 }]), /version 11/)
  t.throws(() => resolve([{ bver: 42, n: 'a', v: 1 }]), /version 42/)
  t.throws(
    () =>
      resolve([
        { bver: 10, n: 'a', v: 1 },
        { bver: 5, n: 'a', v: 1 },
      ]),
    /contradicts/,
  )
})

test('an invalid Pack is refused with the record that is wrong', async (t) => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [[], /is an array of records/],
    [{ n: 'a', v: 1 }, /is an array of records/],
    [[1], /record 0 is not an object/],
    [[null], /record 0 is not an object/],
    [[{ v: 1 }], /record 0 has no name/],
    [[{ n: 'a', v: 1 }, { n: 'b' }], /record 1 has neither a value nor a sum/],
    [[{ n: 'a', v: 1, vs: 'x' }], /more than one value/],
    [[{ n: 'a', v: '1' }], /'v' is not a number/],
    [[{ n: 'a', v: null }], /'v' is not a number/],
    [[{ n: 1, v: 1 }], /'n' is not a string/],
    [[{ n: 'a', vb: 1 }], /'vb' is not a boolean/],
    [[{ n: 'a', vd: '*' }], /base64url/],
    [[{ n: 'a', v: 1, t: 1e300 }], /time is out of range/],
    [[{ bv: 1e308, n: 'a', v: 1e308 }], /not finite/],
    [[{ bn: 'x'.repeat(4000), n: 'x'.repeat(600), v: 1 }], /the name is longer than 4096/],
    [[{ n: 'x', vs: 'x'.repeat(5000) }], /longer than 4096/],
    [Array.from({ length: 5001 }, () => ({ n: 'a', v: 1 })), /more than 5000/],
  ]
  for (const [pack, message] of cases) t.throws(() => resolve(pack), message)
  t.throws(() => parseSenml('[{"n":', 'x', NOW), DecodeError)
})

test('names that are properties of objects are only names', async (t) => {
  t.match(resolve(JSON.parse('[{"n":"__proto__","v":1,"constructor":1}]')), [{ name: '__proto__', value: 1 }])
  t.throws(() => resolve(JSON.parse('[{"n":"a","v":1,"__proto__":{"vs":"x"}}]')), /unknown extension '__proto__'/)
})

test('a Pack is recognised by its names and values', async (t) => {
  t.ok(isSenmlPack([{ n: 'a', v: 1 }]))
  t.ok(
    isSenmlPack([
      { bn: 'a/', bt: 1 },
      { n: 'x', vs: '' },
    ]),
  )
  t.ok(isSenmlPack([{ n: 'a', s: 1 }]))
  for (const other of [[], [1], [{ v: 1 }], [{ n: 'a', value: 1 }], [{ t: 21.5, h: 40 }], { n: 'a', v: 1 }, null])
    t.notOk(isSenmlPack(other), JSON.stringify(other))
})

test('a written Pack reads back as it was', async (t) => {
  const readings = [
    { name: 'temperature', value: 21.5, unit: 'Cel', timeMs: 1795168800123.456, seq: 1842 },
    { name: 'a/b "quoted"\n', value: 'grün\u0000', timeMs: 1795168800124, seq: 1843 },
    { name: 'open', value: true, timeMs: 1795168800000, seq: 1844 },
    { name: 'tiny', value: 1e-7, timeMs: 1795168800000, seq: 1844 },
    { name: 'huge', value: 1e21, timeMs: 1795168800000, seq: 9007199254740991 },
  ]
  const text = writeSenmlPack('sensors/green house', readings)
  t.match(JSON.parse(text), [
    { bn: 'sensors/green house/', n: 'temperature', u: 'Cel', v: 21.5, t: 1795168800.123456, seq: 1842 },
    { vs: 'grün\u0000' },
    { vb: true, t: 1795168800 },
    { v: 1e-7 },
    { v: 1e21, seq: 9007199254740991 },
  ])
  t.strictSame(
    parseSenml(text, 'other', NOW),
    readings.map(({ seq: _, ...reading }) => ({ device: 'sensors/green house', ...reading })),
  )
})

test('a written Pack has no time where the clock was never set, and only JSON numbers', async (t) => {
  const [record] = JSON.parse(writeSenmlPack('d', [{ name: 'a', value: 1, timeMs: 10_000, seq: 1 }]))
  t.strictSame(record, { bn: 'd/', n: 'a', v: 1, seq: 1 })
  t.match(JSON.parse(writeSenmlPack('d', [{ name: 'a', value: Number.NaN, timeMs: 0, seq: 1 }])), [{ vs: 'NaN' }])
  t.equal(writeSenmlPack('d', []), '[]')
})

const sample = new URL('../../../shared/samples/senml/rfc8428.json', import.meta.url)
test('the examples of RFC 8428 resolve as published', { skip: !existsSync(sample) && 'no samples here' }, async (t) => {
  const examples: Record<
    string,
    { json?: unknown; json_text?: string; expect?: [string, string, number | null, number][] }
  > = JSON.parse(readFileSync(sample, 'utf8'))
  let compared = 0
  for (const { json, json_text: text, expect } of Object.values(examples)) {
    if (json === undefined && text === undefined) continue
    const readings = json === undefined ? parseSenml(text ?? '', 'topic', NOW) : resolve(json)
    for (const [index, [name, unit, time, value]] of (expect ?? []).entries()) {
      const reading = readings[index]
      t.ok(reading !== undefined && name.endsWith(reading.name), name)
      t.match(reading, { unit, value, ...(time === null ? {} : { timeMs: Math.round(time * 1000) }) })
      compared++
    }
  }
  t.ok(compared >= 10)
})
