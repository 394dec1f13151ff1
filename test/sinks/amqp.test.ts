import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { t as root, test } from 'tap'
import { AmqpSink } from '../../src/sinks/amqp/sink.ts'
import { amqpConfig } from '../support/amqp-config.ts'
import { forwarding, message, testContext } from '../support/forwarding.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { consumeAll, openChannel } from '../support/upstream.ts'

root.setTimeout(120_000)
const skip = rabbitMissing()
const MAX_MESSAGE_BYTES = 50_000
const rabbit = skip ? undefined : await startRabbit(root, { config: [`max_message_size = ${MAX_MESSAGE_BYTES}`] })
const url = rabbit?.url ?? ''

test('10,000 readings of 20 devices arrive once each, in order for each device, as the contract says', {
  skip,
}, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertQueue('first', { durable: true })
  await channel.assertExchange('telemetry', 'topic', { durable: true })
  await channel.bindQueue('first', 'telemetry', '#')
  const { log, forwarder, settled } = await forwarding(t, new AmqpSink(amqpConfig(url), testContext()))
  forwarder.start()
  for (let index = 0; index < 10_000; index++) log.append(message(`sensors/room.${index % 20}/x`, String(index)))
  await settled()
  const upstream = await consumeAll(t, url, 'first')
  await until('everything is there', () => upstream.readings().length >= 10_000)
  t.match(upstream.completeness.report(), {
    complete: true,
    foreign: 0,
    gateways: [
      { gateway: 'greenhouse', first: 1, last: 10_000, readings: 10_000, missing: 0, duplicates: 0, reordered: 0 },
    ],
  })
  t.match(forwarder.status(), { state: 'ok', confirmedReadings: 10_000, backlogMessages: 0, retries: 0 })
  const [first] = upstream.incoming
  t.match(first, {
    key: 'telemetry.greenhouse.sensors.room%2E0.x',
    contentType: 'application/senml+json',
    messageId: /^greenhouse:1-\d+:[0-9a-f]{8}$/,
    headers: {
      'tidegate-gateway': 'greenhouse',
      'tidegate-device': 'sensors/room.0/x',
      'tidegate-first-seq': 1,
      'tidegate-lane': 'fresh',
    },
  })
  t.match(JSON.parse(String(first?.body))[0], { bn: 'sensors/room.0/x/', n: 'value', v: 0, seq: 1 })
  const properties = await rabbit?.ctl('list_queues', 'name', 'durable', 'messages')
  t.match(properties, /first\ttrue\t0/)
})

test('messages are persistent, and carry app_id and the arrival as timestamp', { skip }, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('properties', 'topic', { durable: true })
  await channel.assertQueue('properties', { durable: true })
  await channel.bindQueue('properties', 'properties', '#')
  const { log, forwarder, settled } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url, { exchange: 'properties' }), testContext()),
  )
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
  const got = await until('the message is in the queue', () => channel.get('properties', { noAck: true }))
  t.match(got.properties, {
    deliveryMode: 2,
    appId: 'tidegate',
    headers: { 'tidegate-count': 1, 'tidegate-last-seq': 1 },
  })
  t.ok(Math.abs(got.properties.timestamp - Date.now() / 1_000) < 30, 'in seconds')
})

test('without a queue messages wait with a stated reason, and go out in order once one is bound', {
  skip,
}, async (t) => {
  const context = testContext()
  const { log, forwarder, settled, cursor } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url, { exchange: 'early' }), context),
    {
      stallMs: 500,
    },
  )
  forwarder.start()
  for (let index = 0; index < 20; index++) await log.deliver(message(`device/${index % 2}`, String(index)))
  await until('the reason is shown', () => forwarder.status().state === 'degraded')
  t.match(forwarder.status().reason, /exchange 'early' has no queue bound for telemetry\.greenhouse\.device\.[01]/)
  t.equal(cursor.position, 0)
  await until('it is tried again', () => (context.meter.values.get('sink_refused_messages_total{sink=cloud}') ?? 0) > 4)
  const channel = await openChannel(t, url)
  await channel.assertQueue('early', { durable: true })
  await channel.bindQueue('early', 'early', '#')
  await settled(20_000)
  t.equal(forwarder.status().state, 'ok')
  const upstream = await consumeAll(t, url, 'early')
  await until('everything is there', () => upstream.readings().length >= 20)
  t.match(upstream.completeness.report(), { complete: true, gateways: [{ arrived: 20, duplicates: 0, reordered: 0 }] })
})

