import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import mqttPacket from 'mqtt-packet'
import { test } from 'tap'
import { TidegateError } from '../../src/core/errors.ts'
import { plugin } from '../../src/sources/mqtt-client/plugin.ts'
import { selfSigned } from '../support/certificate.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { mosquittoPub, mosquittoSub } from '../support/mosquitto.ts'
import { startMosquitto } from '../support/mosquitto-broker.ts'
import { startBroker } from '../support/mqtt-broker.ts'
import { startClient } from '../support/mqtt-client-source.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

const tools = needs('mosquitto', 'mosquitto-clients')

/** Publishes numbers with QoS 1; each is confirmed by the broker. */
const publishNumbers = async (url: string, topic: string, first: number, count: number) => {
  const client = await connectAsync(url)
  await Promise.all(
    Array.from({ length: count }, (_, index) => client.publishAsync(topic, `${first + index}`, { qos: 1 })),
  )
  await client.endAsync()
}

/** A broker that refuses what is secret, and sends one message. */
const startScriptedBroker = async (t: Parameters<typeof temporaryDirectory>[0], protocolVersion: 4 | 5) => {
  const subscriptions: mqttPacket.ISubscription[] = []
  const server = createServer((socket) => {
    t.teardown(async () => void socket.destroy())
    const parser = mqttPacket.parser({ protocolVersion })
    const send = (packet: mqttPacket.Packet) => socket.write(mqttPacket.generate(packet, { protocolVersion }))
    parser.on('packet', (packet) => {
      if (packet.cmd === 'connect') send({ cmd: 'connack', sessionPresent: false, returnCode: 0, reasonCode: 0 })
      if (packet.cmd !== 'subscribe') return
      subscriptions.push(...packet.subscriptions)
      const granted = packet.subscriptions.map(({ topic }) => (topic.startsWith('secret') ? 128 : 1))
      send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted })
      send({ cmd: 'publish', topic: 'open', payload: '1', qos: 0, retain: false, dup: false })
    })
    socket.on('data', (bytes) => parser.parse(bytes))
    socket.on('error', () => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => void server.close())
  return { port: (server.address() as AddressInfo).port, subscriptions }
}

for (const protocol of ['3.1.1', '5', 'auto'])
  test(`what a broker sends goes to the log, by MQTT ${protocol}`, tools, async (t) => {
    const broker = await startMosquitto(t)
    await mosquittoPub(broker.port, '-t', 'sensors/kept', '-m', 'before', '-r')
    const { connected, received, log, source } = await startClient(t, {
      url: broker.url,
      topics: ['sensors/#'],
      protocol,
    })
    await connected()
    for (const qos of ['0', '1', '2']) await mosquittoPub(broker.port, '-t', `sensors/${qos}`, '-m', '21.5', '-q', qos)
    t.strictSame(await received(4), ['sensors/kept before', 'sensors/0 21.5', 'sensors/1 21.5', 'sensors/2 21.5'])
    t.match(log.entries, [
      { source: 'house', qos: 0, retain: true },
      { qos: 0, retain: false },
      { qos: 1, retain: false },
      { qos: 1, retain: false },
    ])
    t.match(source.health().detail, { protocol: protocol === '3.1.1' ? '3.1.1' : '5', received: 4 })
  })

test('a message is acknowledged when it is durable, and many are on their way at a time', tools, async (t) => {
  const broker = await startMosquitto(t)
  const { connected, received, log, source } = await startClient(t, { url: broker.url, topics: ['n'] })
  await connected()
  log.hold()
  await publishNumbers(broker.url, 'n', 0, 500)
  await until('the broker has sent more than one by one', () => source.health().detail?.['unacknowledged'] === 500)
  log.release()
  t.equal((await received(500)).length, 500)
  await until('everything is acknowledged', () => source.health().detail?.['unacknowledged'] === 0)
})

test('what was not acknowledged comes again, and what was does not', tools, async (t) => {
  const broker = await startMosquitto(t)
  const config = { url: broker.url, topics: ['n'] }
  const first = await startClient(t, config)
  await first.connected()
  await publishNumbers(broker.url, 'n', 0, 10)
  await first.received(10)
  await until('everything is acknowledged', () => first.source.health().detail?.['unacknowledged'] === 0)
  first.log.hold()
  await publishNumbers(broker.url, 'n', 10, 10)
  await until('ten are on their way', () => first.source.health().detail?.['unacknowledged'] === 10)
  await first.source.close()

  const second = await startClient(t, config, { directory: first.directory })
  t.strictSame(
    await second.received(10),
    Array.from({ length: 10 }, (_, index) => `n ${10 + index}`),
  )
})

