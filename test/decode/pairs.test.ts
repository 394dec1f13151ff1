import { test } from 'tap'
import { brief } from '../support/decoding.ts'
import { dialectDecoder } from '../support/dialect.ts'

const pairs = (payload: string | Buffer, options: Readonly<Record<string, unknown>> = {}) =>
  brief(dialectDecoder('pairs', options)(payload))

test('what the Arduino Serial Plotter reads is read, with or without labels', async (t) => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    'temp:21.5,hum:40': ['temp=21.5', 'hum=40'],
    'temp:21.5\thum:40': ['temp=21.5', 'hum=40'],
    'temp:21.5 hum:40': ['temp=21.5', 'hum=40'],
    'Sensor 1:23,Sensor 2:45\r\n': ['Sensor 1=23', 'Sensor 2=45'],
    'Sensor 1:23 Sensor 2:45': ['Sensor 1=23', 'Sensor 2=45'],
    '1,2.5,-3': ['value1=1', 'value2=2.5', 'value3=-3'],
    '1 2 3': ['value1=1', 'value2=2', 'value3=3'],
    'a:1,2': ['a=1', 'value2=2'],
    'a:1\na:2': ['a=1', 'a=2'],
    'a:': [],
    'a:nan,b:ovf,c:1': ['c=1', 'fault: a has no value: nan (and 1 more)'],
  }
  for (const [payload, expected] of Object.entries(cases)) t.strictSame(pairs(payload), expected, payload)
})

test('what sketches and scripts print is read, too', async (t) => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    'temp=21.5 hum=40': ['temp=21.5', 'hum=40'],
    'temp = 21.5, hum = 40': ['temp=21.5', 'hum=40'],
    'temp: 21.5 C  hum: 40 %': ['temp=21.5 Cel', 'hum=40 %RH'],
    'Temperature: 21.50 °C, Humidity: 40.10 %': ['Temperature=21.5 Cel', 'Humidity=40.1 %RH'],
    'state:on;label="a b, c=d";x=1': ['state=true', 'label="a b, c=d"', 'x=1'],
    'at=12:34:56,x:1': ['at="12:34:56"', 'x=1'],
    'msg: all 5 is well t: 3': ['msg="all 5 is well"', 't=3'],
    '__proto__:1,constructor:2': ['__proto__=1', 'constructor=2'],
    'a : 1 b : 2': ['a=1', 'b=2'],
    'x=": y=1': ['x="\\":"', 'y=1'],
  }
  for (const [payload, expected] of Object.entries(cases)) t.strictSame(pairs(payload), expected, payload)
})

test('separators, names, decimal comma and time may be said', async (t) => {
  t.strictSame(pairs('t:21,5 h:40', { decimal: ',' }), ['t=21.5', 'h=40'])
  t.strictSame(pairs('a=1&b=2', { separator: '&' }), ['a=1', 'b=2'])
  t.strictSame(pairs('a>1|b>2', { separator: '|', assign: '>' }), ['a=1', 'b=2'])
  t.strictSame(pairs('a: 1\nb: 2 V', { separator: 'line' }), ['a=1', 'b=2 V'])
  t.strictSame(pairs('7 8 9', { names: ['x', '', 'z'] }), ['x=7', 'z=9'])
  t.strictSame(pairs('id:007', { text: ['id'] }), ['id="007"'])
  t.strictSame(pairs('# hello\na:1', { comment: '#' }), ['a=1'])
  const { readings } = dialectDecoder('pairs', { time: { name: 'ts', format: 'unix' }, separator: 'line' })(
    'ts=1795168800\na=1',
  )
  t.strictSame(readings, [{ device: 'house/meter', name: 'a', value: 1, timeMs: 1_795_168_800_000 }])
})

test('what is no text is a fault', async (t) => {
  t.match(pairs(Buffer.from([1, 2, 3])), [/binary/])
  t.match(pairs(':1'), [/no name/])
  t.match(pairs('a:1,'.repeat(6_000)), [/more than 5000 values/])
})
