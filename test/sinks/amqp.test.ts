import { connect } from 'amqplib'
import { test } from 'tap'
import { plugin } from '../../src/sinks/amqp/plugin.ts'
import { forwarding, message, testContext } from '../support/forwarding.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'

const skip = rabbitMissing()

const sinkConfig = (url: string, more: object = {}) => ({
  url,
  exchange: 'telemetry',
  exchangeType: 'topic',
  routingKey: 'telemetry.{gateway}.{device}',
  unroutable: 'retry',
  encoding: 'senml+json',
  compression: 'none',
  heartbeat: 10_000,
  batch: { maxReadings: 500, maxDelay: 20 },
  ...more,
})

test('a reading arrives', { skip, timeout: 60_000 }, async (t) => {
  console.error(Date.now())
  const rabbit = await startRabbit(t)
  console.error(Date.now())
  const model = await connect(rabbit.url)
  t.teardown(() => model.close())
  const channel = await model.createChannel()
  await channel.assertExchange('telemetry', 'topic', { durable: true })
  await channel.assertQueue('all', { durable: true })
  await channel.bindQueue('all', 'telemetry', '#')
  const sink = plugin.create(sinkConfig(rabbit.url), testContext())
  const { log, forwarder, settled } = await forwarding(t, sink)
  forwarder.start()
  await log.deliver(message('sensors/a', '21.5'))
  await settled()
  const got = await until('a message is in the queue', () => channel.get('all', { noAck: true }))
  console.error(got, got.content.toString(), forwarder.status())
})
