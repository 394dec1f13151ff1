import { test } from 'tap'
import { TidegateError } from '../../../src/core/errors.ts'
import { MAX_WAITING_WILL_BYTES } from '../../../src/sources/mqtt-broker/limits.ts'
import { connectRaw, packets, roundTrip, startBroker } from '../../support/mqtt-broker.ts'
import { until } from '../../support/until.ts'

test('a PUBACK leaves only after the message is durable', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  broker.log.hold()
  client.send(packets.publish('a/b', 1, 7))
  await until('the message is appended', () => broker.log.entries.length === 1)
  await roundTrip(t, broker)
  t.same(client.ids('puback'), [])
  broker.log.release()
  await client.has('puback')
  t.same(client.ids('puback'), [7])
  t.match(broker.log.entries[0], { topic: 'a/b', qos: 1, retain: false, source: 'broker' })
  t.equal(broker.log.entries[0]?.payload.toString(), 'payload of 7')
})

test('a PUBREC leaves only after the message is durable', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  broker.log.hold()
  client.send(packets.publish('a', 2, 3))
  await until('the message is appended', () => broker.log.entries.length === 1)
  await roundTrip(t, broker)
  t.same(client.commands(), ['connack'])
  broker.log.release()
  await client.has('pubrec')
  client.send(packets.pubrel(3))
  await client.has('pubcomp')
})

test('one commit acknowledges what several clients sent, each in the order it was sent', async (t) => {
  const broker = await startBroker(t)
  const clients = await Promise.all(['one', 'two', 'three'].map((clientId) => connectRaw(t, broker, { clientId })))
  broker.log.hold()
  for (const client of clients) {
    const qos1 = Array.from({ length: 200 }, (_, index) => packets.publish('t', 1, 200 - index))
    client.send(...qos1)
  }
  await until('all are appended', () => broker.log.entries.length === 600)
  broker.log.release()
  for (const client of clients) {
    await client.has('puback', 200)
    t.same(
      client.ids('puback'),
      Array.from({ length: 200 }, (_, index) => 200 - index),
    )
  }
})

test('the order of one client holds in the log across QoS', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  const mixed = Array.from({ length: 300 }, (_, index) =>
    packets.publish(`n/${index}`, (index % 3) as 0 | 1 | 2, index + 1),
  )
  client.send(...mixed)
  await client.has('pubrec', 100)
  await client.has('puback', 100)
  t.same(
    broker.log.entries.map(({ topic }) => topic),
    Array.from({ length: 300 }, (_, index) => `n/${index}`),
  )
})

test('a message that the log failed is not acknowledged, and its client is closed', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  const bystander = await connectRaw(t, broker, { clientId: 'bystander' })
  broker.log.fail(new TidegateError('TG_LOG_WRITE', 'the disk is gone'))
  client.send(packets.publish('a', 1, 1))
  await client.isEnded()
  t.same(client.ids('puback'), [])
  t.equal(broker.refused('log'), 1)
  t.match(broker.lines, [{ level: 'info' }, { level: 'warn', fields: { reason: 'log', detail: /disk is gone/ } }])
  broker.log.fail(undefined)
  bystander.send(packets.publish('a', 1, 9))
  await bystander.has('puback')
})

test('while the log is full everything waits, and goes on in order when there is room', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  broker.log.full()
  // The first append learns that the log is full.
  client.send(packets.publish('n/0', 0))
  await until('the first message is appended', () => broker.log.entries.length === 1)
  const later = Array.from({ length: 50 }, (_, index) =>
    packets.publish(`n/${index + 1}`, (index % 2) as 0 | 1, index + 1),
  )
  client.send(...later)
  const other = await connectRaw(t, broker, { clientId: 'other' })
  other.send(packets.publish('other', 0))
  await roundTrip(t, broker)
  t.equal(broker.log.entries.length, 1)
  client.send(packets.pingreq)
  await client.has('pingresp')
  t.same(client.ids('puback'), [])
  broker.log.room()
  await client.has('puback', 25)
  const topics = broker.log.entries.map(({ topic }) => topic).filter((topic) => topic !== 'other')
  t.same(
    topics,
    Array.from({ length: 51 }, (_, index) => `n/${index}`),
  )
  await until('the other client too', () => broker.log.entries.length === 52)
})

