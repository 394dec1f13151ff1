// The main job against a real RabbitMQ: every message in the durable queue, once, in order, with every seq accounted for.

import t from 'tap'
import { account, unaccounted } from '../support/account.ts'
import { startGateway } from '../support/gateway.ts'
import { Load } from '../support/load.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { UpstreamQueue } from '../support/upstream-queue.ts'

t.setTimeout(180_000)

const CONNECTIONS = 20
const PER_CONNECTION = 500
const PAYLOAD_BYTES = 200

const payload = (n: number) => {
  const start = `{"n":${n},"temperature":21.5,"padding":"`
  return `${start}${'x'.repeat(PAYLOAD_BYTES - start.length - 2)}"}`
}

t.test(
  '10,000 messages of 20 connections arrive in a durable queue, each exactly once and in order',
  { skip: rabbitMissing() },
  async (t) => {
    const rabbit = await startRabbit(t)
    const queue = await UpstreamQueue.declare(rabbit.url)
    const gateway = await startGateway(t, { sinks: [{ name: 'cloud', type: 'amqp', url: rabbit.url }] })
    // What piles up before the sink is there would be sent as backlog, beside newer messages.
    await until('the sink is connected', async () => (await gateway.status()).sinks[0]?.state === 'ok', 20_000)
    const startedAt = performance.now()
    const load = new Load({
      port: gateway.mqttPort,
      connections: CONNECTIONS,
      inFlight: 50,
      limit: PER_CONNECTION,
      payload,
    })
    await load.finished()
    const published = performance.now() - startedAt
    t.equal(load.acknowledgedCount, CONNECTIONS * PER_CONNECTION)
    t.equal(load.misordered, 0)
    t.equal(load.reconnects, 0)

    await until('the backlog is empty', async () => (await gateway.status()).sinks[0]?.backlogMessages === 0, 60_000)
    t.comment(
      `acknowledged after ${Math.round(published)} ms, confirmed upstream after ${Math.round(performance.now() - startedAt)} ms`,
    )
    const { readings, lossMarks, messages } = await queue.drain(
      'the queue holds everything',
      (content) => content.readings.length >= 3 * CONNECTIONS * PER_CONNECTION,
      60_000,
    )
    const { missing, duplicates, confusions, misordered, seqs } = account(load, readings)
    t.same(
      { missing: missing.slice(0, 10), duplicates, confusions: confusions.slice(0, 10), misordered },
      { missing: [], duplicates: 0, confusions: [], misordered: [] },
    )
    t.equal(readings.length, 3 * CONNECTIONS * PER_CONNECTION, 'every reading once')
    t.same(
      lossMarks.filter((mark) => mark.count > 0),
      [],
      'nothing is told to be lost',
    )
    t.same(unaccounted((await gateway.status()).log.last, seqs, lossMarks), [], 'every seq is accounted for')
    t.equal(seqs.size, CONNECTIONS * PER_CONNECTION)
    t.equal(Math.max(...seqs) - Math.min(...seqs) + 1, seqs.size, 'the seqs are consecutive')
    t.ok(messages < load.sent, `readings travel in batches: ${messages} AMQP messages`)

    const status = await gateway.status()
    t.match(status.sinks[0], { state: 'ok', confirmedMessages: CONNECTIONS * PER_CONNECTION, rejectedMessages: 0 })
    t.equal(
      await gateway.metric('tidegate_sink_confirmed_messages_total', { sink: 'cloud' }),
      CONNECTIONS * PER_CONNECTION,
    )
    t.equal(await gateway.metric('tidegate_messages_durable_total'), CONNECTIONS * PER_CONNECTION)
  },
)
