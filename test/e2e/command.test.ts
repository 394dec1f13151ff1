// The way back: a command reaches the device through the source that heard it, over REST and over the WebSocket alike; and
// the status says what is going on.

import { connectAsync } from 'mqtt'
import { test } from 'tap'
import { startGateway } from '../support/gateway.ts'
import { Subscriber } from '../support/subscriber.ts'
import { until } from '../support/until.ts'

test('a command reaches the device that subscribed, and nobody hearing it is an error that says so', async (t) => {
  const gateway = await startGateway(t)
  const device = await connectAsync(`mqtt://127.0.0.1:${gateway.mqttPort}`)
  t.teardown(() => device.endAsync(true))
  const heard: string[] = []
  device.on('message', (topic, payload) => heard.push(`${topic} ${payload}`))
  await device.subscribeAsync('valves/north/set', { qos: 1 })
  await device.publishAsync('valves/north', '{"open":false}', { qos: 1 })

  const path = `/api/v1/devices/${encodeURIComponent('valves/north')}/commands`
  const post = (body: object) =>
    gateway.fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const accepted = await post({ topic: 'valves/north/set', payload: 'open', qos: 1 })
  t.equal(accepted.status, 202)
  t.type(((await accepted.json()) as { id: unknown }).id, 'string')
  await until('the device hears it', () => heard.includes('valves/north/set open'))

  const subscriber = await Subscriber.open(gateway.url)
  t.teardown(() => subscriber.close())
  subscriber.socket.send(
    JSON.stringify({ type: 'command', id: 7, device: 'valves/north', topic: 'valves/north/set', payload: { open: 5 } }),
  )
  await until('it is accepted', () => subscriber.messages.some(({ type, id }) => type === 'accepted' && id === 7))
  await until('the device hears this one too', () => heard.includes('valves/north/set {"open":5}'))

  const unheard = await post({ topic: 'nobody/listens', payload: 'open' })
  t.ok(unheard.status >= 400)
  t.match(await unheard.json(), { code: 'TG_COMMAND_UNDELIVERABLE', status: unheard.status })
})

test('the status names every part and how it is doing', async (t) => {
  const gateway = await startGateway(t)
  const response = await gateway.fetch('/api/v1/status')
  t.equal(response.status, 200)
  t.match(await response.json(), {
    healthy: true,
    reasons: [],
    seq: 0,
    sources: [{ name: 'broker', type: 'mqtt-broker', state: 'ok', detail: { address: /^127\.0\.0\.1:\d+$/ } }],
    log: { state: 'ok', lost: {} },
    clock: { synced: true },
    memory: { rssBytes: Number },
  })
})
