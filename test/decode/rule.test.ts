import { test } from 'tap'
import type { FieldRule, ProfileRule } from '../../src/core/profile.ts'
import { createRouter } from '../../src/decode/router.ts'
import { brief, messageOn, profileOf } from '../support/decoding.ts'

const decodeBy = (rule: Omit<ProfileRule, 'topics'>, payload: string, topic = 'd/one') =>
  createRouter([profileOf('p', [{ topics: ['d/{device...}'], ...rule }])]).decode(messageOn(topic, payload))

const fieldsOn = (fields: readonly FieldRule[], value: unknown) =>
  brief(decodeBy({ decoder: 'json', fields }, JSON.stringify(value)))

test('globs match parts and runs of parts', async (t) => {
  const matches = (glob: string, name: string) =>
    brief(decodeBy({ decoder: 'scalar', name, fields: [{ match: [glob], ignore: true }] }, '1')).length === 0
  const yes = [
    ['a', 'a'],
    ['*', 'a'],
    ['a*', 'abc'],
    ['a.*', 'a.b'],
    ['**.T*', 'T1'],
    ['**.T*', 'x.y.T1'],
    ['a.**', 'a'],
    ['a.**', 'a.b.c'],
    ['a.**.z', 'a.z'],
    ['a.**.z', 'a.b.c.z'],
    ['**', 'a.b'],
    ['PM2.5', 'PM2.5'],
  ] as const
  const no = [
    ['a', 'ab'],
    ['*', 'a.b'],
    ['a.*', 'a'],
    ['**.T*', 'x.T.y'],
    ['a.**', 'ab'],
    ['a.**.z', 'az'],
    ['a.b', 'axb'],
    ['PM2.5', 'PM2x5'],
  ] as const
  for (const [glob, name] of yes) t.ok(matches(glob, name), `${glob} matches ${name}`)
  for (const [glob, name] of no) t.notOk(matches(glob, name), `${glob} does not match ${name}`)
})

test('the first field that matches decides, those of the rule before those of the profile', async (t) => {
  const profile = profileOf('p', [{ topics: ['{device}'], decoder: 'json', fields: [{ match: ['a'], unit: 'V' }] }], {
    fields: [
      { match: ['*'], unit: 'A' },
      { match: ['b'], unit: 'W' },
    ],
  })
  t.strictSame(brief(createRouter([profile]).decode(messageOn('x', '{"a":1,"b":2}'))), ['a=1 V', 'b=2 A'])
})

test('units come from the field, or from a text beside the value', async (t) => {
  const field: FieldRule = { match: ['t'], unit: 'Cel', unitFrom: 'u' }
  t.strictSame(fieldsOn([field], { t: 77, u: 'F' }), ['t=25 Cel', 'u="F"'])
  t.strictSame(fieldsOn([field], { t: 25, u: 'C' }), ['t=25 Cel', 'u="C"'])
  t.strictSame(fieldsOn([field], { t: 25, u: 'what' }), ['t=25 Cel', 'u="what"'])
  t.strictSame(fieldsOn([field], { t: 25 }), ['t=25 Cel'])
  t.strictSame(fieldsOn([field], { t: 'warm' }), ['t="warm"'], 'a text has no unit')
})

test('types turn values into what they should be, or are faults', async (t) => {
  const as = (type: FieldRule['type'], value: unknown) =>
    fieldsOn([{ match: ['v'], ...(type === undefined ? {} : { type }) }], { v: value })
  t.strictSame(as('number', '21,5'), ['v=21.5'])
  t.strictSame(as('number', 'warm'), ['fault: v: "warm" is no number'])
  t.strictSame(as('number', true), ['fault: v: true is no number'])
  t.strictSame(as('string', 21.5), ['v="21.5"'])
  t.strictSame(as('boolean', 1), ['v=true'])
  t.strictSame(as('boolean', 'off'), ['v=false'])
  t.strictSame(as('boolean', 2), ['fault: v: 2 is no boolean'])
})

