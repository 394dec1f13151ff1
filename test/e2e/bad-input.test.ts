// Input that no sensor sends: each is refused clearly or counted as a fault, memory stays bounded, and an innocent client that
// publishes and listens all the while is not disturbed.

import t, { type Test } from 'tap'
import { Publisher, RawConnection } from '../support/broker-clients.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { startHeartbeat } from '../support/heartbeat.ts'
import { Subscriber } from '../support/subscriber.ts'
import { until } from '../support/until.ts'

t.setTimeout(240_000)

const MIB = 2 ** 20
/** What a refusal may cost for a moment: far below what was thrown at the gateway, above the breathing of the heap. */
const MAX_GROWTH_BYTES = 64 * MIB
/** The innocent client shares two cores with the attacker. */
const MAX_ACK_MS = 2_000
/** Longer than the connect deadline: who sends nothing sensible is gone after it. */
const REFUSAL_DEADLINE_MS = 20_000

const gateway = await startGateway(t)
// The first messages load code and fill caches; they are not what is measured.
await (await startHeartbeat(gateway)).stop()

/** Runs the attack beside an innocent client, then looks at what it cost. */
const attack = (title: string, work: (t: Test) => Promise<void>, growthBytes = MAX_GROWTH_BYTES) =>
  t.test(title, async (t) => {
    await gateway.resetPeak()
    const { rssBytes } = await gateway.memory()
    const heartbeat = await startHeartbeat(gateway)
    await work(t)
    const beats = await heartbeat.stop()
    const { peakBytes } = await gateway.memory()
    t.ok(beats.worstAckMs < MAX_ACK_MS, `the innocent client waited at most ${beats.worstAckMs.toFixed(0)} ms`)
    t.equal(beats.missing, 0, 'and missed no value')
    const growth = `${((peakBytes - rssBytes) / MIB).toFixed(0)} MiB`
    t.ok(peakBytes - rssBytes < growthBytes, `memory grew by at most ${growth}`)
    t.ok(gateway.running, 'the gateway runs')
  })

const closes = (connection: RawConnection) =>
  until('the connection is closed', () => connection.closed, REFUSAL_DEADLINE_MS)

const publisher = async (t: Test, clientId: string) => {
  const client = await Publisher.open({ port: gateway.mqttPort, clientId })
  t.teardown(() => client.close())
  return client
}

const faults = (gateway: Gateway) => gateway.metric('tidegate_decode_faults_total')

await attack('CONNECTs of 256 MB, the largest that MQTT can say, are refused before they are buffered', async (t) => {
  const connections = await Promise.all(Array.from({ length: 4 }, () => RawConnection.open(gateway.mqttPort)))
  const chunk = Buffer.alloc(65_536, 0x20)
  const sent = await Promise.all(
    connections.map(async (connection) => {
      connection.socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 60]))
      return connection.stream(chunk, 300 * MIB)
    }),
  )
  for (const connection of connections) await closes(connection)
  t.ok(Math.max(...sent) < 16 * MIB, `at most ${(Math.max(...sent) / MIB).toFixed(1)} MiB were taken from each`)
})

await attack('a CONNECT of 300 MB, which MQTT cannot even say, is refused', async () => {
  const connection = await RawConnection.open(gateway.mqttPort)
  connection.socket.write(Buffer.from([0x10, 0x80, 0x8c, 0x86, 0x8f, 0x01]))
  await connection.stream(Buffer.alloc(65_536), 300 * MIB)
  await closes(connection)
})

await attack('garbage on the MQTT port ends its connection only', async () => {
  const texts = [
    'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
    '\0'.repeat(1_000),
    '{"n":1}\n',
    '\x16\x03\x01\x02\x00\x01\x00',
    '\xff\xff\xff\xff\xff',
  ]
  const connections = await Promise.all(texts.map(() => RawConnection.open(gateway.mqttPort)))
  for (const [index, connection] of connections.entries()) connection.socket.write(texts[index] ?? '', 'latin1')
  const random = await RawConnection.open(gateway.mqttPort)
  random.socket.write(Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 7_919) % 251)))
  const silent = await RawConnection.open(gateway.mqttPort)
  await Promise.all([...connections, random, silent].map(closes))
})

await attack('a topic of 65,535 levels is refused and its message acknowledged to nobody', async (t) => {
  const client = await publisher(t, 'deep')
  await t.rejects(client.publish('/'.repeat(65_535), '1'))
  const { devices } = await gateway.json<{ devices: readonly { device: string }[] }>('/api/v1/devices')
  t.notOk(devices.some(({ device }) => device.startsWith('//')))
})

await attack('a client can neither write to $SYS nor publish topics with NUL or broken UTF-8', async (t) => {
  for (const topic of ['$SYS/broker/clients/total', 'a/\0/b', 'a/\ud800/b']) {
    const client = await Publisher.open({ port: gateway.mqttPort, clientId: 'odd' })
    const outcome = await client.publish(topic, '1').then(
      () => 'acknowledged',
      () => 'closed',
    )
    // MQTT 3.1.1 cannot refuse a PUBLISH but by closing the connection; a write to $SYS may also be taken and ignored.
    if (!topic.startsWith('$')) t.equal(outcome, 'closed', JSON.stringify(topic))
    await client.close()
  }
  const { devices } = await gateway.json<{ devices: readonly { device: string }[] }>('/api/v1/devices')
  t.notOk(devices.some(({ device }) => device.startsWith('$SYS') || device.startsWith('a/')))
})

