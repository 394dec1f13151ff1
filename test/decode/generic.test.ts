import { test } from 'tap'
import { createRouter } from '../../src/decode/router.ts'
import { brief, messageOn } from '../support/decoding.ts'

const router = createRouter([])
const decode = (topic: string, payload: string | Buffer) => router.decode(messageOn(topic, payload))
const value = (payload: string | Buffer, topic = 'house/thing') => brief(decode(topic, payload))

test('a JSON object is one reading per leaf, named by its path, and the device is the topic', async (t) => {
  const payload =
    '{"temperature":21.5,"ok":true,"label":"a","deep":{"er":[1,{"x":2}]},"none":null,"empty":{},"list":[]}'
  const decoding = decode('sensors/greenhouse', payload)
  t.equal(decoding.profile, 'generic')
  t.equal(decoding.device, 'sensors/greenhouse')
  t.ok(decoding.readings.every(({ device }) => device === 'sensors/greenhouse'))
  t.strictSame(brief(decoding), ['temperature=21.5', 'ok=true', 'label="a"', 'deep.er.0=1', 'deep.er.1.x=2'])
})

test('a JSON array of SenML records is SenML', async (t) => {
  const decoding = decode('x/y', '[{"bn":"house/attic/","n":"temperature","u":"Cel","v":21.5},{"n":"door","vb":true}]')
  t.equal(decoding.device, 'house/attic')
  t.strictSame(brief(decoding), ['temperature=21.5 Cel', 'door=true'])
  const mixed = decode('x/y', '[{"n":"a/t","v":1},{"n":"b/t","v":2}]')
  t.equal(mixed.device, 'x/y', 'a Pack of several devices belongs to its topic')
  t.match(mixed.readings, [{ device: 'a' }, { device: 'b' }])
  t.match(brief(decode('x/y', '[{"n":"a","v":"1"}]')), [/^fault: SenML record 0/])
})

test('other JSON arrays are named by index', async (t) => {
  t.strictSame(value('[1,"a",{"t":21.5,"h":40}]'), ['0=1', '1="a"', '2.t=21.5', '2.h=40'])
  t.strictSame(value('[]'), [])
  t.strictSame(value('{}'), [])
})

test('one value is named by the last topic level, and the device is the levels before it', async (t) => {
  for (const payload of ['21.5', ' 21.5\r\n', '\ufeff21.5', '21.5\0']) {
    const { device, readings } = decode('sensors/greenhouse/temperature', payload)
    t.equal(device, 'sensors/greenhouse')
    t.strictSame(readings, [{ device: 'sensors/greenhouse', name: 'temperature', value: 21.5 }])
  }
})

test('on a topic of one level the device is the name of the source', async (t) => {
  t.strictSame(decode('temperature', '25°C').readings, [
    { device: 'broker', name: 'temperature', value: 25, unit: 'Cel' },
  ])
  t.match(decode('/temperature', '25').readings, [{ device: 'broker', name: 'temperature' }])
  t.match(decode('house/temperature/', '25').readings, [{ device: 'house', name: 'temperature' }])
  t.match(decode('/', '25').readings, [{ device: 'broker', name: '/' }])
})

test('numbers come with a decimal point or comma, and with or without a unit', async (t) => {
  const cases: Readonly<Record<string, string>> = {
    '21.5': '21.5',
    '21,5': '21.5',
    '-0.5': '-0.5',
    '+3': '3',
    '1e3': '1000',
    '.5': '0.5',
    '5.': '5',
    '007': '7',
    '−4,2 °C': '-4.2 Cel',
    '25°C': '25 Cel',
    '21.5 C': '21.5 Cel',
    '21,5℃': '21.5 Cel',
    '21.5 Celsius': '21.5 Cel',
    '77°F': '25 Cel',
    '70.5 F': '21.3888888889 Cel',
    '300 K': '300 K',
    '45 %RH': '45 %RH',
    '45%': '45 %',
    '1013.2 hPa': '1013.2 hPa',
    '101.32 kPa': '1013.2 hPa',
    '230V': '230 V',
    '1.5 kWh': '1.5 kWh',
    '1.5 KWH': '1.5 kWh',
    '12 mW': '0.012 W',
    '12 MW': '12000 kW',
    '350 lx': '350 lux',
    '350 lux': '350 lux',
    '420 ppm': '420 ppm',
    '-67 dBm': '-67 dBm',
    '7.1 pH': '7.1 pH',
    '10 m/s': '10 m/s',
    '36 km/h': '36 km/h',
    '12.5 µg/m³': '12.5 ug/m3',
    '5 l/min': '0.0833333333333 l/s',
  }
  for (const [payload, expected] of Object.entries(cases)) t.strictSame(value(payload), [`thing=${expected}`], payload)
  t.strictSame(value('45%', 'greenhouse/humidity'), ['humidity=45 %RH'])
  t.strictSame(value('45 %', 'greenhouse/Battery_Level'), ['Battery_Level=45 %EL'])
})

