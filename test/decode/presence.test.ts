import { test } from 'tap'
import type { Decoding } from '../../src/core/contract.ts'
import type { PresenceRule, ProfileRule } from '../../src/core/profile.ts'
import { createRouter } from '../../src/decode/router.ts'
import { brief, messageOn, profileOf } from '../support/decoding.ts'

const decodeBy = (rule: Partial<ProfileRule> & { readonly presence: PresenceRule }) => {
  const whole: ProfileRule = { topics: ['{base}/{device...}/avail'], decoder: 'ignore', ...rule }
  const router = createRouter([profileOf('p', [whole])])
  return (payload: string | Buffer) => router.decode(messageOn('home/lamp/1/avail', payload))
}
const told = ({ presence, fault }: Decoding) => [
  ...(presence ?? []).map(({ device, online, below }) => `${device} ${online}${below === true ? ' below' : ''}`),
  ...(fault === undefined ? [] : [fault]),
]

test('a payload says who is there, as a whole or by a value in JSON; any other says nothing', async (t) => {
  const decode = decodeBy({ presence: { path: 'state', online: ['online', 'true'], offline: ['offline', '0'] } })
  t.same(told(decode('online')), ['lamp/1 true'])
  t.same(told(decode(' offline\n')), ['lamp/1 false'])
  t.same(told(decode('{"state":"offline"}')), ['lamp/1 false'])
  t.same(told(decode('{"state":true}')), ['lamp/1 true'])
  t.same(told(decode('{"state":0}')), ['lamp/1 false'])
  for (const payload of [
    '',
    'Online',
    '{"state":{"state":"online"}}',
    '{"state":null}',
    '{',
    '{"other":"online"}',
    'x'.repeat(10_000),
  ])
    t.same(told(decode(payload)), [], payload.slice(0, 40))
  t.same(told(decode(Buffer.from([0xff, 0xfe]))), [])
  t.same(told(decode('{"__proto__":{"state":"online"}}')), [])
})

test('a bridge speaks for what is below it, under a name of its own', async (t) => {
  const decode = decodeBy({ presence: { device: '{base}', below: true, offline: ['gone'] } })
  t.same(told(decode('gone')), ['home false below'])
})

test('presence stands beside readings, and needs none', async (t) => {
  const presence = { online: ['ON'], offline: ['OFF'] }
  const scalar = decodeBy({ decoder: 'scalar', name: 'online', presence })
  t.same(brief(scalar('ON')), ['online=true'])
  t.same(told(scalar('ON')), ['lamp/1 true'])
  const json = decodeBy({ decoder: 'json', presence })
  t.same(brief(json('ON')), [], 'no fault: it was understood')
  t.same(told(json('ON')), ['lamp/1 true'])
  t.match(brief(json('on')), [/^fault/])
})

test('what cannot be right is doubtful by name, with the reason and what was sent', async (t) => {
  const router = createRouter([
    profileOf('p', [
      {
        topics: ['s/{device}'],
        decoder: 'generic',
        name: '{path}',
        fields: [
          { match: ['t'], range: [-40, 85], name: 'temperature' },
          { match: ['n'], type: 'number' },
        ],
      },
      { topics: ['v/{device}'], decoder: 'scalar', name: 'level' },
    ]),
  ])
  const doubts = (topic: string, payload: string) =>
    (router.decode(messageOn(topic, payload)).doubtful ?? []).map(
      ({ device, name, reason, value }) => `${device}/${name} ${reason} ${value}`,
    )
  t.same(doubts('s/a', '{"t":125,"n":"ovf","ok":1}'), ['a/temperature out-of-range 125', 'a/n faulty ovf'])
  t.same(doubts('s/a', '{"t":20,"n":3}'), [])
  t.same(doubts('s/a', '{"t":1e999}'), ['a/temperature faulty Infinity'])
  t.same(doubts('v/tank', 'nan'), ['tank/level faulty nan'])
  t.same(doubts('attic/temperature', 'nan'), ['attic/temperature faulty nan'], 'also without a profile')
  t.same(doubts('attic', '{"t":1e999}'), ['attic/t faulty Infinity'])
  const many = JSON.stringify({ ...Array.from({ length: 500 }, () => 'x') })
  const strict = createRouter([
    profileOf('q', [{ topics: ['s/{device}'], decoder: 'json', fields: [{ match: ['*'], type: 'number' }] }]),
  ])
  t.equal(strict.decode(messageOn('s/a', many)).doubtful?.length, 100, 'bounded')
})
