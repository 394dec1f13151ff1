import { readdir, readFile } from 'node:fs/promises'
import { createServer, connect as tcpConnect } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { Amqp1Sink } from '../../src/sinks/amqp1/sink.ts'
import { Completeness } from '../../src/upstream/completeness.ts'
import { readDelivered } from '../../src/upstream/delivered.ts'
import type { Incoming, Outcome } from '../../src/upstream/incoming.ts'
import { startListener } from '../../src/upstream/listener.ts'
import { amqp1Config } from '../support/amqp-config.ts'
import { forwarding, message, testContext } from '../support/forwarding.ts'
import { until } from '../support/until.ts'

interface Test {
  teardown(work: () => Promise<void>): void
}

const listen = async (
  t: Test,
  decide: (message: Incoming) => Outcome | Promise<Outcome> = () => 'accepted',
  port = 0,
) => {
  const completeness = new Completeness()
  const incoming: Incoming[] = []
  const faults: string[] = []
  const listener = await startListener({
    host: '127.0.0.1',
    port,
    onMessage: async (message) => {
      const outcome = await decide(message)
      if (outcome === 'accepted') {
        incoming.push(message)
        completeness.add(readDelivered(message))
      }
      return outcome
    },
    onFault: (reason) => faults.push(reason),
  })
  t.teardown(() => listener.close())
  return { ...listener, url: `amqp://127.0.0.1:${listener.port}`, incoming, completeness, faults }
}

test('readings reach the listener complete and in order, with the properties of the contract', async (t) => {
  const upstream = await listen(t)
  const { log, forwarder, settled } = await forwarding(t, new Amqp1Sink(amqp1Config(upstream.url), testContext()))
  forwarder.start()
  for (let index = 0; index < 5_000; index++) log.append(message(`sensors/${index % 10}`, String(index)))
  await log.deliver(message('sensors/x', 'broken'))
  await settled()
  t.match(upstream.completeness.report(), {
    complete: true,
    foreign: 0,
    gateways: [
      {
        gateway: 'greenhouse',
        first: 1,
        last: 5_001,
        readings: 5_000,
        duplicates: 0,
        reordered: 0,
        explained: { undecodable: 1 },
      },
    ],
  })
  t.match(upstream.incoming[0], {
    key: 'telemetry.greenhouse.sensors.0',
    contentType: 'application/senml+json',
    messageId: /^greenhouse:1-\d+:[0-9a-f]{8}$/,
    headers: {
      'tidegate-gateway': 'greenhouse',
      'tidegate-device': 'sensors/0',
      'tidegate-first-seq': 1,
      'tidegate-lane': 'fresh',
    },
  })
  t.match(forwarder.status(), { state: 'ok', confirmedReadings: 5_000 })
  t.same(upstream.faults, [])
})

test('released and modified messages are sent again in order, rejected ones become dead letters', async (t) => {
  const refusals: Outcome[] = ['released', 'modified', 'released']
  const upstream = await listen(t, ({ headers }) =>
    headers['tidegate-device'] === 'bad'
      ? 'rejected'
      : headers['tidegate-device'] === 'busy'
        ? (refusals.shift() ?? 'accepted')
        : 'accepted',
  )
  const context = testContext()
  const { log, forwarder, settled, directory } = await forwarding(t, new Amqp1Sink(amqp1Config(upstream.url), context))
  for (const device of ['busy', 'bad', 'good', 'busy']) await log.deliver(message(device, '1'))
  forwarder.start()
  await settled()
  const [letter = ''] = await readdir(join(directory, 'dead-letters'))
  t.match(JSON.parse(await readFile(join(directory, 'dead-letters', letter), 'utf8')), {
    device: 'bad',
    first: 2,
    reason: /rejected by amqp:.*precondition-failed/,
  })
  t.match(upstream.completeness.report(), {
    complete: true,
    gateways: [{ arrived: 3, reordered: 0, duplicates: 0, explained: { rejected: 1 } }],
  })
  t.equal(context.meter.values.get('sink_refused_messages_total{sink=cloud}'), 3)
  t.equal(forwarder.status().state, 'ok')
})