test('switches are booleans in any case, and only they', async (t) => {
  for (const word of ['ON', 'on', 'On', 'true', 'TRUE']) t.strictSame(value(word), ['thing=true'], word)
  for (const word of ['OFF', 'off', 'false', 'False']) t.strictSame(value(word), ['thing=false'], word)
  for (const word of ['open', 'yes', '"ON"', 'Online', 'one']) t.match(value(word), [/^thing="/], word)
})

test('other plain text is one string', async (t) => {
  const words = [
    'hello world',
    'grün',
    '21.5 bananas',
    '10:30',
    '2026-11-20',
    '1.234,5',
    '0x1F',
    '12:34:56',
    'Infinity pool',
    '5 %x',
    'a{b}',
  ]
  for (const word of words) t.strictSame(value(word), [`thing=${JSON.stringify(word)}`], word)
  t.strictSame(value('"21.5"'), ['thing="21.5"'], 'a quoted number is text')
  t.strictSame(value('x'.repeat(4096)), [`thing="${'x'.repeat(4096)}"`])
})

test('what cannot be decoded is a fault, with the device that it belongs to', async (t) => {
  const cases: readonly (readonly [string | Buffer, RegExp, string])[] = [
    ['', /is empty/, 'house'],
    ['  \n', /empty but for white space/, 'house'],
    ['\0\0', /empty but for white space/, 'house'],
    ['NaN', /there is no value/, 'house'],
    ['nan', /there is no value/, 'house'],
    ['-nan', /there is no value/, 'house'],
    ['nan °C', /there is no value/, 'house'],
    ['Infinity', /there is no value/, 'house'],
    ['-inf', /there is no value/, 'house'],
    ['null', /there is no value/, 'house'],
    ['undefined', /there is no value/, 'house'],
    ['1e999', /too large/, 'house'],
    ['{"a":1', /not valid JSON/, 'house/thing'],
    ['{"a":NaN}', /a is not a finite number/, 'house/thing'],
    ['{"a":NaN', /not valid JSON/, 'house/thing'],
    ['[1,', /not valid JSON/, 'house/thing'],
    ['\ufeff {"a"', /not valid JSON/, 'house/thing'],
    ['"abc', /not valid JSON/, 'house/thing'],
    ['a\u0001b', /binary/, 'house'],
    ['two\nlines', /control characters/, 'house'],
    [Buffer.from([0xff, 0xfe, 0x00]), /binary/, 'house'],
    [Buffer.from([0x41, 0xc3]), /binary/, 'house'],
    ['x'.repeat(4097), /4097 characters/, 'house'],
    [Buffer.alloc(1_048_577, '1'), /1048577 bytes/, 'house'],
    [`${'['.repeat(100)}1${']'.repeat(100)}`, /nested deeper/, 'house/thing'],
    [JSON.stringify(Array.from({ length: 5001 }, (_, index) => index)), /more than 5000 values/, 'house/thing'],
  ]
  for (const [payload, message, device] of cases) {
    const decoding = decode('house/thing', payload)
    t.match(decoding.fault, message)
    t.equal(decoding.device, device, message.source)
    t.strictSame(decoding.readings, [])
  }
})

test('a leaf that cannot be a reading is left out and named; the others count', async (t) => {
  t.strictSame(value('{"a":1e999,"b":2}'), ['b=2', 'fault: a is not a finite number'])
  t.strictSame(value(`{"a":"${'x'.repeat(4097)}","b":2,"":3}`), [
    'b=2',
    'fault: a is text of 4097 characters, more than 4096 (and 1 more)',
  ])
  t.match(value(`{"${'n'.repeat(300)}":1,"b":2}`), ['b=2', /longer than 256/])
  t.match(value('21.5', `house/${'n'.repeat(300)}`), [/longer than 256/])
})

test('integers beyond 2^53 keep their digits as text', async (t) => {
  t.strictSame(value('9007199254740993'), ['thing="9007199254740993"'])
  t.strictSame(value('9007199254740991'), ['thing=9007199254740991'])
  const leaves = value(
    '{"id":12345678901234567890,"n":[-9007199254740993,9007199254740991],"s":"1234567890123456789012 \\" 5","f":1e20,"p":0.1234567890123456789}',
  )
  t.strictSame(leaves, [
    'id="12345678901234567890"',
    'n.0="-9007199254740993"',
    'n.1=9007199254740991',
    's="1234567890123456789012 \\" 5"',
    'f=100000000000000000000',
    'p=0.12345678901234568',
  ])
})

test('keys that are properties of objects are only names', async (t) => {
  const leaves = value('{"__proto__":{"polluted":1},"constructor":2,"toString":3,"hasOwnProperty":4}')
  t.strictSame(leaves, ['__proto__.polluted=1', 'constructor=2', 'toString=3', 'hasOwnProperty=4'])
  t.equal(({} as Record<string, unknown>)['polluted'], undefined)
  t.strictSame(value('{"a":1,"a":2}'), ['a=2'], 'of equal keys the last counts, as in JSON.parse')
  t.match(decode('__proto__/constructor', '1').readings, [{ device: '__proto__', name: 'constructor' }])
})

test('a fault neither drives a terminal nor repeats the payload', async (t) => {
  const { fault } = decode('x', `{"\u001b[31m${'y'.repeat(10_000)}`)
  t.ok((fault?.length ?? 0) <= 301)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  t.notMatch(fault, /[\u0000-\u001f]/)
  const leaf = decode('x', '{"\\u001b[31m":1e999}')
  t.equal(leaf.fault, '\ufffd[31m is not a finite number')
})
