import fc from 'fast-check'
import { test } from 'tap'
import type { Reading } from '../../src/core/contract.ts'
import type { ShapeRule } from '../../src/core/shape.ts'
import { Shaper } from '../../src/decode/shaper.ts'

const reading = (value: Reading['value'], more: Partial<Reading> = {}): Reading => ({
  device: 'hall',
  name: 'temperature',
  value,
  ...more,
})

/** What passes of `[time in seconds, value]`, as `time=value`. */
const passing = (rules: readonly ShapeRule[], values: readonly (readonly [number, Reading['value']])[]) => {
  const shaper = new Shaper(rules)
  return values.flatMap(([seconds, value]) =>
    shaper.shape([reading(value)], seconds * 1_000).map((one) => `${seconds}=${one.value}`),
  )
}

test('a value within the deadband of the one that passed last does not pass, so a slow drift does', async (t) => {
  const drift: [number, number][] = [0, 0.3, 0.6, 0.9, 1.2, 1.0, 0.2].map((value, index) => [index, value])
  t.strictSame(passing([{ deadband: 0.5 }], drift), ['0=0', '2=0.6', '4=1.2', '6=0.2'])
  t.strictSame(passing([{ deadband: 0 }], drift.slice(0, 2)), ['0=0', '1=0.3'])
})

test('a deadband in per cent is a part of the value that passed last', async (t) => {
  const values = [100, 101, 102.5, -100, -101].map((value, index): [number, number] => [index, value])
  t.strictSame(passing([{ deadband: '2%' }], values), ['0=100', '2=102.5', '3=-100'])
})

test('only changes pass, of texts and truths, too, and the same once in a heartbeat', async (t) => {
  const values: [number, Reading['value']][] = [
    [0, 'on'],
    [10, 'on'],
    [20, 'off'],
    [30, 'off'],
    [80, 'off'],
  ]
  t.strictSame(passing([{ changeOnly: true, heartbeat: 60_000 }], values), ['0=on', '20=off', '80=off'])
  t.strictSame(passing([{ deadband: 5 }], values).length, 2, 'a deadband takes texts as they are')
})

test('at most one value passes in so long', async (t) => {
  const values = Array.from({ length: 25 }, (_, index): [number, number] => [index, index])
  t.strictSame(passing([{ every: 10_000 }], values), ['0=0', '10=10', '20=20'])
})

test('a window gives its figures when it is over, with the unit, at its end', async (t) => {
  const shaper = new Shaper([{ window: { per: 60_000, of: ['min', 'mean', 'max', 'first', 'last', 'sum', 'count'] } }])
  const start = Date.UTC(2026, 10, 20, 10)
  for (const [seconds, value] of [
    [1, 20],
    [20, 23],
    [59, 21.5],
  ] as const)
    t.strictSame(shaper.shape([reading(value, { unit: 'Cel' })], start + seconds * 1_000), [])
  const out = shaper.shape([reading(30, { unit: 'Cel' })], start + 61_000)
  t.strictSame(
    out.map(({ name, value, unit }) => [name, value, unit]),
    [
      ['temperature.min', 20, 'Cel'],
      ['temperature.mean', 21.5, 'Cel'],
      ['temperature.max', 23, 'Cel'],
      ['temperature.first', 20, 'Cel'],
      ['temperature.last', 21.5, 'Cel'],
      ['temperature.sum', 64.5, 'Cel'],
      ['temperature.count', 3, undefined],
    ],
  )
  t.ok(out.every(({ timeMs }) => timeMs === start + 60_000))
})

test('the window of a device that fell silent ends with the next message of anybody', async (t) => {
  const shaper = new Shaper([{ devices: ['hall'], window: { per: 10_000, of: ['mean'] } }])
  shaper.shape([reading(4)], 1_000)
  const other = reading(1, { device: 'attic' })
  t.strictSame(shaper.shape([other], 9_999), [other])
  t.match(shaper.shape([other], 10_000), [{ device: 'hall', name: 'temperature.mean', value: 4 }, other])
  t.strictSame(shaper.shape([other], 30_000), [other])
})

test('what comes late passes as it is, and takes no part in windows', async (t) => {
  const shaper = new Shaper([{ window: { per: 10_000, of: ['max'] } }])
  const late = reading(99, { timeMs: 5_000 })
  const historical = reading(98, { timeMs: 100_000, historical: true })
  t.strictSame(shaper.shape([reading(1), late, historical], 100_000), [late, historical])
  t.match(shaper.shape([], 110_000), [{ value: 1 }])
})

