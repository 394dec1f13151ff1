import { connectAsync } from 'mqtt'
import { test } from 'tap'
import { TidegateError } from '../../../src/core/errors.ts'
import { memoryLog } from '../../support/memory-log.ts'
import { connectRaw, packets, roundTrip, startBroker } from '../../support/mqtt-broker.ts'
import { until } from '../../support/until.ts'

const again = { dup: true }

test('a retransmitted QoS 2 PUBLISH is acknowledged again and not appended again', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker, { clean: false })
  client.send(packets.publish('a', 2, 1))
  await client.has('pubrec')
  client.send(packets.publish('a', 2, 1, again))
  await client.has('pubrec', 2)
  client.socket.destroy()

  const resumed = await connectRaw(t, broker, { clean: false })
  resumed.send(packets.publish('a', 2, 1, again))
  await resumed.has('pubrec')
  t.equal(broker.log.entries.length, 1)
  t.equal(broker.count('mqtt_retransmissions_total'), 2)

  resumed.send(packets.pubrel(1))
  await resumed.has('pubcomp')
  resumed.send(packets.publish('a', 2, 1))
  await resumed.has('pubrec', 2)
  t.equal(broker.log.entries.length, 2, 'after PUBREL the identifier is free for a new message')
})

test('a retransmission waits for the first to be durable, in order with its neighbours', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  broker.log.hold()
  client.send(
    packets.publish('a', 2, 1),
    packets.publish('b', 2, 2),
    packets.publish('a', 2, 1, again),
    packets.publish('c', 2, 3),
  )
  await until('three are appended', () => broker.log.entries.length === 3)
  await roundTrip(t, broker)
  t.same(client.ids('pubrec'), [])
  broker.log.release()
  await client.has('pubrec', 4)
  t.same(client.ids('pubrec'), [1, 2, 1, 3])
  t.equal(broker.log.entries.length, 3)
})

test('a reused identifier with other content is a new message, with the same content it is not', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker, { clean: false })
  client.send(packets.publish('a', 2, 1))
  await client.has('pubrec')
  client.send(packets.publish('a', 2, 1, { dup: true, payload: 'other' }))
  await client.has('pubrec', 2)
  client.send(packets.publish('a', 2, 1, { payload: 'other' }))
  await client.has('pubrec', 3)
  t.equal(broker.log.entries.length, 2)
})

test('after a clean CONNECT only what says that it is a retransmission counts as one', async (t) => {
  const broker = await startBroker(t)
  const first = await connectRaw(t, broker)
  first.send(packets.publish('a', 2, 1), packets.publish('b', 2, 2))
  await first.has('pubrec', 2)
  const second = await connectRaw(t, broker)
  second.send(packets.publish('a', 2, 1, again), packets.publish('b', 2, 2))
  await second.has('pubrec', 2)
  t.same(
    broker.log.entries.map(({ topic }) => topic),
    ['a', 'b', 'b'],
  )
})

test('the same identifier of another client is another message', async (t) => {
  const broker = await startBroker(t)
  const one = await connectRaw(t, broker, { clientId: 'one' })
  const other = await connectRaw(t, broker, { clientId: 'other' })
  one.send(packets.publish('a', 2, 1))
  await one.has('pubrec')
  other.send(packets.publish('a', 2, 1, again))
  await other.has('pubrec')
  t.equal(broker.log.entries.length, 2)
})

for (const how of ['without a checkpoint, as after kill -9', 'from the checkpoint'] as const)
  test(`a retransmission is recognised after a restart, ${how}`, async (t) => {
    const log = memoryLog()
    const first = await startBroker(t, { log })
    const client = await connectRaw(t, first, { clientId: 'sensor', clean: false })
    client.send(packets.publish('a', 2, 1), packets.publish('b', 2, 2))
    await client.has('pubrec', 2)
    client.send(packets.pubrel(2))
    await client.has('pubcomp')
    if (how === 'from the checkpoint') await first.source.close()

    const second = await startBroker(t, {
      log,
      ...(how === 'from the checkpoint' ? { directory: first.directory } : {}),
    })
    const resumed = await connectRaw(t, second, { clientId: 'sensor', clean: false })
    resumed.send(packets.publish('a', 2, 1, again))
    await resumed.has('pubrec')
    t.equal(log.entries.length, 2)
    resumed.send(packets.publish('b', 2, 2))
    await resumed.has('pubrec', 2)
    t.equal(log.entries.length, 3)
  })

test('what the log failed is stored when it comes again, and passed on only once', async (t) => {
  const broker = await startBroker(t)
  const subscriber = await connectRaw(t, broker, { clientId: 'subscriber' })
  subscriber.send(packets.subscribe('#', 2))
  await subscriber.has('suback')
  broker.log.fail(new TidegateError('TG_LOG_WRITE', 'the disk is gone'))
  const client = await connectRaw(t, broker, { clean: false })
  client.send(packets.publish('a', 2, 1))
  await client.isEnded()
  broker.log.fail(undefined)

  const resumed = await connectRaw(t, broker, { clean: false })
  resumed.send(packets.publish('a', 2, 1, again))
  await resumed.has('pubrec')
  t.equal(broker.log.entries.length, 1)
  resumed.send(packets.publish('b', 2, 2))
  await subscriber.has('publish', 2)
  t.same(
    subscriber.received.flatMap((packet) => (packet.cmd === 'publish' ? [packet.topic] : [])),
    ['a', 'b'],
  )
})

test('a QoS 1 message that comes again is appended again', async (t) => {
  const broker = await startBroker(t)
  const client = await connectRaw(t, broker)
  client.send(packets.publish('a', 1, 1))
  await client.has('puback')
  client.send(packets.publish('a', 1, 1, again))
  await client.has('puback', 2)
  t.equal(broker.log.entries.length, 2)
})

test('MQTT.js delivers 500 QoS 2 messages exactly once over connections that break', async (t) => {
  const broker = await startBroker(t)
  const client = await connectAsync(broker.url, { clientId: 'js', reconnectPeriod: 5, clean: false })
  t.teardown(() => client.endAsync(true))
  const published = Array.from({ length: 500 }, (_, index) => client.publishAsync('n', String(index), { qos: 2 }))
  for (const part of [100, 250, 400]) {
    await until(`${part} messages`, () => broker.log.entries.length >= part)
    client.stream.destroy()
  }
  await Promise.all(published)
  t.same(
    broker.log.entries.map(({ payload }) => Number(payload)).sort((a, b) => a - b),
    Array.from({ length: 500 }, (_, index) => index),
  )
})
