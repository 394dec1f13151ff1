// What the upstream will never take is written down: as dead letters, as loss marks in the log, in status and metrics, and for
// the far end, which can then explain every seq; also when the gateway is killed right behind it.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { Completeness } from '../../src/upstream/completeness.ts'
import { readDelivered } from '../../src/upstream/delivered.ts'
import { startListener } from '../../src/upstream/listener.ts'
import { Publisher } from '../support/broker-clients.ts'
import { startGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)

const MESSAGES = 40

t.test('messages that the upstream rejects for good are told everywhere, once', async (t) => {
  const completeness = new Completeness()
  const upstream = await startListener({
    host: '127.0.0.1',
    port: 0,
    onMessage: (message) => {
      const delivered = readDelivered(message)
      if (delivered.kind === 'readings' && delivered.device === 'bad') return 'rejected'
      completeness.add(delivered)
      return 'accepted'
    },
  })
  t.teardown(() => upstream.close())
  const sinks = [{ name: 'hub', type: 'amqp1', url: `amqp://127.0.0.1:${upstream.port}` }]
  const gateway = await startGateway(t, { sinks })
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'client' })
  for (let n = 0; n < MESSAGES; n++) await publisher.publish(n % 4 === 0 ? 'bad' : 'good', `{"n":${n}}`)
  await publisher.close()
  const settled = async () => {
    const { sinks, seq } = await gateway.status()
    return sinks[0]?.position === seq && seq >= MESSAGES
  }
  await until('everything is settled', settled, 30_000)
  const { log, sinks: statuses } = await gateway.status()
  t.equal(log.lost['rejected'], MESSAGES / 4)
  const marks = log.losses.filter(({ reason }) => reason === 'rejected')
  t.ok(
    marks.length > 0 && marks.every(({ sink, devices }) => sink === 'hub' && Object.keys(devices ?? {})[0] === 'bad'),
  )
  t.equal(statuses[0]?.rejectedMessages, MESSAGES / 4)
  t.equal(await gateway.metric('tidegate_lost_messages_total', { reason: 'rejected' }), MESSAGES / 4)
  const letters = await readdir(join(gateway.data, 'dead-letters'))
  t.ok(letters.length > 0)

  await gateway.kill()
  await gateway.start()
  await until('everything is settled again', settled, 30_000)
  t.equal(
    (await gateway.status()).log.lost['rejected'],
    MESSAGES / 4,
    'the marks in the log are counted at the next start',
  )
  t.same(await readdir(join(gateway.data, 'dead-letters')), letters, 'nothing was rejected a second time')
  t.match(completeness.report(), {
    complete: true,
    gateways: [
      {
        missing: 0,
        explained: { rejected: MESSAGES / 4 },
        lost: { rejected: MESSAGES / 4 },
        lostDevices: { bad: MESSAGES / 4 },
      },
    ],
  })
})