test('with unroutable: deadLetter a message without a queue is set aside and told upstream, the others go on', {
  skip,
}, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('picky', 'topic', { durable: true })
  await channel.assertQueue('picky', { durable: true })
  await channel.bindQueue('picky', 'picky', 'telemetry.*.wanted')
  await channel.bindQueue('picky', 'picky', 'loss.#')
  const sink = new AmqpSink(amqpConfig(url, { exchange: 'picky', unroutable: 'deadLetter' }), testContext())
  const { log, forwarder, settled, directory } = await forwarding(t, sink)
  for (const device of ['wanted', 'other', 'other', 'wanted']) await log.deliver(message(device, '1'))
  forwarder.start()
  await settled()
  const [letter = ''] = await readdir(join(directory, 'dead-letters'))
  t.match(JSON.parse(await readFile(join(directory, 'dead-letters', letter), 'utf8')), {
    device: 'other',
    first: 2,
    last: 3,
    reason: /no queue bound for telemetry\.greenhouse\.other/,
  })
  const upstream = await consumeAll(t, url, 'picky')
  await until('the loss note is there', () => upstream.delivered.some(({ kind }) => kind === 'loss'))
  t.match(upstream.completeness.report(), {
    complete: true,
    gateways: [{ last: 5, arrived: 2, explained: { rejected: 2 }, lostDevices: { other: 2 } }],
  })
})

test('what brings no reading is told to loss.{gateway}; without a listener there nothing waits', {
  skip,
}, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('marks', 'topic', { durable: true })
  await channel.assertQueue('marks', { durable: true })
  await channel.bindQueue('marks', 'marks', 'telemetry.#')
  const context = testContext()
  const { log, forwarder, settled } = await forwarding(t, new AmqpSink(amqpConfig(url, { exchange: 'marks' }), context))
  forwarder.start()
  for (const payload of ['broken', '', '']) {
    await log.deliver(message('a', payload))
    await settled()
  }
  t.equal(context.meter.values.get('sink_unheard_loss_notes_total{sink=cloud}'), 3, 'none is dropped silently')
  t.equal(context.logger.lines.filter(({ message }) => /nobody listens/.test(message)).length, 1)
  await channel.bindQueue('marks', 'marks', 'loss.#')
  for (const payload of ['1', 'broken', 'broken', '', '2']) await log.deliver(message('a', payload))
  await settled()
  const upstream = await consumeAll(t, url, 'marks')
  // The note may come behind the readings.
  await until('all is there', () => {
    const { complete, gateways } = upstream.completeness.report()
    return complete && gateways[0]?.last === 8
  })
  t.match(
    upstream.incoming.find(({ key }) => key === 'loss.greenhouse'),
    {
      contentType: 'application/json',
      headers: { 'tidegate-gateway': 'greenhouse' },
    },
  )
  t.match(upstream.completeness.report(), {
    complete: true,
    gateways: [{ first: 4, arrived: 2, explained: { undecodable: 2, filtered: 1 } }],
  })
})

test('a message that is too large for the broker is set aside; its followers go on', { skip }, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('large', 'topic', { durable: true })
  await channel.assertQueue('large', { durable: true })
  await channel.bindQueue('large', 'large', '#')
  const context = testContext()
  const { log, forwarder, settled, directory } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url, { exchange: 'large' }), context),
  )
  for (let index = 0; index < 50; index++) {
    // Together more than the broker takes; the 26th is so alone.
    log.append(message('a', `text:${'x'.repeat(index === 25 ? MAX_MESSAGE_BYTES : 4_000)}`))
  }
  await until('all is durable', () => log.durable === 50)
  forwarder.start()
  await settled()
  const letters = await readdir(join(directory, 'dead-letters'))
  t.equal(letters.length, 1)
  t.match(JSON.parse(await readFile(join(directory, 'dead-letters', letters[0] ?? ''), 'utf8')), {
    first: 26,
    last: 26,
  })
  const upstream = await consumeAll(t, url, 'large')
  await until('all others are there', () => new Set(upstream.readings()).size === 49)
  await until('and the mark', () => upstream.completeness.report().complete)
  t.match(upstream.completeness.report(), {
    gateways: [{ arrived: 49, missing: 0, reordered: 0, explained: { rejected: 1 } }],
  })
  t.ok(
    context.logger.lines.some(({ fields }) => 'limitBytes' in fields && fields.limitBytes === MAX_MESSAGE_BYTES),
    'the limit is learned from the broker',
  )
})