test('a receiver that takes its time is not overrun: credit bounds what is under way', async (t) => {
  let underWay = 0
  let most = 0
  const waiting: (() => void)[] = []
  const upstream = await listen(t, async () => {
    most = Math.max(most, ++underWay)
    await new Promise<void>((resolve) => waiting.push(resolve))
    underWay--
    return 'accepted' as const
  })
  const { log, forwarder, settled } = await forwarding(
    t,
    new Amqp1Sink(amqp1Config(upstream.url, { batch: { maxReadings: 1 } }), testContext()),
  )
  for (let index = 0; index < 1_000; index++) log.append(message('a', '1'))
  await until('all is durable', () => log.durable === 1_000)
  forwarder.start()
  await until('the credit is used up', () => underWay === 200)
  const releasing = setInterval(() => {
    for (const resolve of waiting.splice(0)) resolve()
  }, 1)
  t.teardown(async () => clearInterval(releasing))
  await settled()
  t.equal(most, 200)
})

test('a receiver that goes away and comes back loses nothing', async (t) => {
  const first = await listen(t)
  const { log, forwarder, settled } = await forwarding(t, new Amqp1Sink(amqp1Config(first.url), testContext()))
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
  await first.close()
  await until('the loss is noticed', () => forwarder.status().state === 'failed')
  t.match(forwarder.status().reason, /amqp:\/\/127\.0\.0\.1:\d+/)
  for (let index = 0; index < 10; index++) await log.deliver(message('a', '2'))
  const second = await listen(t, undefined, first.port)
  await settled()
  t.match(second.completeness.report(), { complete: true, gateways: [{ first: 2, last: 11 }] })
  t.equal(forwarder.status().state, 'ok')
})

test('a port in use, a host that is not there and a peer of another protocol are said as what they are', async (t) => {
  const { port } = await listen(t)
  await t.rejects(startListener({ host: '127.0.0.1', port, onMessage: () => 'accepted' }), {
    code: 'TG_PORT_IN_USE',
    message: /port \d+ of 127\.0\.0\.1 .*is in use/,
  })
  await t.rejects(startListener({ host: '192.0.2.1', port: 0, onMessage: () => 'accepted' }), {
    code: 'TG_LISTEN_FAILED',
  })

  const sink = new Amqp1Sink(amqp1Config('amqp://user:secretword@127.0.0.1:1'), testContext())
  const refused = await sink.connect(new AbortController().signal).catch((error: unknown) => error)
  t.match(refused, { code: 'TG_UPSTREAM_UNREACHABLE', message: /ECONNREFUSED/ })
  t.notMatch(String(refused), /secretword/)
  await sink.close()

  const web = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  t.teardown(() => web.close())
  const address = web.address()
  const other = new Amqp1Sink(
    amqp1Config(`amqp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`),
    testContext(),
  )
  await t.rejects(other.connect(new AbortController().signal), { code: 'TG_UPSTREAM_REFUSED' })
  await other.close()
})

test('connecting to a peer that never answers ends with the signal', async (t) => {
  const silent = createServer((socket) => void socket.resume())
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const address = silent.address()
  const sink = new Amqp1Sink(
    amqp1Config(`amqp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`),
    testContext(),
  )
  const abort = new AbortController()
  const connecting = sink.connect(abort.signal)
  await until(
    'the connection is made',
    () => new Promise<boolean>((resolve) => silent.getConnections((_, count) => resolve(count > 0))),
  )
  abort.abort(new Error('enough'))
  await t.rejects(connecting, { message: 'enough' })
  await sink.close()
  await until(
    'the socket is closed',
    () => new Promise<boolean>((resolve) => silent.getConnections((_, count) => resolve(count === 0))),
  )
})

test('the listener survives garbage, and cuts off who sends without end', async (t) => {
  const upstream = await listen(t)
  const garbage = tcpConnect(upstream.port, '127.0.0.1')
  garbage.on('error', () => undefined)
  garbage.write('GET / HTTP/1.1\r\n\r\n')
  await until('it is refused', () => garbage.destroyed)
  const endless = tcpConnect(upstream.port, '127.0.0.1')
  endless.on('error', () => undefined)
  // The AMQP header, then a frame that announces 2 GiB.
  endless.write(Buffer.from([65, 77, 81, 80, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff]))
  const chunk = Buffer.alloc(65_536)
  const send = () => {
    while (!endless.destroyed && endless.write(chunk));
    if (!endless.destroyed) endless.once('drain', send)
  }
  send()
  await until('it is cut off', () => endless.destroyed)
  t.ok(upstream.faults.some((fault) => /without completing a message/.test(fault)))
  const { log, forwarder, settled } = await forwarding(t, new Amqp1Sink(amqp1Config(upstream.url), testContext()))
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
})
