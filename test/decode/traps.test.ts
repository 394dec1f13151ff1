import { test } from 'tap'
import { writeSenmlPack } from '../../src/core/senml.ts'
import { createRouter } from '../../src/decode/router.ts'
import { payloadTime } from '../../src/decode/time-field.ts'
import { brief, messageOn, profileOf } from '../support/decoding.ts'

const router = createRouter([])
const decode = (topic: string, payload: string | Buffer) => router.decode(messageOn(topic, payload))
const value = (payload: string | Buffer) => brief(decode('house/thing', payload))

test('units in Latin-1 are read, and other bytes beyond ASCII are binary', async (t) => {
  t.strictSame(value(Buffer.from('25°C', 'latin1')), ['thing=25 Cel'])
  t.strictSame(value(Buffer.from('12.5 µg/m³', 'latin1')), ['thing=12.5 ug/m3'])
  t.strictSame(value(Buffer.from('{"t":25,"unit":"°C"}', 'latin1')), ['t=25', 'unit="°C"'])
  for (const payload of [Buffer.from([0xb0]), Buffer.from('grün 5', 'latin1'), Buffer.from([0x35, 0xb0, 0x00, 0x01])])
    t.match(value(payload), [/^fault: the payload is binary/], payload.toString('hex'))
})

test('what devices write for "no value" is a fault, never a number or a word', async (t) => {
  for (const payload of [
    'nan',
    '-NaN',
    'inf',
    '-inf',
    'ovf',
    '-ovf',
    'NAN °C',
    '---',
    '--.-',
    '-- %',
    '–',
    '--:--',
    'N/A',
    'null',
  ])
    t.match(value(payload), [/^fault: the payload says that there is no value/], payload)
  for (const word of ['info', 'nano', 'ovfx', '--x', '- a', 'nan 5']) t.match(value(word), [/^thing="/], word)
})

test('NaN in JSON costs its own value, not those beside it', async (t) => {
  t.strictSame(value('{"a":NaN,"b":2,"c":-Infinity,"d":"NaN","e":[nan,1],"inf":3}'), [
    'b=2',
    'd="NaN"',
    'e.1=1',
    'inf=3',
    'fault: a is not a finite number (and 2 more)',
  ])
  t.match(value('{"a":NaNa}'), [/not valid JSON/])
  t.match(value('{NaN:1}'), [/not valid JSON/])
})

test('integers beyond 2^53 keep every digit, wherever they stand', async (t) => {
  t.strictSame(value('9007199254740991'), ['thing=9007199254740991'])
  t.strictSame(value('9007199254740993'), ['thing="9007199254740993"'])
  t.strictSame(value('-18446744073709551615'), ['thing="-18446744073709551615"'])
  t.strictSame(value('18446744073709551615 Wh'), ['thing="18446744073709551615 Wh"'])
  t.strictSame(value('{"a":18446744073709551615,"s":"18446744073709551615","t":[9007199254740993]}'), [
    'a="18446744073709551615"',
    's="18446744073709551615"',
    't.0="9007199254740993"',
  ])
})

test('__proto__, constructor and the like are names like any other, as keys and as topic levels', async (t) => {
  const keys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']
  for (const key of keys) {
    t.strictSame(value(`{"${key}":{"polluted":1}}`), [`${key}.polluted=1`])
    t.strictSame(brief(decode(`a/${key}`, '1')), [`${key}=1`])
    t.equal(decode(`${key}/x`, '1').device, key)
  }
  t.equal(({} as Record<string, unknown>)['polluted'], undefined)
  const rules = [
    {
      topics: ['{device}/{what}'],
      decoder: 'json',
      name: '{what}.{path}',
      fields: [{ match: ['**'], values: { a: 1 } }],
    },
  ]
  const named = createRouter([profileOf('tested', rules)])
  for (const key of keys)
    t.strictSame(
      named.decode(messageOn(`${key}/constructor`, `{"${key}":"toString"}`)).readings,
      [{ device: key, name: `constructor.${key}`, value: 'toString' }],
      key,
    )
})

test('readings of such names survive the way into JSON', async (t) => {
  const decoding = decode('__proto__', '{"__proto__":1,"n":"9007199254740993","s":9007199254740993}')
  const pack = writeSenmlPack(
    decoding.device,
    decoding.readings.map((reading) => ({ timeMs: 1, ...reading, seq: 1 })),
  )
  const records = JSON.parse(pack) as readonly Record<string, unknown>[]
  t.match(JSON.stringify(records), /__proto__/)
  t.match(pack, /"vs":"9007199254740993"/)
})

test('numbers are read in every common spelling, and nothing else is', async (t) => {
  const cases: Readonly<Record<string, string>> = {
    '+3': '3',
    '.5': '0.5',
    '-.5': '-0.5',
    '5.': '5',
    ',5': '0.5',
    '1e3': '1000',
    '1,5e-3': '0.0015',
    '25°C': '25 Cel',
    '25 °C': '25 Cel',
    '25\u00a0°C': '25 Cel',
    '-0': '0',
    '0x1F': '"0x1F"',
    '1.234,5': '"1.234,5"',
    '1,234.5': '"1,234.5"',
    '1.2.3': '"1.2.3"',
    '+-3': '"+-3"',
    '3-': '"3-"',
    e5: '"e5"',
    ON: 'true',
    off: 'false',
    yes: '"yes"',
    '1': '1',
  }
  for (const [payload, expected] of Object.entries(cases)) t.strictSame(value(payload), [`thing=${expected}`], payload)
})

test('a time that no calendar has is none, and neither is one without a zone', async (t) => {
  const time = (text: string) => payloadTime(text, 'iso8601')
  t.equal(time('2026-02-28T10:00:00Z'), Date.UTC(2026, 1, 28, 10))
  t.equal(time('2028-02-29T10:00:00+01:00'), Date.UTC(2028, 1, 29, 9))
  t.equal(time('2026-11-20 10:00:00.5Z'), Date.UTC(2026, 10, 20, 10, 0, 0, 500))
  for (const text of [
    '2026-02-29T10:00:00Z',
    '2026-02-31T10:00:00Z',
    '2026-04-31 10:00:00Z',
    '2026-00-10T10:00:00Z',
    '2026-13-01T10:00:00Z',
    '2026-11-20T25:00:00Z',
    '2026-11-20T10:60:00Z',
    '2026-11-20T10:00:00',
    '1970-01-01T00:00:10Z',
  ])
    t.equal(time(text), undefined, text)
  t.equal(payloadTime('2026-02-31T10:00:00Z', 'any'), undefined)
})