test('an exchange of another type is an error that names both sides', { skip }, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('other', 'direct', { durable: true })
  const { forwarder } = await forwarding(t, new AmqpSink(amqpConfig(url, { exchange: 'other' }), testContext()))
  forwarder.start()
  await until('it is said', () => forwarder.status().state === 'failed')
  t.match(
    forwarder.status().reason,
    /exchange 'other' at amqp:\/\/127\.0\.0\.1:\d+ differs: this sink wants type 'topic'.*the broker has 'direct'/,
  )
  await channel.deleteExchange('other')
  await until('it recovers when the exchange is right', () => forwarder.status().state === 'ok')
})

test('wrong credentials, a wrong virtual host and a port without a broker are told apart, and no password is shown', {
  skip,
}, async (t) => {
  const reasonFor = async (wrong: string) => {
    const { forwarder, logger } = await forwarding(t, new AmqpSink(amqpConfig(wrong), testContext()))
    forwarder.start()
    await until(`${wrong} fails`, () => forwarder.status().state === 'failed')
    t.notMatch(JSON.stringify([logger.lines, forwarder.status()]), /secretword/)
    return [(logger.lines[0]?.fields as { code?: string } | undefined)?.code, forwarder.status().reason]
  }
  t.match(await reasonFor(url.replace('guest:guest', 'guest:secretword')), ['TG_UPSTREAM_REFUSED', /ACCESS_REFUSED/])
  t.match(await reasonFor(`${url}/nowhere`), ['TG_UPSTREAM_REFUSED', /virtual host 'nowhere'/])
  t.match(await reasonFor('amqp://u:secretword@127.0.0.1:1'), [
    'TG_UPSTREAM_UNREACHABLE',
    /amqp:\/\/127\.0\.0\.1:1: ECONNREFUSED/,
  ])
})

test('a user who may only write uses an exchange that somebody else declared', { skip }, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('shared', 'topic', { durable: true })
  await channel.assertQueue('shared', { durable: true })
  await channel.bindQueue('shared', 'shared', '#')
  await rabbit?.ctl('add_user', 'writer', 'writer')
  await rabbit?.ctl('set_permissions', 'writer', '', '.*', '')
  const { log, forwarder, settled } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url.replace('guest:guest', 'writer:writer'), { exchange: 'shared' }), testContext()),
  )
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
})

test('a queue that refuses messages (nack) is waited for', { skip }, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('narrow', 'topic', { durable: true })
  await channel.assertQueue('narrow', { durable: true, maxLength: 1, overflow: 'reject-publish' })
  await channel.bindQueue('narrow', 'narrow', '#')
  const { log, forwarder, settled } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url, { exchange: 'narrow' }), testContext()),
  )
  forwarder.start()
  for (const device of ['a', 'b', 'c']) await log.deliver(message(device, '1'))
  await until('the reason is shown', () => /nack/.test(forwarder.status().reason ?? ''))
  const upstream = await consumeAll(t, url, 'narrow')
  await settled(20_000)
  await until('everything is there', () => new Set(upstream.readings()).size === 3)
})

test('a device with a name of 40,000 bytes goes the same way as any other', { skip }, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('names', 'topic', { durable: true })
  await channel.assertQueue('names', { durable: true })
  await channel.bindQueue('names', 'names', '#')
  const sink = new AmqpSink(amqpConfig(url, { exchange: 'names' }), testContext())
  const { log, forwarder, settled } = await forwarding(t, sink)
  forwarder.start()
  const device = 'x'.repeat(40_000)
  for (const one of [device, 'a']) await log.deliver(message(one, '1'))
  await settled()
  const upstream = await consumeAll(t, url, 'names')
  await until('both are there', () => upstream.readings().length === 2)
  t.same(upstream.readings(), [`${device} 1`, 'a 2'])
})
