import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { type Test, test } from 'tap'
import type { Command } from '../../../src/core/contract.ts'
import { mosquittoPub, mosquittoSub } from '../../support/mosquitto.ts'
import { connectRaw, openRaw, packets, type RunningBroker, roundTrip, startBroker } from '../../support/mqtt-broker.ts'
import { needs } from '../../support/needs.ts'
import { until } from '../../support/until.ts'

interface Got {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
}

const connect = async (t: Test, { url }: RunningBroker, options: IClientOptions = {}) => {
  const client: MqttClient & { got?: Got[] } = await connectAsync(url, { reconnectPeriod: 0, ...options })
  t.teardown(() => client.endAsync(true))
  const got: Got[] = []
  client.on('message', (topic, payload, { qos, retain }) => {
    got.push({ topic, payload: payload.toString(), qos, retain })
  })
  return { client, got }
}

test('MQTT.js publishes and subscribes at every QoS', async (t) => {
  const broker = await startBroker(t)
  const { client: subscriber, got } = await connect(t, broker)
  await subscriber.subscribeAsync({ 'zero/#': { qos: 0 }, 'one/+': { qos: 1 }, 'two/x': { qos: 2 } })
  const { client: publisher } = await connect(t, broker)
  const expected: Got[] = []
  for (const [filter, granted] of [
    ['zero/x', 0],
    ['one/x', 1],
    ['two/x', 2],
  ] as const)
    for (const qos of [0, 1, 2] as const) {
      await publisher.publishAsync(filter, `${qos}`, { qos })
      expected.push({ topic: filter, payload: `${qos}`, qos: Math.min(qos, granted), retain: false })
    }
  await until('nine messages', () => got.length === 9)
  t.same(got, expected)
  t.equal(broker.log.entries.length, 9)
})

test('messages of different QoS reach a subscriber in the order in which they were sent', async (t) => {
  const broker = await startBroker(t)
  const { client: subscriber, got } = await connect(t, broker)
  await subscriber.subscribeAsync('#', { qos: 1 })
  const publisher = await connectRaw(t, broker)
  publisher.send(...Array.from({ length: 200 }, (_, n) => packets.publish('t', (n % 2) as 0 | 1, n + 1)))
  await until('all messages', () => got.length === 200)
  t.same(
    got.map(({ payload }) => payload),
    Array.from({ length: 200 }, (_, n) => `payload of ${n + 1}`),
  )
})

test('overlapping subscriptions deliver once, at the highest granted QoS', async (t) => {
  const broker = await startBroker(t)
  const { client, got } = await connect(t, broker)
  await client.subscribeAsync('a/#', { qos: 0 })
  await client.subscribeAsync('a/+', { qos: 2 })
  await client.subscribeAsync('a/b', { qos: 1 })
  await client.publishAsync('a/b', 'x', { qos: 2 })
  await client.publishAsync('last', 'x')
  await until('the message', () => got.length > 0)
  await roundTrip(t, broker)
  t.same(got, [{ topic: 'a/b', payload: 'x', qos: 2, retain: false }])
  await client.unsubscribeAsync('a/+')
  await client.publishAsync('a/b', 'y', { qos: 2 })
  await until('the second message', () => got.length > 1)
  t.equal(got[1]?.qos, 1)
})

test('retained messages come at subscription, the last of each topic, until they are cleared', async (t) => {
  const broker = await startBroker(t)
  const { client: publisher } = await connect(t, broker)
  await publisher.publishAsync('r/1', 'old', { qos: 1, retain: true })
  await publisher.publishAsync('r/1', 'new', { qos: 1, retain: true })
  await publisher.publishAsync('r/2', 'gone', { qos: 1, retain: true })
  await publisher.publishAsync('r/2', '', { qos: 1, retain: true })
  const { client, got } = await connect(t, broker)
  await client.subscribeAsync('r/#', { qos: 1 })
  await until('the retained message', () => got.length === 1)
  await publisher.publishAsync('r/1', 'live', { qos: 1, retain: true })
  await until('the live message', () => got.length === 2)
  t.same(got, [
    { topic: 'r/1', payload: 'new', qos: 1, retain: true },
    { topic: 'r/1', payload: 'live', qos: 1, retain: false },
  ])
  t.equal(broker.log.entries.length, 5, 'a message that clears is logged like any other')
  t.match(broker.log.entries[3], { topic: 'r/2', retain: true, payload: Buffer.alloc(0) })
})

test('a will is published and logged when the connection breaks, and not after DISCONNECT', async (t) => {
  const broker = await startBroker(t)
  const { client: watcher, got } = await connect(t, broker)
  await watcher.subscribeAsync('#', { qos: 1 })
  const will = (topic: string) => ({ topic, payload: Buffer.from('offline'), qos: 1 as const, retain: true })
  const { client: polite } = await connect(t, broker, { will: will('polite') })
  await polite.endAsync()
  const { client: broken } = await connect(t, broker, { will: will('broken') })
  broken.stream.destroy()
  await until('the will', () => got.length === 1)
  t.same(got, [{ topic: 'broken', payload: 'offline', qos: 1, retain: false }])
  t.same(
    broker.log.entries.map(({ topic, retain }) => ({ topic, retain })),
    [{ topic: 'broken', retain: true }],
  )
})

