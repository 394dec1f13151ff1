// InfluxDB line protocol: what its reference says, what writers get wrong, and that all that is written is read again.

import fc from 'fast-check'
import { test } from 'tap'
import type { DecoderInput } from '../../src/core/decoder-contract.ts'
import { plugin } from '../../src/decode/dialects/line-protocol.ts'
import { parseLines } from '../../src/decode/line-protocol.ts'
import { isPrecision } from '../../src/decode/point-readings.ts'

const RUNS = Number(process.env['TIDEGATE_FUZZ_RUNS'] ?? 2_000)
const NOW = Date.UTC(2026, 10, 20, 10)

const decode = (text: string, options: object = {}, captures: Record<string, string> = {}) => {
  const input: DecoderInput = {
    topic: 't',
    payload: Buffer.from(text),
    source: 's',
    receivedAt: NOW,
    device: 'fallback',
    captures: new Map(Object.entries(captures)),
    description: () => undefined,
  }
  const decoded = plugin.create(options).decode(input)
  return 'readings' in decoded ? decoded : { readings: decoded, fault: undefined }
}

const values = (text: string) => decode(text).readings.map(({ value }) => value)

test('each type of a value is read as its suffix says', async (t) => {
  t.strictSame(values('m a=1,b=-1.5e3,c=.5,d=+2.,e=7i,f=-7i,g=7u,h="x"'), [1, -1500, 0.5, 2, 7, -7, 7, 'x'])
  t.strictSame(values('m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE'), [
    ...Array.from({ length: 5 }, () => true),
    ...Array.from({ length: 5 }, () => false),
  ])
  t.strictSame(values('m a=9007199254740991i,b=9007199254740993i,c=-9223372036854775808i,d=18446744073709551615u'), [
    9007199254740991,
    '9007199254740993',
    '-9223372036854775808',
    '18446744073709551615',
  ])
  for (const bad of [
    ...['9223372036854775808i', '-9223372036854775809i', '18446744073709551616u', '-1u', '1.5i', '1e400', 'NaN', 'inf'],
    ...[
      'tRUE',
      'yes',
      '',
      '0x10',
      '1,',
      '1_000',
      '--1',
      '.',
      'e5',
      "'x'",
      '"x"y',
      '1 2 3',
      '1 1.5',
      '1 12345678901234567890',
    ],
  ]) {
    t.match(decode(`m a=${bad}`), { readings: [], fault: /^line 1: / }, bad)
  }
})

test('a backslash escapes what would end a word, and is a backslash elsewhere', async (t) => {
  const [point] = parseLines(String.raw`my\ m\,x\=y,t\ a\,g\==v\ a\,l\=\ue f\=k="a \"b\" \\ \n" 5`).points
  t.match(point, {
    measurement: String.raw`my m,x\=y`,
    tags: new Map([['t a,g=', String.raw`v a,l=\ue`]]),
    fields: [['f=k', String.raw`a "b" \ \n`]],
    timestamp: '5',
  })
})

test('empty lines, comments, carriage returns, tabs and texts with line ends keep the count of lines right', async (t) => {
  const text = '\r\n# a=b c=1\n  m\ta="1\n2",b=2\t 7 \r\n\nbad line\nm c="x\r\ny"\r\nalso bad\n'
  const { points, faults } = parseLines(text)
  t.same(
    points.map(({ line, fields }) => [line, fields]),
    [
      [
        3,
        [
          ['a', '1\n2'],
          ['b', 2],
        ],
      ],
      [7, [['c', 'x\r\ny']]],
    ],
  )
  t.same(
    faults.map(({ line }) => line),
    [6, 9],
  )
  t.equal(text.slice(points[0]?.start, points[0]?.end), 'm\ta="1\n2",b=2\t 7 ')
})

test('a line that is none is a fault with its number, and the others count', async (t) => {
  const lines = [
    'm a=1',
    'm',
    ',t=1 a=1',
    'm,t a=1',
    'm,=v a=1',
    'm,t= a=1',
    'm,t=1,t=2 a=1',
    'm  =1',
    'm a',
    'm a="x',
    'm b=2',
  ]
  const { readings, fault } = decode(lines.join('\n'))
  t.same(
    readings.map(({ value }) => value),
    [1, 2],
  )
  t.equal(fault, 'line 2: there are no fields (and 8 more lines)')
  const { faults } = parseLines(lines.join('\n'))
  t.match(
    faults.map(({ reason }) => reason),
    [
      /no fields/,
      /no measurement/,
      /tag 't' has no value/,
      /no name/,
      /no value/,
      /twice/,
      /field has no name/,
      /field 'a' has no value/,
    ],
  )
})

test('a series that is too long for the name of a device is a fault', async (t) => {
  const tags = (count: number) => Array.from({ length: count }, (_, index) => `,t${index}=${'x'.repeat(200)}`).join('')
  t.equal(decode(`m${tags(4)} a=1`).readings.length, 1)
  t.match(decode(`m${tags(6)} a=1\nm a=2`), { readings: [{ value: 2 }], fault: /^line 1: the series is longer/ })
  t.match(decode(`${'m'.repeat(257)} a=1`), { readings: [], fault: /longer than 256/ })
  t.match(decode(`m ${'f'.repeat(257)}=1`), { readings: [], fault: /longer than 256/ })
})

