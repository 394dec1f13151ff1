// A graceful stop under load: nothing that was acknowledged is lost, and the seqs go on without a skip.

import t from 'tap'
import { account } from '../support/account.ts'
import { startGateway } from '../support/gateway.ts'
import { Load } from '../support/load.ts'
import { Subscriber } from '../support/subscriber.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)

t.test('SIGTERM under load: exit 0, nothing acknowledged is lost, and the restart skips no seq', async (t) => {
  const gateway = await startGateway(t)
  const load = new Load({ port: gateway.mqttPort, connections: 5, inFlight: 20 })
  t.teardown(() => load.stop())
  await until('load is running', () => load.acknowledgedCount > 2_000, 20_000)
  const exit = await gateway.stop()
  t.match(exit, { code: 0, signal: null })
  t.comment(`stopped within ${Math.round(exit.tookMs)} ms`)
  await load.stop()
  t.equal(load.misordered, 0, 'PUBACKs came in the order of the PUBLISHes')

  await gateway.start()
  const { log } = await gateway.status()
  t.same(log.lost, {}, 'nothing is recorded as lost')
  const subscriber = await Subscriber.open(gateway.url)
  t.teardown(() => subscriber.close())
  subscriber.subscribe({ after: 0 })
  const arrived = () => subscriber.readings(true)
  const newest = () => arrived().at(-1)?.seq ?? 0
  await until('everything is replayed', () => newest() >= log.last, 20_000)
  const { missing, confusions, duplicates, misordered, seqs } = account(load, arrived())
  t.same(
    { missing: missing.slice(0, 10), confusions: confusions.slice(0, 10), duplicates, misordered },
    { missing: [], confusions: [], duplicates: 0, misordered: [] },
  )
  t.equal(
    subscriber.messages.some((message) => message.type === 'gap'),
    false,
    'no gap',
  )

  const response = await gateway.fetch('/api/v1/readings', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ device: 'after', name: 'restart', value: 1 }),
  })
  const { seq } = (await response.json()) as { seq: number }
  t.equal(seq, Math.max(log.last, ...seqs) + 1, 'the next message has the next seq')
})

t.test('an idle gateway stops within a second, and every open connection is told', async (t) => {
  const gateway = await startGateway(t)
  const subscriber = await Subscriber.open(gateway.url)
  subscriber.subscribe()
  await until('subscribed', () => subscriber.messages.some((message) => message.type === 'snapshot'))
  const polling = gateway.fetch('/api/v1/readings?after=1000000&wait=30s').catch((error: unknown) => error)
  const exit = await gateway.stop()
  t.match(exit, { code: 0 })
  t.ok(exit.tookMs < 2_000, `took ${Math.round(exit.tookMs)} ms`)
  await until('the subscriber is told', () => subscriber.closeCode !== undefined)
  t.equal(subscriber.closeCode, 1001)
  await polling
})
