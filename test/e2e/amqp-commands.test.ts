// Commands from a real RabbitMQ through the built program to mosquitto_sub: taken once the broker of the sensors has them,
// dead-lettered where nobody can take them, and no condition for readings.

import { t as root, test } from 'tap'
import { startGateway } from '../support/gateway.ts'
import { mosquittoPub, mosquittoSub } from '../support/mosquitto.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { openChannel } from '../support/upstream.ts'

root.setTimeout(120_000)
const skip = rabbitMissing()
const rabbit = skip ? undefined : await startRabbit(root)
const url = rabbit?.url ?? ''
const QUEUE = 'tidegate.test.commands'

const counts = async (channel: Awaited<ReturnType<typeof openChannel>>) => ({
  waiting: (await channel.checkQueue(QUEUE)).messageCount,
  dead: (await channel.checkQueue(`${QUEUE}.dead`)).messageCount,
})

test('a command of the queue reaches the device once, and is recorded', { skip }, async (t) => {
  const gateway = await startGateway(t, { sinks: [{ name: 'cloud', type: 'amqp', url, unroutable: 'deadLetter' }] })
  const channel = await openChannel(t, url)
  await until('the gateway listens', async () => {
    const { consumers } = await rabbitQueues()
    return consumers === 1
  })
  await mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'lamps/hall', '-m', '{"on":false}')
  const heard = mosquittoSub(gateway.mqttPort, 1, 20_000, '-q', '1', '-t', 'lamps/hall/set')
  await until('the device listens', async () => {
    const { sources } = await gateway.status()
    return sources[0]?.detail?.['subscriptions'] === 1
  })
  const body = { device: 'lamps/hall', topic: 'lamps/hall/set', payload: { on: true }, qos: 1 }
  for (let copy = 0; copy < 2; copy++)
    channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(body)), { persistent: true, messageId: 'one' })
  t.strictSame(await heard, ['{"on":true}'])
  const records = () =>
    gateway.json<{ commands: readonly { by: string; outcome: string; id: string }[] }>(
      '/api/v1/devices/lamps%2Fhall/commands',
    )
  await until('both are confirmed', async () => {
    const taken = await gateway.metric('tidegate_sink_commands_total', { sink: 'cloud', reason: 'taken' })
    return taken === 2 && (await counts(channel)).waiting === 0
  })
  await until('the outcome is recorded', async () => (await records()).commands[0]?.outcome === 'sent')
  t.match((await records()).commands, [{ by: 'amqp:cloud', id: 'one' }])
  t.equal((await records()).commands.length, 1, 'the copy with the same message id is not sent again')
})

test('what no device takes, and what is no command, is dead-lettered', { skip }, async (t) => {
  const gateway = await startGateway(t, { sinks: [{ name: 'cloud', type: 'amqp', url, unroutable: 'deadLetter' }] })
  const channel = await openChannel(t, url)
  await until('the gateway listens', async () => (await rabbitQueues()).consumers === 1)
  const before = (await counts(channel)).dead
  const bodies = ['no json', '[]', '{"payload":"x"}', '{"device":"nobody","payload":"x"}', '{"device":"nobody"}']
  for (const body of bodies) channel.sendToQueue(QUEUE, Buffer.from(body))
  await until('they are set aside', async () => (await counts(channel)).dead === before + bodies.length)
  t.equal((await counts(channel)).waiting, 0)
  await until('the sink is well', async () => (await gateway.status()).sinks[0]?.state === 'ok')
})

test('a queue that was declared otherwise is used as it is; one that is deleted is declared again', {
  skip,
}, async (t) => {
  const channel = await openChannel(t, url)
  await channel.deleteQueue(QUEUE)
  await channel.assertQueue(QUEUE, { durable: true, maxLength: 5 })
  const gateway = await startGateway(t, { sinks: [{ name: 'cloud', type: 'amqp', url, unroutable: 'deadLetter' }] })
  await until('the gateway listens', async () => (await rabbitQueues()).consumers === 1)
  t.notMatch(gateway.output, /no commands are taken/)
  await channel.deleteQueue(QUEUE)
  await until('the loss is told', () => gateway.output.includes('no commands are taken from the broker'))
  await until('the sink is well', async () => (await gateway.status()).sinks[0]?.state === 'ok')
})

test('a user who may not consume still gets readings out', { skip }, async (t) => {
  await rabbit?.ctl('add_user', 'writer', 'writer')
  await rabbit?.ctl('set_permissions', 'writer', '^telemetry$', '^telemetry$', '^$')
  const channel = await openChannel(t, url)
  await channel.assertExchange('telemetry', 'topic', { durable: true })
  await channel.assertQueue('readings', { durable: true })
  await channel.bindQueue('readings', 'telemetry', '#')
  const writer = url.replace(/\/\/[^@]*@/, '//').replace('//', '//writer:writer@')
  const gateway = await startGateway(t, { sinks: [{ name: 'cloud', type: 'amqp', url: writer }] })
  await mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'a/b', '-m', '1')
  await until('the reading is there', async () => (await channel.checkQueue('readings')).messageCount > 0)
  await until('why is told', () => gateway.output.includes('no commands are taken from the broker'))
  await until('the sink is well', async () => {
    const [sink] = (await gateway.status()).sinks
    return sink?.state === 'ok' && sink.confirmedReadings === 1
  })
  t.pass()
})

const rabbitQueues = async (): Promise<{ readonly consumers: number }> => {
  const listed = (await rabbit?.ctl('list_queues', 'name', 'consumers')) ?? ''
  return { consumers: Number(new RegExp(`^${QUEUE.replaceAll('.', '\\.')}\\t(\\d+)$`, 'm').exec(listed)?.[1] ?? 0) }
}
