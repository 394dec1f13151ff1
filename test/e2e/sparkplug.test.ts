// An edge node behind the built gateway: what its births say is known after a restart, a kill, a damaged file, and when
// retention took them; upstream, too, on lanes that begin beyond births nobody read; and the gateway asks for births it misses.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import t from 'tap'
import { readPayload } from '../../src/decode/dialects/sparkplug/payload.ts'
import { readDelivered } from '../../src/upstream/delivered.ts'
import { startListener } from '../../src/upstream/listener.ts'
import { startGateway } from '../support/gateway.ts'
import { sparkplugPayload, type TestMetric } from '../support/sparkplug.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)

const TEMPERATURE: TestMetric = { name: 'temperature', alias: 1, datatype: 10, double: 20, unit: '°C' }
/** More than this waits upstream after an outage, and a lane of its own is made (forward/lanes.ts). */
const PILE = 2_300

class EdgeNode {
  readonly client: MqttClient
  rebirths = 0
  #seq = 0
  #session = 0

  constructor(client: MqttClient) {
    this.client = client
  }

  static async connect(port: number): Promise<EdgeNode> {
    const node = new EdgeNode(await connectAsync(`mqtt://127.0.0.1:${port}`))
    node.client.on('message', (_topic, payload) => {
      const isRebirth = readPayload(payload).metrics.some(
        ({ name, value }) => name === 'Node Control/Rebirth' && value?.kind === 'boolean' && value.value,
      )
      if (isRebirth) node.rebirths++
    })
    await node.client.subscribeAsync('spBv1.0/plant/NCMD/edge', { qos: 1 })
    return node
  }

