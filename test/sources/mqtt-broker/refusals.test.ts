import { type Test, test } from 'tap'
import {
  connectRaw,
  openRaw,
  packets,
  type RawClient,
  type RunningBroker,
  startBroker,
} from '../../support/mqtt-broker.ts'
import { until } from '../../support/until.ts'

/** A CONNECT packet byte by byte: protocol name, level, flags, keep-alive, then the payload's fields. */
const connectBytes = (
  options: { name?: string; level?: number; flags?: number; fields?: (string | Buffer)[] } = {},
) => {
  const { name = 'MQTT', level = 4, flags = 2, fields = ['raw'] } = options
  const body = Buffer.concat([field(name), Buffer.from([level, flags, 0, 0]), ...fields.map(field)])
  return Buffer.concat([Buffer.from([0x10]), remainingLength(body.length), body])
}

const field = (content: string | Buffer) => {
  const bytes = Buffer.from(content)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

const remainingLength = (length: number) => {
  const bytes: number[] = []
  for (let rest = length; ; rest >>>= 7) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest & 127) | 128)
  }
}

const publishBytes = (topic: string | Buffer, qos = 0, tail: number[] = []) => {
  const body = Buffer.concat([field(topic), Buffer.from(tail)])
  return Buffer.concat([Buffer.from([0x30 | (qos << 1)]), remainingLength(body.length), body])
}

/** Before and after, somebody else's work goes on. */
const undisturbed = async (t: Test, broker: RunningBroker, hostile: () => Promise<void>): Promise<void> => {
  const bystander = await connectRaw(t, broker, { clientId: 'bystander' })
  await hostile()
  bystander.send(packets.publish('still/here', 1, 77))
  await bystander.has('puback')
  t.same(bystander.ids('puback'), [77])
}

const UNAUTHENTICATED: readonly [what: string, reason: string, bytes: Buffer, answer?: number[]][] = [
  ['an HTTP request', 'not-mqtt', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['a TLS hello', 'not-mqtt', Buffer.from([0x16, 3, 1, 2, 0, 1])],
  ['zeros', 'not-mqtt', Buffer.alloc(1000)],
  ['a PUBLISH before CONNECT', 'not-mqtt', packets.publish('a', 0)],
  ['a CONNECT of 256 MB, at its fifth byte', 'packet-size', Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f])],
  ['a malformed remaining length', 'malformed', Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff])],
  ['flags on CONNECT', 'not-mqtt', Buffer.from([0x11, 0])],
  ['another protocol name', 'not-mqtt', connectBytes({ name: 'AMQP' })],
  ['an empty CONNECT', 'not-mqtt', Buffer.from([0x10, 0])],
  ['CONNECT cut short', 'malformed', Buffer.concat([Buffer.from([0x10, 8]), field('MQTT'), Buffer.from([4, 2])])],
  ['MQTT 5', 'protocol-version', connectBytes({ level: 5 }), [0x20, 3, 0, 0x84, 0]],
  ['MQTT 6', 'protocol-version', connectBytes({ level: 6 }), [0x20, 2, 0, 1]],
  ['MQIsdp with level 4', 'protocol-version', connectBytes({ name: 'MQIsdp' }), [0x20, 2, 0, 1]],
  ['the reserved flag', 'malformed', connectBytes({ flags: 3 })],
  ['a will of QoS 3', 'malformed', connectBytes({ flags: 0x1e, fields: ['raw', 'w', 'w'] })],
  ['will flags without a will', 'malformed', connectBytes({ flags: 0x22 })],
  ['a password without a user', 'malformed', connectBytes({ flags: 0x42, fields: ['raw', 'secret'] })],
  [
    'no Client Identifier for a persistent session',
    'client-id',
    connectBytes({ flags: 0, fields: [''] }),
    [0x20, 2, 0, 2],
  ],
  ['a Client Identifier of 300 bytes', 'client-id', connectBytes({ fields: ['x'.repeat(300)] }), [0x20, 2, 0, 2]],
  ['NUL in the Client Identifier', 'malformed', connectBytes({ fields: ['a\0b'] })],
  ['broken UTF-8 in the Client Identifier', 'malformed', connectBytes({ fields: [Buffer.from([0xc3, 0x28])] })],
  ['broken UTF-8 in the user name', 'malformed', connectBytes({ flags: 0x82, fields: ['raw', Buffer.from([0xff])] })],
  ['a wildcard in the will topic', 'topic', connectBytes({ flags: 6, fields: ['raw', 'a/#', 'w'] })],
  ['a will to $SYS', 'dollar-topic', connectBytes({ flags: 6, fields: ['raw', '$SYS/x', 'w'] }), [0x20, 2, 0, 5]],
  ['bytes behind the last field', 'malformed', connectBytes({ fields: ['raw', 'more'] })],
]