test('numeric strings are numbers where the profile says so, identifiers are not', async (t) => {
  const numbers = (value: string) => brief(decodeBy({ decoder: 'json', numbers: true }, JSON.stringify({ v: value })))
  t.strictSame(numbers('21.5'), ['v=21.5'])
  t.strictSame(numbers('-3'), ['v=-3'])
  t.strictSame(numbers('0.5'), ['v=0.5'])
  for (const text of ['007', '01191E79190', '1e5', '21.5 C', '', '12345678901234567890', '0x10'])
    t.strictSame(numbers(text), [`v=${JSON.stringify(text)}`])
  t.strictSame(brief(decodeBy({ decoder: 'json', numbers: true }, '{"v":12345678901234567890}')), [
    'v="12345678901234567890"',
  ])
})

test('scale, offset and range make a value credible', async (t) => {
  t.strictSame(fieldsOn([{ match: ['v'], scale: 0.1, offset: -40 }], { v: 655 }), ['v=25.5'])
  const field: FieldRule = { match: ['v'], range: [-40, 85] }
  t.strictSame(fieldsOn([field], { v: 85, w: 1 }), ['v=85', 'w=1'])
  t.strictSame(fieldsOn([field], { v: 85.1, w: 1 }), ['w=1', 'fault: v: 85.1 is outside -40 to 85'])
  t.strictSame(fieldsOn([{ match: ['v'], scale: 1e300 }], { v: 1e300 }), ['fault: v is not a finite number'])
  t.strictSame(fieldsOn([{ match: ['v'], unit: 'V' }], { v: 1 }), ['v=1 V'])
})

test('texts stand for values, and some for none', async (t) => {
  const values = { open: true, closed: false, '3': 'three' }
  t.strictSame(fieldsOn([{ match: ['v'], values }], { v: 'open' }), ['v=true'])
  t.strictSame(fieldsOn([{ match: ['v'], values }], { v: 3 }), ['v="three"'])
  t.strictSame(fieldsOn([{ match: ['v'], values }], { v: 'toString' }), ['v="toString"'])
  t.strictSame(brief(decodeBy({ decoder: 'generic', missing: ['nan', ''] }, '{"a":"nan","b":"","c":"x"}')), ['c="x"'])
  t.strictSame(brief(decodeBy({ decoder: 'scalar', missing: ['nan'] }, ' nan ')), [])
  t.match(brief(decodeBy({ decoder: 'scalar' }, 'nan')), [/^fault: .*no value/])
  t.strictSame(brief(decodeBy({ decoder: 'scalar', missing: [''] }, '')), [], 'a retained message that is taken back')
  t.match(brief(decodeBy({ decoder: 'scalar' }, '')), [/^fault: the payload is empty/])
})

test('a number that is not finite is a fault only where it is wanted', async (t) => {
  const fields: readonly FieldRule[] = [{ match: ['noise'], ignore: true }]
  t.strictSame(brief(decodeBy({ decoder: 'json', fields }, '{"noise":1e999,"v":1}')), ['v=1'])
  t.strictSame(brief(decodeBy({ decoder: 'json' }, '{"a":-1e999,"v":1}')), ['v=1', 'fault: a is not a finite number'])
})

test('names are templates over the topic and the path', async (t) => {
  const rule = {
    topics: ['d/{device}/{part}'],
    decoder: 'generic',
    name: '{part}.{path}',
    fields: [{ match: ['x.b'], name: 'own-{part}-{path}' }],
  } as const
  const { decode } = createRouter([profileOf('p', [rule])])
  t.strictSame(brief(decode(messageOn('d/1/x', '{"a":1,"b":2}'))), ['x.a=1', 'own-x-b=2'])
  t.match(decode(messageOn('d/1/x$&', '{"a":1}')), { device: '1', readings: [{ name: 'x$&.a' }] })
  t.strictSame(brief(decode(messageOn('d/1/{path}', '{"a":1}'))), ['{path}.a=1'])
  t.strictSame(brief(decode(messageOn('d/1/x', '5'))), ['x=5'], 'one value has no path')
  const fixed = decodeBy({ decoder: 'generic', name: 'online' }, '{"state":true}')
  t.strictSame(brief(fixed), ['online=true'])
})