await attack('payloads that are no readings are kept, counted as faults and shown', async (t) => {
  const client = await publisher(t, 'odd')
  for (const [name, payload] of [
    ['json', '{"temperature":'],
    ['nan', 'NaN'],
    ['infinite', '{"temperature":1e999}'],
    ['nothing', ''],
    ['binary', Buffer.from([0, 1, 2, 255, 254])],
  ] as const) {
    const [before, seq] = [await faults(gateway), (await gateway.status()).seq]
    await client.publish(`bad/${name}/value`, payload)
    await until(`${name} is counted`, async () => (await faults(gateway)) === before + 1, 5_000).catch(
      (error: unknown) => t.fail(`${name}: ${error}`),
    )
    t.ok((await gateway.status()).seq > seq, `${name} is kept`)
  }
  const { devices } = await gateway.json<{ devices: readonly { device: string; faults: number }[] }>('/api/v1/devices')
  const shown = devices.filter(({ device, faults }) => device.startsWith('bad/') && faults > 0)
  t.equal(shown.length, 5, 'each device shows its fault')
  t.notOk((await gateway.readings('?device=bad/%23')).some((reading) => typeof reading.value === 'number'))
})

await attack('a payload of 1 MB is refused, one below the limit is taken', async (t) => {
  const small = await publisher(t, 'small')
  await small.publish('big/text', 'x'.repeat(200 * 1_024))
  const large = await publisher(t, 'large')
  await t.rejects(large.publish('big/text', 'x'.repeat(1_000_000)))
})

await attack('an HTTP body of 100 MB is answered 413 and not read', async (t) => {
  const port = Number(new URL(gateway.url).port)
  const connection = await RawConnection.open(port)
  const head = ['POST /api/v1/readings HTTP/1.1', `host: 127.0.0.1:${port}`, 'content-type: application/json']
  connection.socket.write(`${[...head, `content-length: ${100 * MIB}`].join('\r\n')}\r\n\r\n`)
  const sent = await connection.stream(Buffer.alloc(65_536, 0x30), 100 * MIB)
  await until('the answer comes', () => connection.received.includes('TG_BODY_TOO_LARGE') || connection.closed)
  connection.socket.destroy()
  t.match(connection.received.toString(), /^HTTP\/1\.1 413 /)
  t.match(connection.received.toString(), 'application/problem+json')
  t.ok(sent < 32 * MIB, `${(sent / MIB).toFixed(1)} MiB were taken`)
})

await attack('HTTP bodies that are no readings are answered with a problem that says why', async (t) => {
  for (const body of [
    '',
    'null',
    '{"device":',
    '[]',
    '{"device":"a/#","name":"x","value":1}',
    '{"device":"a","name":"x","value":null}',
  ]) {
    const response = await gateway.fetch('/api/v1/readings', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    const problem = (await response.json()) as { detail?: string; title?: string }
    t.equal(response.status, 400, body)
    t.ok(problem.detail ?? problem.title, JSON.stringify(problem))
  }
  t.equal((await gateway.fetch('/api/v1/nothing')).status, 404)
  t.equal((await gateway.fetch('/api/v1/readings?device=a%23')).status, 400, 'a malformed filter')
})

await attack(
  'WebSocket clients that never read cost no more than the newest values',
  async (t) => {
    const stalled = await Promise.all(Array.from({ length: 5 }, () => Subscriber.open(gateway.url)))
    for (const subscriber of stalled) {
      subscriber.subscribe({ devices: ['flood/#'] })
      subscriber.socket.pause()
    }
    const client = await publisher(t, 'flood')
    const text = 'x'.repeat(4_000)
    const before = client.misordered
    // 40 MB, for five subscribers.
    for (let n = 0; n < 10_000; n += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, device) =>
          client.publish(`flood/${device}/text`, `{"n":${n},"text":"${text}"}`),
        ),
      )
    }
    t.equal(client.misordered, before)
    for (const subscriber of stalled) {
      subscriber.socket.resume()
      const newest = () =>
        subscriber.readings(true).filter((reading) => reading.name.endsWith('n') && reading.value === 9_900)
      await until(
        'it catches up or was sent away',
        () => newest().length >= 100 || subscriber.closeCode !== undefined,
        20_000,
      )
      t.ok(
        subscriber.closeCode !== undefined || subscriber.messages.some((message) => message.conflated),
        'it was told that values were left out',
      )
      await subscriber.close()
    }
  },
  96 * MIB,
)

await attack('WebSocket messages that are no requests are answered with an error', async (t) => {
  for (const text of [
    'null',
    '{',
    '[]',
    '17',
    '{"type":"nonsense"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","id":1,"devices":["a/#/b"]}',
    '{"type":"subscribe","id":1,"devices":"a"}',
  ]) {
    const subscriber = await Subscriber.open(gateway.url)
    subscriber.socket.send(text)
    const refused = () =>
      subscriber.closeCode === 4400 ||
      subscriber.messages.some((message) => message.type === 'error' && message.code !== undefined)
    await until(`${text} is refused`, refused, 5_000).catch((error: unknown) => t.fail(String(error)))
    await subscriber.close()
  }
  const subscriber = await Subscriber.open(gateway.url)
  subscriber.socket.send(Buffer.alloc(10 * MIB, 0x20))
  await until('a message of 10 MB closes the connection', () => subscriber.closeCode !== undefined, 5_000)
  await subscriber.close()
})

t.test('after all that the gateway is alive, ready and small', async (t) => {
  t.equal((await gateway.fetch('/livez')).status, 200)
  t.equal((await gateway.fetch('/readyz')).status, 200)
  const { rssBytes } = await gateway.memory()
  t.ok(rssBytes < 320 * MIB, `${(rssBytes / MIB).toFixed(0)} MiB`)
  t.match(await gateway.stop(), { code: 0 })
})
