import { test } from 'tap'
import { parseAmqpUrl } from '../../src/core/amqp-url.ts'
import { DEFAULT_ROUTING_KEY, Names, ROUTING_KEY_PATTERN } from '../../src/sinks/names.ts'
import type { Outgoing } from '../../src/sinks/outgoing.ts'

const outgoing = (more: Partial<Outgoing>): Outgoing => ({
  kind: 'readings',
  device: 'a',
  lane: 'fresh',
  first: 1,
  last: 2,
  seqs: [1, 2],
  count: 2,
  part: 0,
  timeMs: 0,
  contentType: '',
  body: Buffer.alloc(0),
  ...more,
})

test('a device becomes words of a routing key; what has a meaning there is escaped', async (t) => {
  const names = new Names('site.one', DEFAULT_ROUTING_KEY)
  const cases: [device: string, key: string][] = [
    ['sensors/greenhouse', 'sensors.greenhouse'],
    ['room.1/x', 'room%2E1.x'],
    ['a*b/#/50%', 'a%2Ab.%23.50%25'],
    ['two words\t\u0000', 'two%20words%09%00'],
    ['küche/°', 'küche.°'],
    ['//', '..'],
  ]
  for (const [device, key] of cases) t.equal(names.device(device).routingKey, `telemetry.site%2Eone.${key}`, device)
  t.equal(names.lossKey, 'loss.site%2Eone')
})

test('a long name is cut to a short string, at a character, and stays unique', async (t) => {
  const names = new Names('g', DEFAULT_ROUTING_KEY)
  const keys = ['x', 'y'].map((end) => names.device(`${'ü'.repeat(300)}${end}`).routingKey)
  for (const key of keys) {
    t.ok(Buffer.byteLength(key) <= 255)
    t.match(key, /ü~[0-9a-f]{8}$/)
  }
  t.not(keys[0], keys[1])
  t.notMatch(names.device('.'.repeat(200)).routingKey, /%[0-9A-F]?~/, 'no escape is cut through')
})

test('templates may repeat and leave out placeholders, and know no others', async (t) => {
  t.equal(new Names('g', 'x.{device}.{gateway}.{device}').device('a/b').routingKey, 'x.a.b.g.a.b')
  t.equal(new Names('g', 'fixed').device('a').routingKey, 'fixed')
  t.equal(new Names('g', '{device}').device('$&').routingKey, '$&', 'a device is no replacement pattern')
  const pattern = new RegExp(ROUTING_KEY_PATTERN)
  for (const template of ['', 'a', '{gateway}.{device}']) t.match(template, pattern)
  for (const template of ['{name}', '{', 'a}', '{{device}}']) t.notMatch(template, pattern)
})

test('message ids are the same each time and different for each message', async (t) => {
  const names = new Names('g', DEFAULT_ROUTING_KEY)
  const id = names.messageId(outgoing({}))
  t.match(id, /^g:1-2:[0-9a-f]{8}$/)
  t.equal(new Names('g', 'other').messageId(outgoing({})), id)
  const others = [
    outgoing({ device: 'b' }),
    outgoing({ last: 3 }),
    outgoing({ part: 1 }),
    outgoing({ kind: 'loss', device: '' }),
  ]
  t.equal(new Set([id, ...others.map((message) => names.messageId(message))]).size, 5)
})

test('an AMQP url is taken apart, and shown without its credentials', async (t) => {
  t.same(parseAmqpUrl('amqp://us%40er:p%2Fw@broker/my%2Fhost', 'url'), {
    tls: false,
    host: 'broker',
    port: 5672,
    username: 'us@er',
    password: 'p/w',
    path: 'my/host',
    shown: 'amqp://broker:5672',
  })
  t.match(parseAmqpUrl('amqps://[::1]', 'url'), {
    tls: true,
    host: '::1',
    port: 5671,
    path: '',
    shown: 'amqps://[::1]:5671',
  })
  for (const wrong of ['', 'broker', 'http://u:secretword@h', 'amqp://u:%zz@h', 'amqp://'])
    t.throws(
      () => parseAmqpUrl(wrong, 'url of x'),
      { code: 'TG_CONFIG_INVALID', message: /^url of x (?!.*secretword)/ },
      wrong,
    )
})