test('messages with QoS 2 are received, released and completed', tools, async (t) => {
  const broker = await startMosquitto(t)
  const { connected, received } = await startClient(t, { url: broker.url, topics: ['x'], qos: 2 })
  await connected()
  const count = 200 // more than Mosquitto has in flight: it waits for the completion of the first
  const client = await connectAsync(broker.url)
  for (let number = 0; number < count; number++) await client.publishAsync('x', `${number}`, { qos: 2 })
  await client.endAsync()
  t.strictSame(
    await received(count),
    Array.from({ length: count }, (_, number) => `x ${number}`),
  )
})

test('a broker that goes away and comes back is found again, with what it kept', tools, async (t) => {
  const broker = await startMosquitto(t)
  const { connected, received, source, counters } = await startClient(t, { url: broker.url, topics: ['n'] })
  await connected()
  await publishNumbers(broker.url, 'n', 0, 3)
  await received(3)
  await broker.stop()
  await until('the loss is seen', () => source.health().state === 'degraded')
  t.match(source.health().reason, new RegExp(`127.0.0.1:${broker.port}`))
  await broker.start()
  await publishNumbers(broker.url, 'n', 3, 3)
  t.strictSame(await received(6), ['n 0', 'n 1', 'n 2', 'n 3', 'n 4', 'n 5'])
  t.ok((counters.get('mqtt_client_retries_total{source=house}') ?? 0) > 0)
  t.equal(counters.get('mqtt_client_sessions_lost_total{source=house}'), undefined)
})

for (const protocol of ['3.1.1', '5'])
  test(`retained messages come once, not with each connection, by MQTT ${protocol}`, tools, async (t) => {
    const broker = await startMosquitto(t)
    await mosquittoPub(broker.port, '-t', 'n/kept', '-m', 'old', '-r')
    const { connected, received, source, log } = await startClient(t, { url: broker.url, topics: ['n/#'], protocol })
    await connected()
    await received(1)
    for (let round = 0; round < 2; round++) {
      await broker.stop()
      await until('the loss is seen', () => source.health().state === 'degraded')
      await broker.start()
      await connected()
    }
    await publishNumbers(broker.url, 'n/new', 0, 1)
    t.strictSame(await received(2), ['n/kept old', 'n/new 0'])
    t.equal(log.entries.length, 2)
  })

test('a broker that is not there yet is waited for', tools, async (t) => {
  const broker = await startMosquitto(t)
  await broker.stop()
  const { connected, source } = await startClient(t, { url: broker.url, topics: ['n'] })
  await until('why is known', () => source.health().reason?.includes('ECONNREFUSED') === true)
  await broker.start()
  await connected()
  t.pass()
})

test('a session that the broker has forgotten is told', tools, async (t) => {
  const broker = await startMosquitto(t)
  const config = { url: broker.url, topics: ['n'] }
  const first = await startClient(t, config)
  await first.connected()
  await first.source.close()
  await broker.stop()
  await broker.configure('autosave_interval 0')
  const other = await startMosquitto(t) // another one, which has never seen it, at the place of the first
  const second = await startClient(t, { ...config, url: other.url }, { directory: first.directory })
  await second.connected()
  t.equal(
    second.counters.get('mqtt_client_sessions_lost_total{source=house}'),
    undefined,
    'another broker is another session',
  )
  const clean = await connectAsync(other.url, { clientId: 'tidegate-test-house', clean: true })
  await clean.endAsync()
  await until('it is told', () => second.counters.get('mqtt_client_sessions_lost_total{source=house}') === 1)
})

test('a topic that the configuration does not name any more is unsubscribed', tools, async (t) => {
  const broker = await startMosquitto(t)
  const first = await startClient(t, { url: broker.url, topics: ['old/#', 'n'] })
  await first.connected()
  await first.source.close()
  const second = await startClient(t, { url: broker.url, topics: ['n'] }, { directory: first.directory })
  await second.connected()
  await mosquittoPub(broker.port, '-t', 'old/x', '-m', '1', '-q', '1')
  await mosquittoPub(broker.port, '-t', 'n', '-m', '2', '-q', '1')
  t.strictSame(await second.received(1), ['n 2'])
})

