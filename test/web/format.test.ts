import { test } from 'tap'
import { brokerHost } from '../../src/web/broker-host.ts'
import {
  ageText,
  clockText,
  countOf,
  digitGroups,
  isoText,
  numberText,
  shortText,
  sizeText,
} from '../../src/web/format.ts'
import { humanUnit } from '../../src/web/units.ts'

test('a number is written so that it can be read back, without the noise of binary arithmetic', async (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [21.5, '21.5'],
    [0, '0'],
    [-40, '-40'],
    [0.1 + 0.2, '0.3'],
    [2.3000000000000003, '2.3'],
    [Math.fround(21.4), '21.4'],
    [Math.fround(1013.2512), '1013.2512'],
    [1234567.891, '1234567.891'],
    [9007199254740991, '9007199254740991'],
    [52.520008123, '52.520008123'],
    [1 / 3, '0.3333333333333333'],
    [1e21, '1e+21'],
    [1.5e-7, '1.5e-7'],
  ]
  for (const [value, text] of cases) t.equal(numberText(value), text)
})

test('every float32 is written in at most nine digits and none is changed', async (t) => {
  const wrong: string[] = []
  for (let index = 0; index < 2_000; index++) {
    const value = Math.fround((Math.random() - 0.5) * 10 ** Math.floor(Math.random() * 8 - 2))
    const text = numberText(value)
    const digits = text.replace(/e.*|[-.]/g, '').replace(/^0+/, '')
    if (Math.fround(Number(text)) !== value || digits.length > 9) wrong.push(`${value} became ${text}`)
  }
  t.same(wrong, [])
})

test('digits are grouped from five on, and together they are the number again', async (t) => {
  t.same(digitGroups('1234'), ['1234'])
  t.same(digitGroups('12345'), ['12', '345'])
  t.same(digitGroups('-1234567.8912'), ['-1', '234', '567.8912'])
  t.same(digitGroups('123456'), ['123', '456'])
  t.same(digitGroups('1e+21'), ['1e+21'])
  t.same(digitGroups('0.123456'), ['0.123456'])
})

test('an age grows from seconds to days and is never negative', async (t) => {
  const second = 1_000
  const cases: readonly (readonly [number, string])[] = [
    [-5 * second, '0 s'],
    [999, '0 s'],
    [3 * second, '3 s'],
    [59.9 * second, '59 s'],
    [60 * second, '1 min'],
    [3_599 * second, '59 min'],
    [3_600 * second, '1 h'],
    [47 * 3_600 * second, '47 h'],
    [48 * 3_600 * second, '2 d'],
  ]
  for (const [ms, text] of cases) t.equal(ageText(ms), text)
})

test('long text is cut with an ellipsis, never inside a character', async (t) => {
  t.equal(shortText('x'.repeat(300)), 'x'.repeat(300))
  t.equal(shortText('x'.repeat(301)), `${'x'.repeat(300)}…`)
  const emoji = `${'x'.repeat(299)}🌡 and more`
  t.equal(shortText(emoji), `${'x'.repeat(299)}…`)
})

test('sizes, counts and times are written for people', async (t) => {
  t.equal(sizeText(512), '512 B')
  t.equal(sizeText(1_536), '1.5 KiB')
  t.equal(sizeText(256 * 2 ** 20), '256 MiB')
  t.equal(countOf(1, 'message'), '1 message')
  t.equal(countOf(12_043, 'message'), '12,043 messages')
  const noon = new Date(2026, 10, 20, 12, 3, 11).getTime()
  t.equal(clockText(noon, noon + 1_000), '12:03:11')
  t.equal(clockText(noon, noon + 86_400_000), '20 Nov 2026, 12:03:11')
  t.equal(isoText(Number.NaN), '')
})

test('SenML units are shown as people write them, unknown ones as they came', async (t) => {
  t.equal(humanUnit('Cel'), '°C')
  t.equal(humanUnit('%RH'), '%')
  t.equal(humanUnit('lux'), 'lx')
  t.equal(humanUnit('kWh'), 'kWh')
  t.equal(humanUnit('furlong'), 'furlong')
  t.equal(humanUnit('__proto__'), '__proto__')
})

test('the address to publish to is the one by which the page was reached, where the broker listens everywhere', async (t) => {
  t.same(brokerHost('127.0.0.1:1883', 'localhost'), { host: '127.0.0.1', port: 1883, localOnly: true })
  t.same(brokerHost('0.0.0.0:1884', 'gateway.lan'), { host: 'gateway.lan', port: 1884, localOnly: false })
  t.same(brokerHost('[::]:1883', '[fe80::1]'), { host: 'fe80::1', port: 1883, localOnly: false })
  t.same(brokerHost('[::1]:1883', 'x'), { host: '::1', port: 1883, localOnly: true })
  t.same(brokerHost('mqtt://192.168.1.5:1883', 'x'), { host: '192.168.1.5', port: 1883, localOnly: false })
  t.equal(brokerHost(undefined, 'x'), undefined)
  t.equal(brokerHost('nonsense', 'x'), undefined)
})
