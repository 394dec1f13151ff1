import { t as root, test } from 'tap'
import { Amqp1Sink } from '../../src/sinks/amqp1/sink.ts'
import { amqp1Config } from '../support/amqp-config.ts'
import { forwarding, message, testContext } from '../support/forwarding.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { consumeAll, openChannel } from '../support/upstream.ts'

root.setTimeout(60_000)
const skip = rabbitMissing()
const rabbit = skip ? undefined : await startRabbit(root, { plugins: ['rabbitmq_amqp1_0'] })
const url = rabbit?.url ?? ''

test('readings go over AMQP 1.0 to an exchange of RabbitMQ, the subject being the routing key', { skip }, async (t) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange('telemetry', 'topic', { durable: true })
  await channel.assertQueue('one', { durable: true })
  await channel.bindQueue('one', 'telemetry', 'telemetry.#')
  await channel.bindQueue('one', 'telemetry', 'loss.#')
  const sink = new Amqp1Sink(
    amqp1Config(url, { address: '/exchange/telemetry', batch: { maxReadings: 10 } }),
    testContext(),
  )
  const { log, forwarder, settled } = await forwarding(t, sink)
  forwarder.start()
  for (let index = 0; index < 5_000; index++) log.append(message(`device/${index % 10}`, String(index)))
  await log.deliver(message('device/0', 'broken'))
  await settled(20_000)
  const upstream = await consumeAll(t, url, 'one')
  await until('everything is there', () => upstream.completeness.report().gateways[0]?.last === 5_001, 20_000)
  t.match(upstream.completeness.report(), {
    complete: true,
    gateways: [{ first: 1, readings: 5_000, duplicates: 0, reordered: 0, explained: { undecodable: 1 } }],
  })
  t.equal(upstream.incoming[0]?.key, 'telemetry.greenhouse.device.0')
})

test('an address that is not there is said to be refused', { skip }, async (t) => {
  const { forwarder } = await forwarding(
    t,
    new Amqp1Sink(amqp1Config(url, { address: '/exchange/nowhere' }), testContext()),
  )
  forwarder.start()
  await until('it is said', () => forwarder.status().state === 'failed')
  t.match(forwarder.status().reason, /refused.*nowhere/)
})