  async birth(temperature: TestMetric = TEMPERATURE): Promise<void> {
    this.#seq = 0
    const bdSeq = { name: 'bdSeq', datatype: 8, long: BigInt(this.#session++) }
    await this.#publish('NBIRTH/edge', [bdSeq])
    await this.#publish('DBIRTH/edge/dev', [temperature])
  }

  data(double: number): Promise<void> {
    return this.#publish('DDATA/edge/dev', [{ alias: 1, double }])
  }

  /** Loses a message on the way. */
  skip(): void {
    this.#seq++
  }

  async #publish(where: string, metrics: readonly TestMetric[]): Promise<void> {
    const [type, ...rest] = where.split('/')
    const payload = sparkplugPayload(metrics, { seq: this.#seq++ % 256, timestamp: Date.now() })
    await this.client.publishAsync(`spBv1.0/plant/${type}/${rest.join('/')}`, payload, { qos: 1 })
  }
}

t.test('births are known after a restart, a kill and a damaged file, and when retention took them', async (t) => {
  // The smallest log there is, so that retention is quick.
  const gateway = await startGateway(t, { log: { maxBytes: '16MiB' } })
  const temperature = async () => {
    const [reading] = await gateway.readings('?device=plant/edge/dev&name=temperature')
    return reading === undefined ? undefined : `${reading.value} ${reading.unit}`
  }
  let edge = await EdgeNode.connect(gateway.mqttPort)
  t.teardown(() => edge.client.endAsync(true))
  const shows = async (value: number) => {
    await edge.data(value)
    await until(`${value} is shown`, async () => (await temperature()) === `${value} Cel`)
  }
  const again = async (stop: () => Promise<unknown>) => {
    await edge.client.endAsync(true)
    await stop()
    await gateway.start()
    edge = await EdgeNode.connect(gateway.mqttPort)
  }
  await edge.birth()
  await shows(21)
  await again(() => gateway.kill())
  await shows(22)
  await again(() => gateway.stop())
  await shows(23)
  const file = join(gateway.data, 'descriptions')
  t.ok((await readFile(file)).length < 1_000)

  const filler = Buffer.alloc(200_000, 'x')
  await until(
    'retention took the births',
    async () => {
      await Promise.all(Array.from({ length: 10 }, () => edge.client.publishAsync('filler/blob', filler, { qos: 1 })))
      return (await gateway.status()).log.first > 10
    },
    60_000,
  )
  await shows(24)
  await again(() => gateway.stop())
  await shows(25)
  await again(() => gateway.kill())
  await shows(26)

  // The births are nowhere now: it starts, says so, and asks for them.
  await again(async () => {
    await gateway.stop()
    await writeFile(file, (await readFile(file)).fill(7, 20, 30))
  })
  t.match(gateway.output, /descriptions beside the log cannot be used/)
  t.ok((await readdir(gateway.data)).includes('descriptions.damaged'))
  await edge.data(27)
  await until('the node is asked', () => edge.rebirths === 1)
  await edge.birth()
  await shows(28)
})

t.test('a node is asked for its births after a gap, and not again and again', async (t) => {
  const gateway = await startGateway(t)
  const edge = await EdgeNode.connect(gateway.mqttPort)
  t.teardown(() => edge.client.endAsync(true))
  await edge.birth()
  for (let value = 0; value < 300; value++) await edge.data(value)
  t.equal(edge.rebirths, 0, 'the numbers begin again at 256')

  for (let value = 0; value < 20; value++) {
    edge.skip()
    await edge.data(value)
  }
  await until('the node is asked', () => edge.rebirths > 0)
  await until('it is counted', async () => (await gateway.metric('tidegate_device_requests_total')) === 20)
  t.equal(await gateway.metric('tidegate_device_requests_total', { reason: 'sent' }), 1)
  t.equal(edge.rebirths, 1)
})

t.test('upstream, a lane that begins beyond births that nobody has read knows them', async (t) => {
  const received = new Map<number, string>()
  const listen = (port: number) =>
    startListener({
      host: '127.0.0.1',
      port,
      onMessage: (message) => {
        const delivered = readDelivered(message)
        if (delivered.kind !== 'readings') return 'accepted'
        for (const { seq, device, name, value, unit } of delivered.readings)
          if (device === 'plant/edge/dev') received.set(seq ?? 0, `${name} ${value} ${unit}`)
        return 'accepted'
      },
    })
  let listener = await listen(0)
  t.teardown(() => listener.close())
  const { port } = listener
  const sink = { name: 'up', type: 'amqp1', url: `amqp://127.0.0.1:${port}`, address: 'telemetry' }
  const gateway = await startGateway(t, { sinks: [sink] })
  const edge = await EdgeNode.connect(gateway.mqttPort)
  t.teardown(() => edge.client.endAsync(true))
  const arrived = (text: string) => [...received.values()].includes(text)
  await edge.birth()
  await edge.data(1)
  await until('the first arrives', () => arrived('temperature 1 Cel'), 20_000)

  await listener.close()
  await edge.data(2)
  await until('it is missed', async () => (await gateway.status()).sinks[0]?.state === 'failed', 20_000)
  // A birth that is read by nobody before the fresh lane begins behind it.
  await edge.birth({ name: 'power', alias: 1, datatype: 10, double: 0, unit: 'kW' })
  for (let sent = 0; sent < PILE; sent += 100)
    await Promise.all(Array.from({ length: 100 }, () => edge.client.publishAsync('other/x', '1', { qos: 1 })))
  await until('the outage is long enough for a lane of its own', async () => {
    const since = (await gateway.status()).sinks[0]?.since ?? Date.now()
    return Date.now() - since > 3_500
  })
  await gateway.kill()
  await gateway.start()
  await edge.client.endAsync(true)
  const later = await EdgeNode.connect(gateway.mqttPort)
  t.teardown(() => later.client.endAsync(true))
  await later.data(3)
  listener = await listen(port)
  await later.data(4)
  await until(
    'all arrives',
    () => arrived('power 3 kW') && arrived('power 4 kW') && arrived('temperature 2 Cel'),
    40_000,
  )
  t.match(gateway.output, /./)
  t.strictSame(
    [...received].sort(([a], [b]) => a - b).map(([, text]) => text),
    ['temperature 20 Cel', 'temperature 1 Cel', 'temperature 2 Cel', 'power 0 kW', 'power 3 kW', 'power 4 kW'],
  )
})
