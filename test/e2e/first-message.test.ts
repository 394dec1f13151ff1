// The seed of the project: a client that we did not write publishes, and the value is everywhere within a second.

import { existsSync } from 'node:fs'
import { test } from 'tap'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { mosquittoPub } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { isFree } from '../support/port.ts'
import { Subscriber } from '../support/subscriber.ts'
import { until } from '../support/until.ts'

/** From the end of mosquitto_pub, which for QoS 1 has seen the PUBACK. */
const PROMISE_MS = 1_000

const find = async (gateway: Gateway, device: string, name: string) =>
  (await gateway.readings()).find((reading) => reading.device === device && reading.name === name)

test(
  'a value published with mosquitto_pub is in REST and on a WebSocket within a second',
  needs('mosquitto-clients'),
  async (t) => {
    const gateway = await startGateway(t)
    const subscriber = await Subscriber.open(gateway.url)
    t.teardown(() => subscriber.close())
    subscriber.subscribe({ devices: ['sensors/#'] })
    await until('the snapshot comes', () => subscriber.messages.some((message) => message.type === 'snapshot'))

    await mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'sensors/greenhouse/temperature', '-m', '21.5')
    const expected = { device: 'sensors/greenhouse', name: 'temperature', value: 21.5 }
    t.match(
      await until('REST shows it', () => find(gateway, 'sensors/greenhouse', 'temperature'), PROMISE_MS),
      expected,
    )
    t.match(await until('the WebSocket shows it', () => subscriber.readings().at(-1), PROMISE_MS), expected)
    t.equal(subscriber.messages[0]?.type, 'hello', 'the server speaks first')

    await t.test('25°C published to temperature reads as 25 Cel', async (t) => {
      await mosquittoPub(gateway.mqttPort, '-q', '0', '-t', 'temperature', '-m', '25°C')
      const reading = await until('REST shows it', () => find(gateway, 'broker', 'temperature'), PROMISE_MS)
      t.match(reading, { device: 'broker', name: 'temperature', value: 25, unit: 'Cel' })
    })

    await t.test('a poll that has seen everything is answered 304 with no body', async (t) => {
      const first = await gateway.fetch('/api/v1/readings')
      const etag = first.headers.get('etag') ?? ''
      await first.text()
      const second = await gateway.fetch('/api/v1/readings', { headers: { 'if-none-match': etag } })
      t.equal(second.status, 304)
      t.equal(await second.text(), '')
    })

    await t.test('a value posted over HTTP is answered with its seq, and shown', async (t) => {
      const response = await gateway.fetch('/api/v1/readings', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ device: 'posted/by-hand', name: 'level', value: 3 }),
      })
      t.equal(response.status, 201)
      const { seq } = (await response.json()) as { seq: number }
      const reading = await until('REST shows it', () => find(gateway, 'posted/by-hand', 'level'), PROMISE_MS)
      t.match(reading, { seq, value: 3 })
    })
  },
)

/** The built-in defaults listen on the well-known ports. */
const defaultsAreTaken = async (): Promise<string | false> => {
  if (existsSync('/etc/tidegate/tidegate.yaml')) return 'this machine has a configuration of its own'
  for (const port of [1883, 8080]) if (!(await isFree(port))) return `port ${port} is in use`
  return needs('mosquitto-clients').skip
}
const skip = process.env['CI'] === 'true' ? false : await defaultsAreTaken()

test('without any configuration the value is in the embedded upstream within a second', { skip }, async (t) => {
  const gateway = await startGateway(t, { embedded: true })
  t.equal(gateway.url, 'http://127.0.0.1:8080')
  t.equal(gateway.mqttPort, 1883)
  const confirmed = async () => {
    const { sinks } = await gateway.status()
    return sinks.find((sink) => sink.type === 'amqp1')?.confirmedMessages
  }
  await until('the embedded upstream is connected', async () => (await gateway.fetch('/readyz')).ok)
  await mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'sensors/greenhouse/temperature', '-m', '21.5')
  await until('the upstream has confirmed it', async () => ((await confirmed()) ?? 0) >= 1, PROMISE_MS)
  t.match(await find(gateway, 'sensors/greenhouse', 'temperature'), { value: 21.5 })
  const { code } = await gateway.stop()
  t.equal(code, 0)
})
