import { test } from 'tap'
import { connectRaw, packets, startBroker } from '../../support/mqtt-broker.ts'
import { until } from '../../support/until.ts'

const payload = Buffer.alloc(10_000, 'x')

test('a subscriber that never reads loses QoS 0 and holds up nobody', async (t) => {
  const broker = await startBroker(t)
  const slow = await connectRaw(t, broker, { clientId: 'slow' })
  const quick = await connectRaw(t, broker, { clientId: 'quick' })
  for (const client of [slow, quick]) {
    client.send(packets.subscribe('#'))
    await client.has('suback')
  }
  slow.socket.pause()
  const publisher = await connectRaw(t, broker, { clientId: 'publisher' })
  let published = 0
  await until('the slow one is full', async () => {
    for (let count = 0; count < 100; count++)
      publisher.send(packets.publish('a', 1, (published++ % 65_535) + 1, { payload }))
    await publisher.has('puback', published)
    return broker.count('mqtt_slow_dropped_total') > 100
  })
  await until('the quick one has everything', () => quick.ids('publish').length === published)
  slow.socket.resume()
  const dropped = broker.count('mqtt_slow_dropped_total')
  await until('the slow one catches up', () => slow.ids('publish').length === published - dropped)
  publisher.send(packets.publish('last', 0))
  await until('and gets what is new', () =>
    slow.received.some((packet) => packet.cmd === 'publish' && packet.topic === 'last'),
  )
})

test('a subscriber of QoS 1 that reads late gets what its queue holds, in order', async (t) => {
  const broker = await startBroker(t)
  const slow = await connectRaw(t, broker, { clientId: 'slow' })
  slow.send(packets.subscribe('#', 1))
  await slow.has('suback')
  const publisher = await connectRaw(t, broker, { clientId: 'publisher' })
  const count = 1_300
  for (let n = 1; n <= count; n++) publisher.send(packets.publish(`n/${n}`, 1, n))
  await publisher.has('puback', count)
  // The window holds 100 unacknowledged ones, the queue the newest 1,000 of the others.
  t.equal(broker.count('mqtt_slow_dropped_total'), count - 1_100)
  const got: number[] = []
  let seen = 0
  await until('everything that was kept', () => {
    for (const packet of slow.received.slice(seen))
      if (packet.cmd === 'publish') {
        got.push(Number(packet.topic.slice(2)))
        slow.send(packets.puback(packet.messageId ?? 0))
      }
    seen = slow.received.length
    return got.length >= 1_100
  })
  t.same(got, [
    ...Array.from({ length: 100 }, (_, index) => index + 1),
    ...Array.from({ length: 1_000 }, (_, index) => count - 1_000 + index + 1),
  ])
})

test('the queue of an absent session is bounded, the oldest go', async (t) => {
  const broker = await startBroker(t)
  const away = await connectRaw(t, broker, { clientId: 'away', clean: false })
  away.send(packets.subscribe('#', 1))
  await away.has('suback')
  away.socket.destroy()
  await until('it is away', () => broker.health().detail?.['connections'] === 0)
  const publisher = await connectRaw(t, broker, { clientId: 'publisher' })
  for (let n = 1; n <= 1_005; n++) publisher.send(packets.publish(`n/${n}`, 1, n))
  await publisher.has('puback', 1_005)
  t.equal(broker.count('mqtt_offline_dropped_total'), 5)
  const back = await connectRaw(t, broker, { clientId: 'away', clean: false })
  await back.has('publish', 100)
  t.match(back.received[1], { topic: 'n/6' })
})

test('thousands of retained messages reach a subscriber at its own pace', async (t) => {
  const broker = await startBroker(t)
  const publisher = await connectRaw(t, broker, { clientId: 'publisher' })
  const count = 2_000
  for (let n = 1; n <= count; n++)
    publisher.send(packets.publish(`r/${n}`, 1, n, { retain: true, payload: Buffer.alloc(1_000) }))
  await publisher.has('puback', count)
  const subscriber = await connectRaw(t, broker, { clientId: 'subscriber' })
  subscriber.socket.pause()
  subscriber.send(packets.subscribe('r/#', 1))
  await until('the subscription', () => broker.health().detail?.['subscriptions'] === 1)
  subscriber.socket.resume()
  let seen = 0
  await until('all of them', () => {
    for (const packet of subscriber.received.slice(seen))
      if (packet.cmd === 'publish') subscriber.send(packets.puback(packet.messageId ?? 0))
    seen = subscriber.received.length
    return subscriber.ids('publish').length === count
  })
  t.equal(new Set(subscriber.received.map((packet) => (packet.cmd === 'publish' ? packet.topic : ''))).size, count + 1)
  t.equal(broker.count('mqtt_slow_dropped_total'), 0)
})
