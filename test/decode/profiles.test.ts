// What rules can say about devices and names that stand in the payload, by small profiles.

import { test } from 'tap'
import { profileFindings, type WrittenProfile } from '../../src/config/profile-semantics.ts'
import type { ProfileRule } from '../../src/core/profile.ts'
import { compileTopicPattern } from '../../src/core/topic-pattern.ts'
import { PatternIndex } from '../../src/decode/pattern-index.ts'
import { createRouter } from '../../src/decode/router.ts'
import { brief, messageOn, profileOf } from '../support/decoding.ts'

const events: ProfileRule = {
  topics: ['radio/{host}/events'],
  decoder: 'json',
  device: 'radio/{host}/{device}',
  deviceFrom: ['model', 'channel', 'ids.own'],
  fields: [{ match: ['model', 'channel', 'ids.**'], ignore: true }],
}
const radio = createRouter([profileOf('radio', [events])])

const deviceOf = (payload: unknown, topic = 'radio/pi/events'): string =>
  radio.decode(messageOn(topic, typeof payload === 'string' ? payload : JSON.stringify(payload))).device

test('what the payload tells of the device is joined, as far as it is there', async (t) => {
  t.equal(deviceOf({ model: 'Tower', channel: 'A', ids: { own: 7 } }), 'radio/pi/Tower/A/7')
  t.equal(deviceOf({ model: 'Tower', channel: null, ids: { own: 0 } }), 'radio/pi/Tower/0')
  t.equal(deviceOf({ model: '', channel: true, ids: { own: 'x' } }), 'radio/pi/x')
})

test('a device in the payload is one level for each part, bounded, and no wildcard', async (t) => {
  t.equal(deviceOf({ model: 'a/b+c#d e\n\u0000' }), 'radio/pi/a_b_c_d_e__')
  t.equal(deviceOf({ model: 'x'.repeat(10_000) }), `radio/pi/${'x'.repeat(64)}`)
  t.equal(deviceOf({ model: '{host}', channel: '{device}' }, 'radio/{path}/events'), 'radio/{path}/{host}/{device}')
})

test('an identifier beyond 2^53 names the device with all its digits', async (t) => {
  t.equal(deviceOf('{"model":"m","ids":{"own":12345678901234567890}}'), 'radio/pi/m/12345678901234567890')
})

test('a payload that tells no device is a fault, and inherited names are no values', async (t) => {
  const decoding = radio.decode(messageOn('radio/pi/events', '{"value":1}'))
  t.match(decoding, { profile: 'radio', device: 'radio/pi/events', readings: [], fault: /tells no device/ })
  const inherited = createRouter([profileOf('radio', [{ ...events, deviceFrom: ['constructor', '__proto__.x'] }])])
  t.match(inherited.decode(messageOn('radio/pi/events', '{"value":1}')).fault, /tells no device/)
  const own = inherited.decode(messageOn('radio/pi/events', '{"__proto__":{"x":"p"},"value":1}'))
  t.match(own, { device: 'radio/pi/p', fault: undefined })
  t.strictSame(brief(own), ['__proto__.x="p"', 'value=1'])
})

test('a topic whose payload tells the device may bring a reading of any device', async (t) => {
  t.ok(radio.mayBeDevice('radio/pi/events', 'broker', false, (device) => device === 'radio/pi/anything'))
  t.notOk(radio.mayBeDevice('radio/pi/other', 'broker', false, (device) => device === 'radio/pi/anything'))
})

test('stripped paths are left out of names, for fields and captures alike', async (t) => {
  const router = createRouter([
    profileOf('mesh', [
      {
        topics: ['mesh/{device}'],
        decoder: 'json',
        strip: ['payload', 'more.deep'],
        time: { path: 'payload.at', format: 'unix' },
        fields: [
          { match: ['temperature'], unit: 'Cel', name: '{device}.{path}' },
          { match: ['voltage'], unit: 'V' },
        ],
      },
    ]),
  ])
  const payload = { payload: { at: 1795168800, temperature: 21 }, more: { deep: { voltage: 4 } }, payloads: { x: 1 } }
  const decoding = router.decode(messageOn('mesh/n1', JSON.stringify(payload)))
  t.strictSame(brief(decoding), ['n1.temperature=21 Cel', 'voltage=4 V', 'payloads.x=1'])
  t.equal(decoding.readings[0]?.timeMs, 1795168800_000)
  t.strictSame(brief(router.decode(messageOn('mesh/n1', '{"payload":"text"}'))), ['payload="text"'])
})

test('a rule may be for the empty payload only', async (t) => {
  const router = createRouter([profileOf('gone', [{ topics: ['a/{device}'], decoder: 'ignore', payloads: [''] }])])
  t.match(router.decode(messageOn('a/b', '')), { profile: 'gone', readings: [], fault: undefined })
  t.match(router.decode(messageOn('a/b', '1')), { profile: 'generic' })
})

test('a profile whose device stands in the payload twice, or where none can stand, is refused', async (t) => {
  const { file: _, ...written } = profileOf('x', [])
  const finds = (rule: ProfileRule): readonly string[] =>
    profileFindings({ ...written, rules: [rule] } as WrittenProfile, []).map(({ message }) => message)
  t.strictSame(finds(events), [])
  t.match(finds({ topics: ['a/{device}'], decoder: 'json', deviceFrom: ['id'] }), [/second meaning/])
  t.match(finds({ topics: ['a/b'], decoder: 'scalar', deviceFrom: ['id'] }), [/needs decoder json/])
  t.match(finds({ topics: ['a/{x}'], decoder: 'json' }), [/\{device\} is captured by no topic pattern/])
})

test('the index of patterns leaves out none that matches, and keeps their order', async (t) => {
  const patterns = ['a/b/{x}', 'a{x}/b', '{x}/b', 'a/#', '+/c', '{x...}/d', 'b/{x}', '#'].map((text) => ({
    pattern: compileTopicPattern(text),
  }))
  const index = new PatternIndex(patterns)
  const matching = (list: typeof patterns, topic: string) =>
    list.filter(({ pattern }) => pattern.match(topic) !== undefined).map(({ pattern }) => pattern.text)
  for (const topic of ['a', 'a/b', 'a/b/c', 'ab/b', 'b/c', 'c/c', 'x/y/d', '/b', '', '$a/b', '__proto__/b', 'a/d'])
    t.strictSame(matching([...index.of(topic)], topic), matching(patterns, topic), topic)
  t.ok(index.of('zzz').length < patterns.length)
})
