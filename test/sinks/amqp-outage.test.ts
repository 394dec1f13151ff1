import { connect, createServer, type Socket } from 'node:net'
import { t as root, test } from 'tap'
import { AmqpSink } from '../../src/sinks/amqp/sink.ts'
import { amqpConfig } from '../support/amqp-config.ts'
import { forwarding, message, testContext } from '../support/forwarding.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { consumeAll, openChannel } from '../support/upstream.ts'

root.setTimeout(180_000)
const skip = rabbitMissing()
const rabbit = skip ? undefined : await startRabbit(root)
const url = rabbit?.url ?? ''

const bindQueue = async (t: Parameters<typeof openChannel>[0], exchange: string) => {
  const channel = await openChannel(t, url)
  await channel.assertExchange(exchange, 'topic', { durable: true })
  await channel.assertQueue(exchange, { durable: true })
  await channel.bindQueue(exchange, exchange, '#')
  return channel
}

test('a broker that is stopped and one that is killed mid-stream lose nothing', { skip }, async (t) => {
  await bindQueue(t, 'restart')
  const { log, forwarder, settled } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url, { exchange: 'restart', batch: { maxReadings: 20 } }), testContext()),
    { lanes: { splitMessages: 500 }, backoff: { baseMs: 50, capMs: 500 } },
  )
  forwarder.start()
  let sent = 0
  const sending = setInterval(() => {
    for (let index = 0; index < 10; index++) log.append(message(`device/${sent % 5}`, String(sent++)))
  }, 5)
  t.teardown(async () => clearInterval(sending))
  await until('the stream runs', () => forwarder.status().position > 500)
  for (const end of [() => rabbit?.stop(), () => rabbit?.kill()]) {
    const position = forwarder.status().position
    await end()
    await until('the loss is noticed', () => forwarder.status().state === 'failed')
    t.match(forwarder.status().reason, /amqp:\/\/127\.0\.0\.1/)
    await rabbit?.start()
    await until('it goes on', () => forwarder.status().position > position && forwarder.status().state === 'ok', 30_000)
  }
  clearInterval(sending)
  await settled(30_000)
  const upstream = await consumeAll(t, url, 'restart')
  await until('everything is there', () => new Set(upstream.readings()).size === sent, 20_000)
  const report = upstream.completeness.report()
  t.match(report, { complete: true, gateways: [{ last: sent, arrived: sent, missing: 0, reordered: 0 }] })
  t.ok(
    (report.gateways[0]?.duplicates ?? 0) < sent / 4,
    `only what was in flight comes twice: ${report.gateways[0]?.duplicates} of ${sent}`,
  )
  t.ok(
    upstream.incoming.some(({ headers }) => headers['tidegate-lane'] === 'backlog'),
    'the pile of an outage came in the backlog lane',
  )
})

test('connection.blocked is shown and waited out, and is no stall', { skip }, async (t) => {
  await bindQueue(t, 'blocked')
  const { log, forwarder, settled, logger } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url, { exchange: 'blocked' }), testContext()),
    { stallMs: 300 },
  )
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
  await rabbit?.ctl('set_disk_free_limit', '900GB')
  await log.deliver(message('a', '2'))
  await until('the reason is shown', () => /blocks publishers: low on disk/.test(forwarder.status().reason ?? ''))
  t.equal(forwarder.status().state, 'degraded')
  await until('longer than the stall deadline', () => Date.now() - forwarder.status().since > 1_000)
  await rabbit?.ctl('set_disk_free_limit', '50MB')
  await settled()
  t.same(
    logger.lines.filter((line) => line.message === 'sink lost'),
    [],
  )
  const upstream = await consumeAll(t, url, 'blocked')
  await until('both are there', () => upstream.readings().length === 2)
  t.equal(forwarder.status().state, 'ok')
})

test('an exchange that is deleted under way is declared again', { skip }, async (t) => {
  const channel = await bindQueue(t, 'deleted')
  const { log, forwarder, settled } = await forwarding(
    t,
    new AmqpSink(amqpConfig(url, { exchange: 'deleted' }), testContext()),
  )
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
  await channel.deleteExchange('deleted')
  await log.deliver(message('a', '2'))
  await until('the exchange is back', () => /no queue bound/.test(forwarder.status().reason ?? ''))
  await channel.bindQueue('deleted', 'deleted', '#')
  await settled(20_000)
  const upstream = await consumeAll(t, url, 'deleted')
  await until('both are there', () => new Set(upstream.readings()).size === 2)
})

test('a connection that is half open is given up after the stall deadline, and a new one goes on', {
  skip,
}, async (t) => {
  await bindQueue(t, 'half-open')
  const pairs = new Set<readonly [Socket, Socket]>()
  const proxy = createServer((near) => {
    const far = connect(rabbit?.port ?? 0, '127.0.0.1')
    const pair = [near, far] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
    await new Promise<void>((resolve) => proxy.close(() => resolve()))
  })
  const address = proxy.address()
  const port = typeof address === 'object' ? address?.port : 0
  const sink = new AmqpSink(amqpConfig(`amqp://127.0.0.1:${port}`, { exchange: 'half-open' }), testContext())
  const { log, forwarder, settled, logger } = await forwarding(t, sink, { stallMs: 1_000 })
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
  // From now on nothing of this connection passes, and nobody says so.
  for (const [near, far] of pairs) {
    near.unpipe(far)
    far.unpipe(near)
    near.resume()
    far.resume()
  }
  await log.deliver(message('a', '2'))
  await settled()
  t.match(
    logger.lines.find((line) => line.message === 'sink lost'),
    { fields: { code: 'TG_UPSTREAM_STALLED', reason: /confirmed nothing for 1 s/ } },
  )
  const upstream = await consumeAll(t, url, 'half-open')
  await until('both are there', () => new Set(upstream.readings()).size === 2)
})