test('a clock that was set back ends a window, and lets the next value pass', async (t) => {
  const shaper = new Shaper([{ window: { per: 10_000, of: ['max'] } }])
  shaper.shape([reading(1)], 1_000_000)
  t.match(shaper.shape([], 500_000), [{ value: 1 }])
  t.strictSame(
    passing(
      [{ every: 60_000 }],
      [
        [1_000, 1],
        [1, 2],
        [2, 3],
      ],
    ),
    ['1000=1', '1=2'],
  )
})

test('names and units become what the rule says; a unit of another quantity stays', async (t) => {
  const shaper = new Shaper([
    { names: ['power'], unit: 'kW', rename: 'house.{name}' },
    { names: ['temperature'], unit: 'K' },
    { names: ['**.wind'], unit: 'm/s' },
    { names: ['text'], unit: 'W' },
  ])
  const out = shaper.shape(
    [
      reading(1_500, { name: 'power', unit: 'W' }),
      reading(20, { unit: 'Cel' }),
      reading(36, { name: 'roof.wind', unit: 'km/h' }),
      reading(5, { name: 'text', unit: 'V' }),
    ],
    0,
  )
  t.match(out, [
    { name: 'house.power', value: 1.5, unit: 'kW' },
    { value: 293.15, unit: 'K' },
    { value: 10, unit: 'm/s' },
    { value: 5, unit: 'V' },
  ])
})

test('the first rule that fits decides, and what none fits passes', async (t) => {
  const shaper = new Shaper([
    { devices: ['hall'], names: ['rssi'], drop: true },
    { devices: ['+'], names: ['*'], rename: 'x' },
  ])
  const out = shaper.shape([reading(1, { name: 'rssi' }), reading(2), reading(3, { device: 'a/b' })], 0)
  t.strictSame(
    out.map(({ name, value }) => [name, value]),
    [
      ['x', 2],
      ['temperature', 3],
    ],
  )
})

test('however a stretch is cut into batches that are folded again or not, the same passes', async (t) => {
  const rules: readonly ShapeRule[] = [
    { names: ['w'], window: { per: 5_000, of: ['mean', 'count'] } },
    { names: ['d'], deadband: 2, heartbeat: 9_000 },
    { names: ['e'], every: 3_000 },
  ]
  const step = fc.record({
    name: fc.constantFrom('w', 'd', 'e', 'x'),
    device: fc.constantFrom('a', 'b'),
    value: fc.integer({ min: 0, max: 9 }),
    wait: fc.integer({ min: 0, max: 4_000 }),
  })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.infiniteStream(fc.tuple(fc.integer({ min: 1, max: 7 }), fc.nat(7))),
      (steps, cuts) => {
        let atMs = 0
        const messages = steps.map(({ name, device, value, wait }) => {
          atMs += wait
          return { atMs, readings: [{ device, name, value }] }
        })
        const whole = new Shaper(rules)
        const expected = messages.flatMap((message) => whole.shape(message.readings, message.atMs))
        const committed = new Shaper(rules)
        const passed: Reading[] = []
        for (let from = 0; from < messages.length; ) {
          const [size, kept] = cuts.next().value ?? [1, 1]
          // A batch of which only a part is settled: the fork is given up, and that part folded again.
          const attempt = committed.fork()
          for (const message of messages.slice(from, from + size)) attempt.shape(message.readings, message.atMs)
          const settled = committed.fork()
          const end = Math.min(messages.length, from + Math.max(1, Math.min(kept, size)))
          for (const message of messages.slice(from, end)) passed.push(...settled.shape(message.readings, message.atMs))
          settled.merge()
          from = end
        }
        t.strictSame(passed, expected)
      },
    ),
    { numRuns: 200 },
  )
})

test('more values than are followed pass as they are', async (t) => {
  const shaper = new Shaper([{ changeOnly: true }])
  const count = 60_000
  let passed = 0
  for (let round = 0; round < 2; round++)
    for (let index = 0; index < count; index++)
      passed += shaper.shape([reading(1, { device: `d${index}` })], round).length
  t.equal(passed, count + (count - 50_000))
})