for (const [what, reason, bytes, answer = []] of UNAUTHENTICATED)
  test(`${what}: closed and counted, everyone else undisturbed`, async (t) => {
    const broker = await startBroker(t)
    await undisturbed(t, broker, async () => {
      const client = openRaw(t, broker)
      client.send(bytes)
      await client.isEnded()
      t.same([...Buffer.concat(client.bytes)], answer)
      t.equal(broker.refused(reason), 1)
    })
    t.equal(broker.log.entries.length, 1)
  })

const CONNECTED: readonly [what: string, reason: string, bytes: Buffer][] = [
  ['a second CONNECT', 'malformed', packets.connect()],
  ['packet type 0', 'malformed', Buffer.from([0, 0])],
  ['packet type 15', 'malformed', Buffer.from([0xf0, 0])],
  ['CONNACK from a client', 'malformed', Buffer.from([0x20, 2, 0, 0])],
  ['SUBACK from a client', 'malformed', Buffer.from([0x90, 3, 0, 1, 0])],
  ['a PUBLISH of QoS 3', 'malformed', publishBytes('a', 3, [0, 1])],
  ['a PUBLISH without a topic', 'topic', publishBytes('')],
  ['a topic longer than its packet', 'malformed', Buffer.from([0x30, 4, 0, 9, 97, 98])],
  ['a topic with NUL', 'topic', publishBytes('a\0b')],
  ['a topic with a control character', 'topic', publishBytes('a\tb')],
  ['a topic with broken UTF-8', 'topic', publishBytes(Buffer.from([0x61, 0xc3, 0x28]))],
  ['a topic with a surrogate', 'topic', publishBytes(Buffer.from([0xed, 0xa0, 0x80]))],
  ['a topic with U+0085', 'topic', publishBytes('a\u0085')],
  ['a topic with +', 'topic', publishBytes('a/+')],
  ['a topic with #', 'topic', publishBytes('#')],
  ['a topic of 65,535 levels', 'topic', publishBytes('/'.repeat(65_534))],
  ['a topic of 101 levels', 'topic', publishBytes('/'.repeat(100))],
  ['a PUBLISH to $SYS', 'dollar-topic', publishBytes('$SYS/broker/new/clients', 1, [0, 1])],
  ['packet identifier 0 in PUBLISH', 'malformed', publishBytes('a', 1, [0, 0])],
  ['a PUBLISH of QoS 1 without an identifier', 'malformed', publishBytes('a', 1)],
  ['packet identifier 0 in PUBREL', 'malformed', Buffer.from([0x62, 2, 0, 0])],
  ['PUBREL without its flags', 'malformed', Buffer.from([0x60, 2, 0, 1])],
  ['a PUBACK of five bytes', 'malformed', Buffer.from([0x40, 3, 0, 1, 0])],
  ['PINGREQ with content', 'malformed', Buffer.from([0xc0, 1, 0])],
  ['SUBSCRIBE without its flags', 'malformed', Buffer.from([0x80, 6, 0, 1, 0, 1, 97, 0])],
  ['SUBSCRIBE to nothing', 'malformed', Buffer.from([0x82, 2, 0, 1])],
  ['SUBSCRIBE with QoS 3', 'malformed', Buffer.from([0x82, 6, 0, 1, 0, 1, 97, 3])],
  ['SUBSCRIBE with a misplaced #', 'topic', Buffer.from([0x82, 8, 0, 1, 0, 3, 35, 47, 97, 0])],
  ['SUBSCRIBE cut short', 'malformed', Buffer.from([0x82, 5, 0, 1, 0, 9, 97])],
  ['UNSUBSCRIBE from nothing', 'malformed', Buffer.from([0xa2, 2, 0, 1])],
  ['a SUBSCRIBE of 1 MB, at its header', 'packet-size', Buffer.from([0x82, 0xff, 0xff, 0x3f])],
  ['a PUBLISH of 256 MB, at its header', 'packet-size', Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])],
]

for (const [what, reason, bytes] of CONNECTED)
  test(`${what}: closed and counted, everyone else undisturbed`, async (t) => {
    const broker = await startBroker(t)
    await undisturbed(t, broker, async () => {
      const client = await connectRaw(t, broker)
      client.send(bytes)
      await client.isEnded()
      t.same(client.commands(), ['connack'])
      t.equal(broker.refused(reason), 1)
    })
    t.equal(broker.log.entries.length, 1)
  })