test('a broker that wants somebody else says so in the health, without the password', tools, async (t) => {
  const broker = await startMosquitto(t, 'allow_anonymous false')
  const { source } = await startClient(t, { url: broker.url.replace('//', '//someone:secret-word@'), topics: ['n'] })
  await until('it is refused', () => /not authori[sz]ed/i.test(source.health().reason ?? ''))
  t.notMatch(JSON.stringify(source.health()), /secret-word/)
  t.equal(source.health().state, 'degraded')
})

for (const [protocol, protocolVersion] of [
  ['3.1.1', 4],
  ['5', 5],
] as const)
  test(`a subscription that the broker refuses is named, by MQTT ${protocol}`, async (t) => {
    const { port } = await startScriptedBroker(t, protocolVersion)
    const config = { url: `mqtt://127.0.0.1:${port}`, topics: ['open', 'secret/#'], protocol }
    const { source, received } = await startClient(t, config)
    await until('it is named', () => /refuses the subscription to secret\/#/.test(source.health().reason ?? ''))
    t.strictSame(await received(1), ['open 1'], 'the others are served')
  })

test('a shared subscription does not ask for what MQTT 5 forbids there', async (t) => {
  const { port, subscriptions } = await startScriptedBroker(t, 5)
  const config = { url: `mqtt://127.0.0.1:${port}`, topics: ['open', '$share/gateways/n'], protocol: '5' }
  await (await startClient(t, config)).received(1)
  t.strictSame(
    subscriptions.map(({ topic, nl }) => [topic, nl]),
    [
      ['open', true],
      ['$share/gateways/n', false],
    ],
  )
})

test('a broker that is not there is told once', async (t) => {
  const { lines, counters } = await startClient(t, { url: 'mqtt://127.0.0.1:1', topics: ['n'], protocol: '3.1.1' })
  await until('it was tried twice', () => (counters.get('mqtt_client_retries_total{source=house}') ?? 0) >= 2)
  t.strictSame(
    lines.filter(({ level }) => level === 'warn').map(({ message }) => message),
    ['mqtt broker cannot be connected'],
  )
})

test('what a broker sends together with its CONNACK is acknowledged, taken or not', async (t) => {
  const acknowledged: number[] = []
  const server = createServer((socket) => {
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', (packet) => {
      if (packet.cmd === 'puback') acknowledged.push(packet.messageId ?? 0)
      if (packet.cmd !== 'connect') return
      const publish = (messageId: number, topic: string) =>
        mqttPacket.generate({ cmd: 'publish', topic, payload: '1', qos: 1, retain: false, dup: false, messageId })
      const connack = mqttPacket.generate({ cmd: 'connack', sessionPresent: true, returnCode: 0 })
      socket.write(Buffer.concat([connack, publish(1, 'a/'.repeat(200)), publish(2, 'good')]))
    })
    socket.on('data', (bytes) => parser.parse(bytes))
    socket.on('error', () => socket.destroy())
    t.teardown(async () => void socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => void server.close())
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { received, source } = await startClient(t, { url, topics: ['#'], protocol: '3.1.1' })
  t.strictSame(await received(1), ['good 1'])
  await until('both are acknowledged', () => acknowledged.length === 2)
  t.strictSame(acknowledged, [1, 2], 'or the session would be stuck behind them')
  await source.close()
  t.equal(source.health().state, 'closed', 'although the broker never answered the subscription')
})

test('while the log is full pings are answered, and everything arrives in order afterwards', tools, async (t) => {
  const broker = await startMosquitto(t)
  const { connected, received, log, source } = await startClient(t, {
    url: broker.url,
    topics: ['n'],
    keepAlive: 1_000,
  })
  await connected()
  log.full()
  await publishNumbers(broker.url, 'n', 0, 100)
  await until('they wait', () => Number(source.health().detail?.['waiting']) === 99)
  const { since } = source.health()
  // Twice the keep-alive and more: without an answer to its ping the connection would have ended by now.
  const started = performance.now()
  await until('time goes by', () => performance.now() - started > 3_500)
  t.strictSame([source.health().state, source.health().since], ['ok', since])
  log.room()
  t.strictSame(
    await received(100),
    Array.from({ length: 100 }, (_, index) => `n ${index}`),
  )
})

for (const protocol of ['3.1.1', '5'])
  test(`a message above the limit is passed over and counted, by MQTT ${protocol}`, tools, async (t) => {
    const broker = await startMosquitto(t)
    const config = { url: broker.url, topics: ['n/#'], protocol, maxPacketBytes: 2_048 }
    const { connected, received, source, counters, lines } = await startClient(t, config)
    await connected()
    const client = await connectAsync(broker.url)
    await client.publishAsync('n/large', Buffer.alloc(300_000), { qos: 1 })
    await client.publishAsync('n/small', '1', { qos: 1 })
    await client.endAsync()
    t.strictSame(await received(1), ['n/small 1'])
    await until('all is acknowledged', () => source.health().detail?.['unacknowledged'] === 0)
    if (protocol === '5') return // the broker knows the limit, and keeps it back itself
    t.equal(counters.get('mqtt_client_refused_total{source=house,reason=too-large}'), 1)
    t.ok(lines.some(({ fields }) => 'topic' in fields && fields.topic === 'n/large'))
  })

test('a broker that speaks MQTT 3.1.1 only is found out', async (t) => {
  const broker = await startBroker(t)
  const { connected, received, source } = await startClient(t, { url: broker.url, topics: ['a/#'] })
  await connected()
  t.equal(source.health().detail?.['protocol'], '3.1.1')
  const client = await connectAsync(broker.url)
  await client.publishAsync('a/b', 'x', { qos: 1 })
  await client.endAsync()
  t.strictSame(await received(1), ['a/b x'])
})

test('a command is published at the broker, and does not come back', tools, async (t) => {
  const broker = await startMosquitto(t)
  const { connected, received, source } = await startClient(t, { url: broker.url, topics: ['#'] })
  await connected()
  const heard = mosquittoSub(broker.port, 1, 10_000, '-t', 'lamp/set', '-q', '1')
  await until('the listener subscribes', async () => {
    const command = { id: '1', device: 'lamp', topic: 'lamp/set', payload: Buffer.from('on'), qos: 1 as const }
    await source.send?.(command)
    return Promise.race([heard, new Promise<false>((resolve) => setImmediate(() => resolve(false)))])
  })
  t.strictSame(await heard, ['on'])
  await mosquittoPub(broker.port, '-t', 'other', '-m', '1', '-q', '1')
  t.strictSame(await received(1), ['other 1'])
  await broker.stop()
  await until('the loss is seen', () => source.health().state === 'degraded')
  const command = { id: '2', device: 'lamp', payload: Buffer.from('on'), qos: 1 as const }
  await t.rejects(source.send?.(command) ?? Promise.resolve(), { code: 'TG_COMMAND_UNDELIVERABLE' })
})

test('TLS: the broker is verified, and one that cannot be is refused', tools, async (t) => {
  const directory = await temporaryDirectory(t)
  const { cert, key } = selfSigned()
  const file = (name: string) => join(directory, name)
  await writeFile(file('cert.pem'), cert)
  await writeFile(file('key.pem'), key)
  const broker = await startMosquitto(t, `certfile ${file('cert.pem')}`, `keyfile ${file('key.pem')}`)
  const url = broker.url.replace('mqtt://127.0.0.1', 'mqtts://localhost')
  const trusting = await startClient(t, { url, topics: ['n'], tls: { ca: file('cert.pem') } })
  await trusting.connected()
  const wary = await startClient(t, { url, topics: ['n'], clientId: 'wary' })
  await until('it is refused', () => /self[- ]signed/.test(wary.source.health().reason ?? ''))
})

test('closing is possible at any time, twice, and leaves nothing behind', tools, async (t) => {
  const broker = await startMosquitto(t)
  const { source } = await startClient(t, { url: broker.url, topics: ['n'] })
  await Promise.all([source.close(), source.close()])
  t.equal(source.health().state, 'closed')
  const away = await startClient(t, { url: 'mqtt://127.0.0.1:1', topics: ['n'] })
  await away.source.close()
  t.equal(away.source.health().state, 'closed')
})

test('a configuration that cannot be is refused without repeating the password', async (t) => {
  const context = { name: 'house', gateway: 'test' } as Parameters<typeof plugin.create>[1]
  const create = (config: object) => () => plugin.create({ topics: ['n'], ...config }, context)
  for (const url of ['http://x', 'mqtt://u:pa%ss@h', 'mqtt://h/path', 'nonsense'])
    t.throws(create({ url }), { code: 'TG_CONFIG_INVALID', message: /sources\[house\]\.url/ })
  t.throws(create({ url: 'mqtt://h', tls: {} }), { message: /mqtts/ })
  t.throws(create({ url: 'mqtts://h', tls: { cert: 'x' } }), { message: /both cert and key/ })
  t.throws(create({ url: 'mqtts://h', tls: { ca: '/nowhere' } }), TidegateError)
})