test('a persistent session keeps subscriptions and QoS 1 and 2 messages while its client is away', async (t) => {
  const broker = await startBroker(t)
  const options = { clientId: 'away', clean: false }
  const { client: first } = await connect(t, broker, options)
  await first.subscribeAsync('q/#', { qos: 2 })
  await first.endAsync()
  const { client: publisher } = await connect(t, broker)
  for (const qos of [0, 1, 2] as const) await publisher.publishAsync(`q/${qos}`, 'x', { qos })
  const { client, got } = await connect(t, broker, options)
  await until('what was kept', () => got.length === 2)
  await publisher.publishAsync('q/live', 'x', { qos: 0 })
  await until('what is live', () => got.length === 3)
  t.same(
    got.map(({ topic }) => topic),
    ['q/1', 'q/2', 'q/live'],
  )
  await client.endAsync()

  const { client: clean } = await connect(t, broker, { clientId: 'away', clean: true })
  await clean.endAsync()
  const raw = await connectRaw(t, broker, options)
  t.match(raw.received[0], { cmd: 'connack', sessionPresent: false }, 'a clean session discards the stored one')
})

test('session present is told, also to a client that has only published', async (t) => {
  const broker = await startBroker(t)
  const first = await connectRaw(t, broker, { clientId: 'p', clean: false })
  t.match(first.received[0], { sessionPresent: false, returnCode: 0 })
  first.socket.destroy()
  const second = await connectRaw(t, broker, { clientId: 'p', clean: false })
  t.match(second.received[0], { sessionPresent: true, returnCode: 0 })
})

test('unacknowledged messages come again after a reconnect, marked as such', async (t) => {
  const broker = await startBroker(t)
  const options = { clientId: 'slow', clean: false }
  const first = await connectRaw(t, broker, options)
  first.send(packets.subscribe('#', 1))
  await first.has('suback')
  const publisher = await connectRaw(t, broker, { clientId: 'publisher' })
  publisher.send(packets.publish('a', 1, 1), packets.publish('b', 1, 2))
  await first.has('publish', 2)
  const [one, two] = first.ids('publish')
  first.send(packets.puback(one ?? 0))
  first.send(packets.pingreq)
  await first.has('pingresp')
  first.socket.destroy()
  const second = await connectRaw(t, broker, options)
  await second.has('publish')
  t.match(second.received[1], { cmd: 'publish', topic: 'b', dup: true, messageId: two })
})

test('a client that connects again takes its session over, and the old connection ends', async (t) => {
  const broker = await startBroker(t)
  const old = await connectRaw(t, broker, {
    clientId: 'same',
    clean: false,
    will: { topic: 'will', payload: Buffer.from('w'), qos: 0, retain: false },
  })
  old.send(packets.subscribe('#', 1))
  await old.has('suback')
  const successor = await connectRaw(t, broker, { clientId: 'same', clean: false })
  await old.isEnded()
  await until('the will of the old connection', () => broker.log.entries.length === 1)
  const publisher = await connectRaw(t, broker, { clientId: 'publisher' })
  publisher.send(packets.publish('a', 1, 1))
  await until('the message', () => successor.ids('publish').length >= 1)
  await until('one connection of that name', () => broker.health().detail?.['connections'] === 2)
})

test('twenty connections that fight for one Client Identifier leave one session behind', async (t) => {
  const broker = await startBroker(t)
  const clients = await Promise.all(Array.from({ length: 20 }, () => connectRaw(t, broker, { clientId: 'fought' })))
  await until('all but one have ended', () => clients.filter(({ ended }) => ended).length === 19)
  const winner = clients.find(({ ended }) => !ended)
  winner?.send(packets.subscribe('x'), packets.pingreq)
  await winner?.has('pingresp')
  t.match(broker.health().detail, { connections: 1, sessions: 1 })
})

test('a client that falls silent beyond its keep-alive is closed, one that pings is not', async (t) => {
  const broker = await startBroker(t)
  const silent = await connectRaw(t, broker, { clientId: 'silent', keepalive: 1 })
  const { client } = await connect(t, broker, { clientId: 'pings', keepalive: 1 })
  const from = performance.now()
  await silent.isEnded()
  t.ok(performance.now() - from > 1_200, 'after one and a half keep-alives')
  t.equal(broker.refused('keep-alive'), 1)
  t.ok(client.connected)
})