test('a scalar without a name of its own is placed by its topic', async (t) => {
  const decoding = decodeBy({ decoder: 'generic', device: 'base/{device}' }, '21.5', 'd/kitchen/temperature')
  t.match(decoding, { device: 'd/kitchen', readings: [{ device: 'd/kitchen', name: 'temperature', value: 21.5 }] })
})

test('the decoder says what payloads are expected', async (t) => {
  t.match(brief(decodeBy({ decoder: 'json' }, '5')), [/^fault: .*not a JSON object/])
  t.match(brief(decodeBy({ decoder: 'scalar', name: 'x' }, '{"a":1}')), [/^fault: .*expects one value/])
  t.strictSame(brief(decodeBy({ decoder: 'generic', name: 'x' }, '5')), ['x=5'])
  t.strictSame(brief(decodeBy({ decoder: 'scalar', name: 'x' }, '"5"')), ['x="5"'])
  t.match(brief(decodeBy({ decoder: 'scalar', name: 'x' }, '"5')), [/^fault: .*not valid JSON/])
})

test('root and lists reach into the payload', async (t) => {
  const rule: Omit<ProfileRule, 'topics'> = { decoder: 'json', root: 'a.b', lists: [{ path: 'x.events', key: 'name' }] }
  const payload = '{"top":1,"a":{"b":{"x":{"events":[{"name":"one","v":1},{"v":2},{"name":"","v":3},4]}}}}'
  t.strictSame(brief(decodeBy(rule, payload)), [
    'x.one.v=1',
    'x.events.1.v=2',
    'x.events.2.name=""',
    'x.events.2.v=3',
    'x.events.3=4',
  ])
  t.match(brief(decodeBy(rule, '{"a":{}}')), [/^fault: the payload has no 'a.b'/])
  t.match(brief(decodeBy({ decoder: 'json', root: 'toString' }, '{}')), [/has no 'toString'/])
})

test('the time of the payload counts where it can be trusted', async (t) => {
  const timeOf = (format: 'unix' | 'unix-ms' | 'iso8601' | 'any', time: unknown) =>
    decodeBy({ decoder: 'json', time: { path: 'ts', format } }, JSON.stringify({ ts: time, v: 1 })).readings
  const at = (timeMs: number) => [{ device: 'one', name: 'v', value: 1, timeMs }]
  const arrival = [{ device: 'one', name: 'v', value: 1 }]
  t.strictSame(timeOf('unix', 1795168800.123), at(1795168800123))
  t.strictSame(timeOf('unix', 1795168800.123456), at(1795168800123.456))
  t.strictSame(timeOf('unix-ms', 1795168800123), at(1795168800123))
  t.strictSame(timeOf('any', 1795168800), at(1795168800000))
  t.strictSame(timeOf('any', 1795168800123), at(1795168800123))
  t.strictSame(timeOf('any', '1795168800'), at(1795168800000))
  for (const text of [
    '2026-11-20T10:00:00Z',
    '2026-11-20T11:00:00+01:00',
    '2026-11-20 11:00:00+0100',
    '2026-11-20T10:00:00.000z',
  ])
    t.strictSame(timeOf('iso8601', text), at(1795168800000), text)
  t.strictSame(timeOf('iso8601', '2026-11-20T10:00:00'), arrival, 'a local time without zone')
  t.strictSame(timeOf('iso8601', 1795168800), arrival)
  t.strictSame(timeOf('unix', '2026-11-20T10:00:00Z'), arrival)
  t.strictSame(timeOf('unix', 12.5), arrival, 'a clock that was never set')
  t.strictSame(timeOf('unix', 1e300), arrival)
  t.strictSame(timeOf('unix', null), arrival)
  t.strictSame(timeOf('iso8601', '2026-13-40T10:00:00Z'), arrival)
})
