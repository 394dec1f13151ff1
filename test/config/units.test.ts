import fc from 'fast-check'
import { test } from 'tap'
import { isLoopback, listenersCollide, parseListen } from '../../src/config/listen.ts'
import { nearest } from '../../src/config/nearest.ts'
import { durationPattern, parseDuration, parseSize, sizePattern } from '../../src/config/units.ts'

test('durations have a unit', (t) => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['5min', 300_000],
    ['1h', 3_600_000],
    ['30d', 2_592_000_000],
    ['2w', 1_209_600_000],
    ['0s', 0],
    ['1.5s', 1_500],
    ['10', undefined],
    ['', undefined],
    ['-1s', undefined],
    ['1 s', undefined],
    ['1S', undefined],
    ['1e3s', undefined],
    ['s', undefined],
    ['1s ', undefined],
    ['1constructor', undefined],
    ['999999999999999w', undefined],
  ]
  for (const [text, expected] of cases) t.equal(parseDuration(text), expected, text)
  t.end()
})

test('sizes have a unit, decimal or binary', (t) => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['512B', 512],
    ['64KiB', 65_536],
    ['64kB', 64_000],
    ['64KB', 64_000],
    ['256MB', 256_000_000],
    ['1GiB', 1_073_741_824],
    ['1.5KiB', 1_536],
    ['2TiB', 2 ** 41],
    ['100', undefined],
    ['1K', undefined],
    ['1 GiB', undefined],
    ['999999999999999TiB', undefined],
  ]
  for (const [text, expected] of cases) t.equal(parseSize(text), expected, text)
  t.end()
})

test('the patterns for editors accept what the program accepts', (t) => {
  const number = fc.oneof(fc.integer({ min: 0, max: 4_000 }).map(String), fc.constantFrom('1.5', '0.25', '', '-1', 'x'))
  const unit = fc.constantFrom('ms', 's', 'm', 'min', 'h', 'd', 'w', 'B', 'kB', 'KiB', 'MB', 'GiB', 'TiB', '', 'S', 'b')
  fc.assert(
    fc.property(number, unit, (digits, letters) => {
      const text = digits + letters
      const agrees = (pattern: string, parsed: number | undefined) =>
        new RegExp(`^(${pattern})$`).test(text) === (parsed !== undefined)
      return agrees(durationPattern, parseDuration(text)) && agrees(sizePattern, parseSize(text))
    }),
  )
  t.end()
})

test('the nearest word is found only where it can be meant', (t) => {
  const known = ['commitDelay', 'maxBytes', 'maxAge', 'minFree', 'whenFull']
  t.equal(nearest('comitDelay', known), 'commitDelay')
  t.equal(nearest('maxbytes', known), 'maxBytes')
  t.equal(nearest('maxAeg', known), 'maxAge')
  t.equal(nearest('something', known), undefined)
  t.equal(nearest('x', known), undefined)
  t.equal(nearest('', known), undefined)
  t.equal(nearest('x'.repeat(100_000), known), undefined)
  t.end()
})

test('addresses to listen on are taken apart, and what is none is refused', (t) => {
  t.strictSame(parseListen('127.0.0.1:1883'), { host: '127.0.0.1', port: 1883 })
  t.strictSame(parseListen('[::1]:0'), { host: '::1', port: 0 })
  t.strictSame(parseListen('gateway.local:65535'), { host: 'gateway.local', port: 65_535 })
  for (const text of [
    '',
    ':1883',
    '1883',
    'h:',
    'h:65536',
    '::1:1883',
    '[h]:1',
    '[1.2.3.4]:1',
    'h:1:2',
    'a b:1',
    'h/x:1',
  ])
    t.equal(parseListen(text), undefined, text)
  t.end()
})

test('only addresses of this machine are loopback', (t) => {
  for (const host of ['127.0.0.1', '127.255.0.1', '::1', 'localhost', 'LOCALHOST']) t.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example.com', '128.0.0.1', ''])
    t.notOk(isLoopback(host), host)
  t.end()
})

test('listeners collide on the same port of the same interface', (t) => {
  const collide = (one: string, other: string) => {
    const [a, b] = [parseListen(one), parseListen(other)]
    return a !== undefined && b !== undefined && listenersCollide(a, b)
  }
  t.ok(collide('127.0.0.1:1', '127.0.0.1:1'))
  t.ok(collide('0.0.0.0:1', '127.0.0.1:1'))
  t.ok(collide('[::]:1', '10.0.0.1:1'))
  t.notOk(collide('127.0.0.1:1', '127.0.0.1:2'))
  t.notOk(collide('10.0.0.1:1', '10.0.0.2:1'))
  t.notOk(collide('127.0.0.1:0', '127.0.0.1:0'))
  t.end()
})