test('the device is the series, or what a template makes of it', async (t) => {
  const line = 'cpu,host=pi,cpu=cpu/0,zone=a\\ b+ usage=1'
  const device = (options: object) => decode(line, options).readings[0]?.device
  t.equal(device({}), 'cpu/cpu%2F0/pi/a b%2B')
  t.equal(device({ device: '{measurement}/{tag.host}' }), 'cpu/pi')
  t.equal(device({ device: 'x/{tag.none}/{tag.host}/' }), 'x/pi')
  t.equal(device({ device: '{tag.none}' }), 'fallback')
  t.match(decode(line, { name: '{measurement}.{field}.{tag.cpu}' }).readings, [{ name: 'cpu.usage.cpu/0' }])
  t.match(decode('__proto__,constructor=__proto__ __proto__=1').readings, [
    { device: '__proto__/__proto__', name: '__proto__', value: 1 },
  ])
})

test('times are read in their precision, down to microseconds, and those of a clock that was never set are left out', async (t) => {
  const timeMs = (digits: string, precision?: string) =>
    decode(`m a=1 ${digits}`, {}, precision === undefined ? {} : { precision }).readings[0]?.timeMs
  t.equal(timeMs('1795168800123456789'), 1795168800123.456)
  t.equal(timeMs('1795168800123456', 'us'), 1795168800123.456)
  t.equal(timeMs('1795168800123', 'ms'), 1795168800123)
  t.equal(timeMs('1795168800', 's'), 1795168800000)
  t.equal(timeMs('29919480', 'm'), 1795168800000)
  t.equal(timeMs('498658', 'h'), 1795168800000)
  t.equal(timeMs('1795168800'), undefined, 'seconds taken for nanoseconds')
  t.equal(timeMs('12', 's'), undefined)
  t.equal(timeMs('-1'), undefined)
  t.equal(timeMs('0'), undefined)
  t.equal(timeMs(''), undefined)
  t.equal(decode('m a=1 1795168800', { precision: 's' }, { precision: 'ns' }).readings[0]?.timeMs, 1795168800000)
  t.ok(['ns', 'h'].every(isPrecision))
  t.notOk(isPrecision('d'))
})

test('hostile text costs little', async (t) => {
  for (const text of [
    'a b="\n'.repeat(150_000),
    'a b="\\\n'.repeat(140_000),
    'a,'.repeat(500_000),
    `a ${'b=1,'.repeat(250_000)}`,
    `a b="x\n${'\\"'.repeat(500_000)}`,
    'a b=1 \n'.repeat(140_000),
    '\\,'.repeat(500_000),
    '\r'.repeat(1_000_000),
    '#\n'.repeat(500_000),
    `a b=${'9'.repeat(1_000_000)}`,
  ]) {
    const started = performance.now()
    parseLines(text)
    const elapsedMs = performance.now() - started
    t.ok(elapsedMs < 1_500, `${JSON.stringify(text.slice(0, 12))} took ${elapsedMs} ms`)
  }
})

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is left out
const word = fc.string({ minLength: 1, maxLength: 12 }).map((text) => text.replace(/[\u0000-\u001f\\]/g, '_'))
const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => [String(one), one === 0 ? 0 : one] as const),
  fc.boolean().map((one) => [String(one), one] as const),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((one) => {
    const number = Number(one)
    return [`${one}i`, Number.isSafeInteger(number) ? number : String(one)] as const
  }),
  fc.string({ maxLength: 30 }).map((one) => [`"${one.replace(/[\\"]/g, '\\$&')}"`, one] as const),
)
const escaped = (text: string) => text.replace(/[,= ]/g, '\\$&')
const point = fc.record({
  measurement: word.filter((one) => !one.startsWith('#')),
  tags: fc.uniqueArray(fc.tuple(word, word), { maxLength: 4, selector: ([key]) => key }),
  fields: fc.array(fc.tuple(word, value), { minLength: 1, maxLength: 4 }),
  timestamp: fc.option(fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }), { nil: undefined }),
})

test('every point that is written is read again', async (t) => {
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 5 }), (points) => {
      const text = points
        .map(({ measurement, tags, fields, timestamp }) => {
          const series = [
            measurement.replace(/[, ]/g, '\\$&'),
            ...tags.map(([key, tag]) => `${escaped(key)}=${escaped(tag)}`),
          ]
          const set = fields.map(([key, [written]]) => `${escaped(key)}=${written}`)
          return `${series.join(',')} ${set.join(',')}${timestamp === undefined ? '' : ` ${timestamp}`}`
        })
        .join('\n')
      const { points: found, faults } = parseLines(text)
      if (faults.length > 0) throw new Error(`${faults[0]?.reason} in ${text}`)
      const read = found.map(({ measurement, tags, fields, timestamp }) => ({
        measurement,
        tags: [...tags],
        fields,
        timestamp,
      }))
      const written = points.map(({ measurement, tags, fields, timestamp }) => ({
        measurement,
        tags,
        fields: fields.map(([key, [, own]]) => [key, own]),
        timestamp: timestamp === undefined ? undefined : String(timestamp),
      }))
      if (JSON.stringify(read) !== JSON.stringify(written))
        throw new Error(`${JSON.stringify(read)}\n${JSON.stringify(written)}`)
    }),
    { numRuns: RUNS },
  )
  t.pass()
})

test('arbitrary text is points or faults', async (t) => {
  const pieces = fc.constantFrom('m', ',', '=', ' ', '"', '\\', '\n', '\r', '#', '1', 'i', 't', 'é', '\0', '-', '.')
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 60 }).map((list) => list.join('')),
      (text) => {
        const { points, faultCount } = parseLines(text)
        for (const one of points)
          if (one.fields.length === 0 || one.measurement === '' || one.end <= one.start) throw new Error(text)
        if (points.length + faultCount > text.split('\n').length) throw new Error(text)
      },
    ),
    { numRuns: RUNS },
  )
  t.pass()
})