test('maxPacketBytes is what a PUBLISH may have, to the byte', async (t) => {
  const broker = await startBroker(t, { config: { maxPacketBytes: 1000 } })
  const client = await connectRaw(t, broker)
  client.send(packets.publish('t', 1, 1, { payload: Buffer.alloc(1000 - 5) }))
  await client.has('puback')
  client.send(packets.publish('t', 1, 2, { payload: Buffer.alloc(1000 - 4) }))
  await client.isEnded()
  t.equal(broker.refused('packet-size'), 1)
})

test('a payload of 0 bytes and one of 1 MiB pass where they are allowed', async (t) => {
  const broker = await startBroker(t, { config: { maxPacketBytes: 2 ** 20 } })
  const client = await connectRaw(t, broker)
  client.send(
    packets.publish('t', 1, 1, { payload: '' }),
    packets.publish('t', 1, 2, { payload: Buffer.alloc(2 ** 20 - 5, 'x') }),
  )
  await client.has('puback', 2)
  t.same(
    broker.log.entries.map(({ payload }) => payload.length),
    [0, 2 ** 20 - 5],
  )
})

test('a will of the largest size passes', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker, {
    will: { topic: 'w', payload: Buffer.alloc(65_535), qos: 1, retain: false },
  })
  client.socket.destroy()
  await until('the will', () => broker.log.entries.length === 1)
  t.equal(broker.log.entries[0]?.payload.length, 65_535)
})

test('a connection that sends no CONNECT is closed in time', async (t) => {
  const broker = await startBroker(t, { config: { connectTimeout: 50 } })
  const silent = openRaw(t, broker)
  const slow = openRaw(t, broker)
  slow.send(Buffer.from([0x10, 50, 0, 4]))
  await silent.isEnded()
  await slow.isEnded()
  t.equal(broker.refused('connect-timeout'), 2)
})

test('beyond maxConnections a newcomer is turned away, unless somebody has not even said CONNECT', async (t) => {
  const broker = await startBroker(t, { config: { maxConnections: 2 } })
  await connectRaw(t, broker, { clientId: 'one' })
  const silent = openRaw(t, broker)
  await until('both are counted', () => broker.count('mqtt_connections') === 2)
  await connectRaw(t, broker, { clientId: 'two' })
  await silent.isEnded()
  const third = openRaw(t, broker)
  await third.isEnded()
  t.equal(broker.refused('connections'), 2)
  t.equal(broker.health().detail?.['connections'], 2)
})

test('unfinished CONNECT packets share a bounded memory', async (t) => {
  const broker = await startBroker(t)
  const start = Buffer.concat([Buffer.from([0x10]), remainingLength(90_000), Buffer.alloc(89_000)])
  start.set(connectBytes().subarray(2, 8), 4)
  const clients: RawClient[] = []
  await undisturbed(t, broker, async () => {
    for (let count = 0; count < 110; count++) {
      const client = openRaw(t, broker)
      client.send(start)
      clients.push(client)
    }
    // 8 MiB hold 94 of them.
    await until('sixteen are cut off', () => clients.filter(({ ended }) => ended).length >= 16)
    t.ok(broker.refused('handshake-memory') >= 16)
  })
})

test('a packet that comes byte by byte is taken as if it came whole', async (t) => {
  const broker = await startBroker(t)
  const client = openRaw(t, broker)
  client.socket.setNoDelay(true)
  const bytes = Buffer.concat([
    packets.connect(),
    packets.publish('täg/1', 2, 9),
    packets.pubrel(9),
    packets.publish('b', 1, 3),
  ])
  for (const byte of bytes)
    await new Promise<void>((resolve) => client.socket.write(Buffer.from([byte]), () => resolve()))
  await client.has('puback')
  t.same(
    broker.log.entries.map(({ topic }) => topic),
    ['täg/1', 'b'],
  )
})

test('too many subscriptions are refused one by one', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  for (let packet = 0; packet < 11; packet++) {
    const filters = Array.from({ length: 100 }, (_, index) =>
      Buffer.concat([field(`f/${packet}/${index}`), Buffer.from([1])]),
    )
    const body = Buffer.concat([Buffer.from([0, packet + 1]), ...filters])
    client.send(Buffer.from([0x82]), remainingLength(body.length), body)
  }
  await client.has('suback', 11)
  const granted = client.received.flatMap((packet) => (packet.cmd === 'suback' ? packet.granted : []))
  t.equal(granted.filter((code) => code === 1).length, 1000)
  t.equal(granted.filter((code) => code === 128).length, 100)
  t.equal(broker.refused('subscription-limit'), 100)
})

test('a flood of refusals fills counters, not the log file', async (t) => {
  const broker = await startBroker(t)
  for (let count = 0; count < 30; count++) openRaw(t, broker).send(Buffer.from('garbage'))
  await until('all are refused', () => broker.refused('not-mqtt') === 30)
  t.equal(broker.lines.filter(({ level }) => level === 'warn').length, 1)
})