test('packets that follow CONNECT without waiting are served in order, however many', async (t) => {
  const broker = await startBroker(t)
  const eager = Array.from({ length: 100 }, (_, n) => packets.publish(`e/${n}`, 1, n + 1))
  const pipelined = openRaw(t, broker)
  pipelined.send(packets.connect({ clientId: 'eager' }), packets.subscribe('s'), ...eager, packets.disconnect)
  await pipelined.isEnded()
  t.same(pipelined.commands().slice(0, 2), ['connack', 'suback'])
  t.same(
    pipelined.ids('puback'),
    Array.from({ length: 100 }, (_, n) => n + 1),
  )
})

test('MQTT 3.1 is served, with long Client Identifiers too', async (t) => {
  const broker = await startBroker(t)
  const { client, got } = await connect(t, broker, {
    protocolId: 'MQIsdp',
    protocolVersion: 3,
    clientId: 'a client identifier of more than 23 characters',
  })
  await client.subscribeAsync('a', { qos: 1 })
  await client.publishAsync('a', 'x', { qos: 1 })
  await until('the message', () => got.length === 1)
})

test('a bridge gets retain flags as published and not its own messages', async (t) => {
  const broker = await startBroker(t)
  const bridge = await connectRaw(t, broker, { clientId: 'bridge', bridgeMode: true })
  bridge.send(packets.subscribe('#', 0), packets.publish('own', 0))
  await bridge.has('suback')
  const publisher = await connectRaw(t, broker)
  publisher.send(packets.publish('theirs', 0, 0, { retain: true }))
  await bridge.has('publish')
  t.match(
    bridge.received.filter(({ cmd }) => cmd === 'publish'),
    [{ topic: 'theirs', retain: true }],
  )
})

test('wildcards in front do not match topics with $', async (t) => {
  const broker = await startBroker(t)
  const { client, got } = await connect(t, broker)
  await client.subscribeAsync(['#', '+/x', '$SYS/#'])
  const command = { id: '1', device: '$SYS/x', payload: Buffer.from('c'), qos: 0 } as const
  await send(broker, command)
  await client.publishAsync('a/x', 'x')
  await until('the second message', () => got.some(({ topic }) => topic === 'a/x'))
  t.equal(got.length, 2)
})

test('a command reaches the subscribers of its device, is not logged, and is refused where nobody listens', async (t) => {
  const broker = await startBroker(t)
  const { client, got } = await connect(t, broker)
  await client.subscribeAsync('lamp/+', { qos: 1 })
  const payload = Buffer.from('ON')
  await send(broker, { id: '1', device: 'lamp/hall', payload, qos: 1 })
  await send(broker, { id: '2', device: 'lamp', topic: 'lamp/set', payload, qos: 0 })
  await until('both commands', () => got.length === 2)
  t.same(
    got.map(({ topic, qos, retain }) => [topic, qos, retain]),
    [
      ['lamp/hall', 1, false],
      ['lamp/set', 0, false],
    ],
  )
  t.equal(broker.log.entries.length, 0)
  await t.rejects(send(broker, { id: '3', device: 'stove', payload, qos: 1 }), {
    code: 'TG_COMMAND_UNDELIVERABLE',
  })
  await t.rejects(send(broker, { id: '4', device: 'a/#', payload, qos: 1 }), { code: 'TG_TOPIC_INVALID' })
})

test('mosquitto_pub and mosquitto_sub work as with any broker', needs('mosquitto-clients'), async (t) => {
  const broker = await startBroker(t)
  const received = mosquittoSub(broker.port, 3, 10_000, '-q', '2', '-t', 'm/#', '-v')
  await until('its subscription', () => broker.health().detail?.['subscriptions'] === 1)
  for (const qos of ['0', '1', '2']) await mosquittoPub(broker.port, '-q', qos, '-t', `m/${qos}`, '-m', `with ${qos}`)
  t.same(await received, ['m/0 with 0', 'm/1 with 1', 'm/2 with 2'])
  t.equal(broker.log.entries.length, 3)
})

test('mosquitto with MQTT 5 is told that the version is not served', needs('mosquitto-clients'), async (t) => {
  const broker = await startBroker(t)
  await t.rejects(mosquittoPub(broker.port, '-V', '5', '-t', 'a', '-m', 'x'), /Unsupported Protocol Version/)
  t.equal(broker.refused('protocol-version'), 1)
})

const send = async ({ source }: RunningBroker, command: Command): Promise<void> => source.send?.(command)

test('clients that vanish right after CONNECT leave nothing behind', async (t) => {
  const broker = await startBroker(t)
  for (let count = 0; count < 200; count++) {
    const client = openRaw(t, broker)
    client.send(packets.connect({ clientId: `v${count % 50}` }), packets.subscribe('#', 1))
    if (count % 2 === 0) client.socket.once('connect', () => client.socket.resetAndDestroy())
    else client.socket.once('data', () => client.socket.resetAndDestroy())
  }
  await connectRaw(t, broker, { clientId: 'last' })
  await until('all are gone', () => broker.health().detail?.['connections'] === 1)
  t.match(broker.health().detail, { sessions: 1, subscriptions: 0 })
})
