import { test } from 'tap'
import { createRouter } from '../../src/decode/router.ts'
import { brief, messageOn, profileOf } from '../support/decoding.ts'

const scalar = (name: string, ...topics: string[]) =>
  profileOf(name, [{ topics, decoder: 'scalar', device: name, name: 'value' }])

test('the most specific pattern wins, whatever the order of the profiles', async (t) => {
  const profiles = [
    scalar('many', '{x...}'),
    scalar('one', 'a/{x}'),
    scalar('mixed', 'a/b{x}'),
    scalar('literal', 'a/bc'),
    scalar('rest', 'z/#'),
  ]
  for (const list of [profiles, profiles.toReversed()]) {
    const { decode } = createRouter(list)
    const who = (topic: string) => decode(messageOn(topic, '1')).profile
    t.equal(who('a/bc'), 'literal')
    t.equal(who('a/bx'), 'mixed')
    t.equal(who('a/x'), 'one')
    t.equal(who('a/x/y'), 'many')
    t.equal(who('z'), 'rest')
    t.equal(who('z/y/x'), 'rest')
  }
})

test('specificity is read from the left', async (t) => {
  const { decode } = createRouter([scalar('suffix', '{x...}/sensor/{n}/state'), scalar('prefix', 'zigbee/{x...}')])
  t.equal(decode(messageOn('zigbee/sensor/a/state', '1')).profile, 'prefix')
  t.equal(decode(messageOn('other/sensor/a/state', '1')).profile, 'suffix')
})

test('of equal patterns the later profile wins, and within a profile the earlier rule', async (t) => {
  const twice = profileOf('twice', [
    { topics: ['a/{x}'], decoder: 'scalar', device: 'first', name: 'value' },
    { topics: ['a/{y}'], decoder: 'scalar', device: 'second', name: 'value' },
  ])
  t.equal(createRouter([scalar('early', 'a/{z}'), twice]).decode(messageOn('a/b', '1')).device, 'first')
  t.equal(createRouter([twice, scalar('late', 'a/{z}')]).decode(messageOn('a/b', '1')).profile, 'late')
})

test('a rule for certain payloads leaves the others to the next best rule', async (t) => {
  const profile = profileOf('picky', [
    { topics: ['{x...}/status'], payloads: ['online', 'offline'], decoder: 'scalar', device: '{x}', name: 'online' },
    { topics: ['{x...}/log'], starts: ['[D]'], decoder: 'ignore', device: '{x}' },
  ])
  const router = createRouter([profile])
  t.match(router.decode(messageOn('a/status', 'online')), { profile: 'picky', readings: [{ name: 'online' }] })
  t.match(router.decode(messageOn('a/status', 'ok')), {
    profile: 'generic',
    readings: [{ name: 'status', value: 'ok' }],
  })
  t.match(router.decode(messageOn('a/log', '[D] x')), { profile: 'picky', readings: [] })
  t.match(router.decode(messageOn('a/log', '[')), { profile: 'generic' })
  t.match(router.explain('a/status').reason, /picky, if the payload is "online" or "offline"/)
  t.match(router.explain('a/status', Buffer.from('ok')).reason, /generic decoder/)
})

test('explain names the pattern that decides and how many others match', async (t) => {
  const router = createRouter([scalar('many', '{x...}'), scalar('one', 'a/{x}')])
  t.strictSame(router.explain('a/b'), {
    candidates: [
      { profile: 'one', pattern: 'a/{x}', decoder: 'scalar', device: 'one' },
      { profile: 'many', pattern: '{x...}', decoder: 'scalar', device: 'many' },
    ],
    reason: "the topic matches 'a/{x}' of profile one; 1 more match, less specific",
  })
  t.strictSame(createRouter([]).explain('a'), {
    candidates: [],
    reason: 'no profile claims the topic, so the generic decoder takes it',
  })
})

