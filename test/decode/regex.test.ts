import { test } from 'tap'
import { brief } from '../support/decoding.ts'
import { dialectDecoder } from '../support/dialect.ts'

const regex = (patterns: readonly string[], payload: string | Buffer, more: object = {}) =>
  brief(dialectDecoder('regex', { patterns, ...more })(payload))

const CLIMATE = '^T=(?<temperature>\\S+)\\s+H=(?<humidity>\\S+)'

test('named groups are readings, line by line, and the first pattern that matches decides', async (t) => {
  t.strictSame(regex([CLIMATE], 'T=21,5°C  H=40%\r\nT=nan H=41'), [
    'temperature=21.5 Cel',
    'humidity=40 %RH',
    'humidity=41',
    'fault: temperature has no value: nan',
  ])
  t.strictSame(regex([CLIMATE, '(?<word>\\w+)'], 'T=1 H=2\nhello'), ['temperature=1', 'humidity=2', 'word="hello"'])
})

test('a line that nothing matches is a fault, unless the profile expects noise', async (t) => {
  t.strictSame(regex([CLIMATE], 'boot\nT=1 H=2'), ['temperature=1', 'humidity=2', 'fault: no pattern matches: boot'])
  t.strictSame(regex([CLIMATE], 'boot', { unmatched: 'ignore' }), [])
})

test('all matches, the whole payload, upper and lower case, time and text may be asked for', async (t) => {
  t.strictSame(regex(['(?<v>\\d+)'], '1 2 3', { every: true }), ['v=1', 'v=2', 'v=3'])
  t.strictSame(regex(['a=(?<a>\\d+)\\s+b=(?<b>\\d+)'], 'A=1\nB=2', { lines: false, ignoreCase: true }), ['a=1', 'b=2'])
  t.strictSame(regex(['(?<id>\\d+)'], '007', { text: ['id'] }), ['id="007"'])
  const decode = dialectDecoder('regex', { patterns: ['(?<at>\\d+) (?<v>\\d+)'], time: { name: 'at', format: 'unix' } })
  t.strictSame(decode('1795168800 5').readings, [
    { device: 'house/meter', name: 'v', value: 5, timeMs: 1_795_168_800_000 },
  ])
})

test('no payload holds up the gateway, whatever the pattern', async (t) => {
  const decode = dialectDecoder('regex', { patterns: ['^(?<x>(a+)+)$'], lines: false })
  const started = performance.now()
  t.match(decode(`${'a'.repeat(100_000)}!`).fault, /no pattern matches/)
  t.match(decode('a'.repeat(1_048_576)).fault, /characters|too long/)
  t.ok(performance.now() - started < 5_000)
  t.match(regex([CLIMATE], 'x'.repeat(5_000)), [/5000 characters, more than 4096/])
  t.match(regex(['(?<x>y)'], 'x\n'.repeat(9_000)), [/no pattern matches: x \(and 8999 more\)/])
  t.match(regex(['(?<x>z*)'], `${'z '.repeat(2_000)}`, { every: true }), [/too long for the patterns/])
})

test('a pattern that cannot be is refused', async (t) => {
  t.throws(() => regex(['(?=a)'], ''), /looks ahead/)
  t.throws(() => regex(['a+'], ''), /pattern 1 has no named group/)
  t.throws(() => dialectDecoder('regex', {}), /lacks the key patterns/)
})