test('a full log stops reading: what the broker holds for a flooding client is bounded', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  broker.log.full()
  const flood = Buffer.concat(
    Array.from({ length: 100 }, (_, index) =>
      packets.publish('flood', 1, index + 1, { payload: Buffer.alloc(10_000) }),
    ),
  )
  // 64 MB: far beyond what kernel buffers and broker may hold together.
  let accepted = 0
  for (let sent = 0; sent < 64; sent++) {
    if (client.socket.write(flood, () => accepted++)) continue
    const drained = new Promise<boolean>((resolve) => client.socket.once('drain', () => resolve(true)))
    const isDrained = await Promise.race([drained, roundTrip(t, broker).then(() => false)])
    if (!isDrained && sent - accepted > 3) break
  }
  t.ok(client.socket.writableLength > 0, 'the client is held back')
  t.ok(accepted < 30, `${accepted} MB went into the kernel and the broker`)
  t.ok(broker.log.entries.length < 100, 'the log got little more than it asked for')
  broker.log.room()
  const total = Math.floor((client.socket.bytesWritten - packets.connect().length) / flood.length) * 100
  await until('everything arrives once there is room', () => broker.log.entries.length >= total)
})

test('QoS 0 is passed on before it is durable', async (t) => {
  const broker = await startBroker(t)
  const subscriber = await connectRaw(t, broker, { clientId: 'subscriber' })
  subscriber.send(packets.subscribe('#'))
  await subscriber.has('suback')
  const client = await connectRaw(t, broker)
  broker.log.hold()
  client.send(packets.publish('a', 0))
  await subscriber.has('publish')
})

test('what a client sent before it disconnected is kept and acknowledged', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  broker.log.hold()
  client.send(packets.publish('a', 0), packets.publish('b', 1, 5), packets.disconnect)
  client.socket.end()
  await until('both are appended', () => broker.log.entries.length === 2)
  await roundTrip(t, broker)
  t.notOk(client.ended)
  broker.log.release()
  await client.isEnded()
  t.same(client.ids('puback'), [5])
})

test('close() lets acknowledgements that are on their way leave, and stores nothing afterwards', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  broker.log.hold()
  client.send(packets.publish('a', 1, 5))
  await until('the message is appended', () => broker.log.entries.length === 1)
  const closed = broker.source.close()
  broker.log.release()
  await closed
  await client.isEnded()
  t.same(client.ids('puback'), [5])
  client.send(packets.publish('late', 1, 6))
  await broker.source.close()
  t.equal(broker.log.entries.length, 1)
  t.equal(broker.health().state, 'closed')
})

test('while the log is full subscribers are still served', async (t) => {
  const broker = await startBroker(t)
  const publisher = await connectRaw(t, broker, { clientId: 'publisher' })
  broker.log.full()
  publisher.send(packets.publish('a', 0, 0, { retain: true }))
  await until('the log is full', () => broker.log.entries.length === 1)
  publisher.send(packets.publish('b', 0))
  const subscriber = await connectRaw(t, broker, { clientId: 'subscriber' })
  subscriber.send(packets.subscribe('#', 1))
  await subscriber.has('publish')
  t.equal(broker.log.entries.length, 1)
  broker.log.room()
  await subscriber.has('publish', 2)
})

test('while the log is full, wills of clients that come and go wait in bounded memory, the rest is counted', async (t) => {
  const broker = await startBroker(t)
  const filling = await connectRaw(t, broker, { clientId: 'filling' })
  broker.log.full()
  filling.send(packets.publish('a', 1, 1))
  await filling.has('puback')
  const will = { topic: 'gone', payload: Buffer.alloc(60_000), qos: 1, retain: false }
  const limit = Math.ceil(MAX_WAITING_WILL_BYTES / will.payload.length)
  for (let number = 0; number < limit; number++) {
    const client = await connectRaw(t, broker, { clientId: `flapping ${number}`, will })
    client.socket.destroy()
  }
  await until('wills are refused', () => broker.refused('log') > 0 && broker.health().detail?.['connections'] === 1)
  const refused = broker.refused('log')
  broker.log.room()
  await until('the rest is stored', () => broker.log.entries.length === 1 + limit - refused)
  t.ok(refused < limit / 2)
  const last = await connectRaw(t, broker, { clientId: 'flapping', will })
  last.socket.destroy()
  await until('there is room for wills again', () => broker.log.entries.length === 2 + limit - refused)
})