test('a profile can be asked for by name', async (t) => {
  const router = createRouter([scalar('many', '{x...}'), scalar('one', 'a/{x}')])
  t.equal(router.decodeAs('many', messageOn('a/b', '1')).profile, 'many')
  t.equal(router.decodeAs('generic', messageOn('a/b', '1')).profile, 'generic')
  t.throws(() => router.decodeAs('one', messageOn('b/b', '1')), {
    code: 'TG_NOT_FOUND',
    message: /no rule of profile 'one'/,
  })
  t.throws(() => router.decodeAs('none', messageOn('b/b', '1')), { code: 'TG_NOT_FOUND', message: /no device profile/ })
})

test('a fault carries profile and device', async (t) => {
  const { decode } = createRouter([profileOf('p', [{ topics: ['x/{device...}/y'], decoder: 'json' }])])
  t.match(decode(messageOn('x/some/thing/y', '{')), {
    profile: 'p',
    device: 'some/thing',
    readings: [],
    fault: /not valid JSON/,
  })
  t.match(decode(messageOn('x/thing/y', '5')), { profile: 'p', device: 'thing', fault: /not a JSON object/ })
})

test('topics from outside neither fill the memory nor change what is decoded', async (t) => {
  const { decode } = createRouter([scalar('one', 'a/{x}')])
  for (let index = 0; index < 20_000; index++) decode(messageOn(`flood/${index}`, '1'))
  const long = `a/${'x'.repeat(60_000)}`
  for (const topic of ['a/b', long, 'a/b', long, '__proto__', 'constructor']) {
    const { profile } = decode(messageOn(topic, '1'))
    t.equal(profile, topic.startsWith('a/') ? 'one' : 'generic')
  }
})

test('a message that decodes to nothing is no fault where a rule says so', async (t) => {
  const { decode } = createRouter([profileOf('p', [{ topics: ['noise/#'], decoder: 'ignore', device: 'noise' }])])
  for (const payload of ['', '{', '\u0000'])
    t.strictSame(decode(messageOn('noise/x', payload)), { profile: 'p', device: 'noise', readings: [] })
})

test('an error that is no DecodeError is a fault of that message alone', async (t) => {
  const { decode } = createRouter([])
  const hostile = { topic: 'a/b', source: 's', receivedAt: 0, payload: undefined as unknown as Buffer }
  t.match(decode(hostile), { profile: 'generic', readings: [], fault: /a fault inside tidegate/ })
  t.strictSame(brief(decode(messageOn('a/b', '1'))), ['b=1'])
})

test('which devices a topic may bring is known without its payload, but for lists', async (t) => {
  const router = createRouter([
    profileOf('named', [{ topics: ['tele/{device}/STATE'], decoder: 'json', name: '{path}' }]),
    profileOf('noise', [{ topics: ['noise/{device}'], decoder: 'ignore' }]),
    profileOf('loose', [{ topics: ['loose/{device}/{x}'], decoder: 'scalar' }]),
    profileOf('picky', [{ topics: ['{device}/online'], payloads: ['yes'], decoder: 'scalar', name: 'online' }]),
  ])
  const devices = (topic: string, lists: boolean) =>
    ['plug', 'noise', 'noise/plug', 'loose/plug', 'a/b', 'a', 'broker', 'x'].filter((device) =>
      router.mayBeDevice(topic, 'broker', lists, (one) => one === device),
    )
  const all = ['plug', 'noise', 'noise/plug', 'loose/plug', 'a/b', 'a', 'broker', 'x']
  t.strictSame(devices('tele/plug/STATE', true), ['plug'])
  t.strictSame(devices('noise/plug', true), [])
  t.strictSame(devices('loose/plug/x', false), ['plug', 'loose/plug'])
  t.strictSame(devices('x/online', false), ['x'])
  t.strictSame(devices('a/b', false), ['a/b', 'a'])
  t.strictSame(devices('a', false), ['a', 'broker'])
  t.strictSame(devices('a/b', true), all, 'a list may be SenML, with names of its own')
})
