import { test } from 'tap'
import { writeSenmlPack } from '../../src/core/senml.ts'
import { readDelivered } from '../../src/upstream/delivered.ts'
import type { Incoming } from '../../src/upstream/incoming.ts'

const incoming = (body: string, more: Partial<Incoming> = {}): Incoming => ({
  key: 'k',
  contentType: 'application/senml+json',
  messageId: 'm',
  headers: { 'tidegate-gateway': 'g', 'tidegate-lane': 'backlog', 'tidegate-device': 'a/b' },
  body: Buffer.from(body),
  ...more,
})

test('a pack of ours comes back as it was written', async (t) => {
  const pack = writeSenmlPack('a/b', [
    { name: 'temperature', value: 21.5, unit: 'Cel', timeMs: Date.UTC(2026, 10, 20, 10), seq: 7 },
    { name: 'on', value: true, timeMs: 0, seq: 8 },
    { name: 'text', value: 'ü"', timeMs: 0, seq: 8 },
  ])
  const wanted = [
    { seq: 7, device: 'a/b', name: 'temperature', value: 21.5, unit: 'Cel', time: '2026-11-20T10:00:00.000Z' },
    { seq: 8, device: 'a/b', name: 'on', value: true },
    { seq: 8, device: 'a/b', name: 'text', value: 'ü"' },
  ]
  t.same(readDelivered(incoming(pack)), {
    kind: 'readings',
    gateway: 'g',
    lane: 'backlog',
    device: 'a/b',
    part: 0,
    first: 7,
    readings: wanted,
  })
  t.match(readDelivered(incoming(pack, { headers: { 'tidegate-gateway': 'g' } })), { lane: 'fresh', readings: wanted })
  t.match(
    readDelivered(incoming(pack, { headers: {}, messageId: 'green-house:7-8:9922c938.2' })),
    { gateway: 'green-house', part: 2, readings: wanted },
    'where a broker hides the headers, the message id tells the gateway',
  )
})

test('loss marks come back, broken ones left out', async (t) => {
  const mark = { first: 1, last: 2, count: 2, reason: 'retention', time: 'x' }
  const refused = { ...mark, last: 0, seq: 7, devices: { a: 2 } }
  const odd = { ...mark, seq: 'x', devices: { a: -1, b: 'x' } }
  const broken = [{ ...mark, first: 4 }, null, 'x', { ...mark, first: 1.5 }, { ...mark, count: -1 }]
  const body = JSON.stringify({ gateway: 'g', marks: [mark, refused, odd, ...broken] })
  t.same(readDelivered(incoming(body, { contentType: 'application/json' })), {
    kind: 'loss',
    gateway: 'g',
    marks: [mark, refused, mark],
  })
})

test('what is not ours is foreign, and nothing throws', async (t) => {
  const cases: Incoming[] = [
    incoming('[]'),
    incoming('{'),
    incoming('{}'),
    incoming('[null]'),
    incoming('[{"n":"a","v":1}]'),
    incoming('[{"n":"a","seq":1}]'),
    incoming('[{"n":"a","v":{},"seq":1}]'),
    incoming('[]', { headers: {} }),
    incoming('[]', { headers: { 'tidegate-gateway': 5 } }),
    incoming('{}', { contentType: 'text/plain' }),
    incoming('null', { contentType: 'application/json' }),
  ]
  for (const message of cases) t.match(readDelivered(message), { kind: 'foreign', reason: /./ }, String(message.body))
  t.match(readDelivered(incoming('[{"n":"a","v":1,"seq":1,"t":1e300}]')), { kind: 'readings' })
})
