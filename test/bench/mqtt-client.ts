// From a real Mosquitto into the log, with QoS 1 and a disk whose every sync takes 5 ms: whether acknowledgements wait for the
// disk without the messages waiting for each other. Beside it, how fast the same broker delivers to a client that keeps nothing.

import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync, type MqttClient } from 'mqtt'
import { systemClock } from '../../src/ops/clock.ts'
import { plugin } from '../../src/sources/mqtt-client/plugin.ts'
import { rememberingLogger, rememberingMeter } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { openTestLog } from '../support/durable-log.ts'
import { startMosquitto } from '../support/mosquitto-broker.ts'
import { until } from '../support/until.ts'
import { watchedDisk } from '../support/watched-disk.ts'
import { endAll, line, quick, scope, spread, whole } from './report.ts'

const SYNC_MS = 5
const ROUNDS = quick ? 3 : 7
const MESSAGES = quick ? 10_000 : 40_000
const PAYLOAD = Buffer.alloc(200, 'x')
const PUBLISHERS = 4
/** Publications of one publisher that wait for their PUBACK: Mosquitto takes twenty at a time. */
const IN_FLIGHT = 20

export const benchMqttClient = async (): Promise<void> => {
  const t = scope
  try {
    const broker = await startMosquitto(t, 'max_queued_messages 0')
    const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, () => connectAsync(broker.url)))
    t.teardown(async () => void (await Promise.all(publishers.map((client) => client.endAsync()))))
    const disk = watchedDisk((call) => (call.startsWith('datasync') ? sleep(SYNC_MS) : undefined))
    const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
    console.log(`\nQoS 1 from Mosquitto, acknowledged when durable, ${SYNC_MS} ms a sync; messages/s`)
    for (const protocol of ['3.1.1', '5']) {
      const source = plugin.create(
        { url: broker.url, topics: ['durable/#'], protocol, clientId: `bench-${protocol}` },
        {
          name: 'house',
          gateway: 'bench',
          logger: rememberingLogger(),
          meter: rememberingMeter(),
          clock: systemClock(),
          directory: await temporaryDirectory(t),
          replay: async function* () {
            // it keeps nothing in memory
          },
          profile: () => undefined,
        },
      )
      if (!('start' in source)) throw new Error('not a source')
      await source.start(log, new AbortController().signal)
      await until('the source is connected', () => source.health().state === 'ok')
      const durable: number[] = []
      const kept: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const before = log.durable
        durable.push(await rate(publishers, 'durable/x', () => log.durable - before))
        kept.push(await nothingKept(broker.url, publishers, protocol === '5' ? 5 : 4))
      }
      await source.close()
      line(`  into the log, by MQTT ${protocol}`, spread(durable, whole))
      line(`  to MQTT.js that keeps nothing, by MQTT ${protocol}`, spread(kept, whole))
      line(
        '  ratio',
        spread(
          durable.map((value, index) => value / (kept[index] ?? 1)),
          (value) => value.toFixed(2),
        ),
      )
    }
  } finally {
    await endAll()
  }
}

const nothingKept = async (url: string, publishers: readonly MqttClient[], protocolVersion: 4 | 5): Promise<number> => {
  const client = await connectAsync(url, { protocolVersion })
  let count = 0
  client.on('message', () => {
    count++
  })
  await client.subscribeAsync('plain/#', { qos: 1 })
  const perSecond = await rate(publishers, 'plain/x', () => count)
  await client.endAsync()
  return perSecond
}

/** From the first publication to the arrival of the last. */
const rate = async (publishers: readonly MqttClient[], topic: string, arrived: () => number): Promise<number> => {
  const startedMs = performance.now()
  let left = MESSAGES
  const work = async (client: MqttClient) => {
    while (left-- > 0) await client.publishAsync(topic, PAYLOAD, { qos: 1 })
  }
  await Promise.all(publishers.flatMap((client) => Array.from({ length: IN_FLIGHT }, () => work(client))))
  await until('all have arrived', () => arrived() >= MESSAGES, 60_000)
  return MESSAGES / ((performance.now() - startedMs) / 1_000)
}
