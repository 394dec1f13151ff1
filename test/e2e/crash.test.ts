// kill -9 at random moments under load: an acknowledged message is never lost, and a seq never stands for two messages.

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { account, unaccounted } from '../support/account.ts'
import { startGateway } from '../support/gateway.ts'
import { Load } from '../support/load.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { UpstreamQueue } from '../support/upstream-queue.ts'

t.setTimeout(240_000)

const KILLS = 20

t.test(
  `after ${KILLS} times kill -9 under load every acknowledged message is in the queue`,
  { skip: rabbitMissing() },
  async (t) => {
    const rabbit = await startRabbit(t)
    const queue = await UpstreamQueue.declare(rabbit.url)
    const gateway = await startGateway(t, { sinks: [{ name: 'cloud', type: 'amqp', url: rabbit.url }] })
    const load = new Load({ port: gateway.mqttPort, connections: 10, inFlight: 20 })
    t.teardown(() => load.stop())
    let unproductive = 0
    for (let kills = 0; kills < KILLS; kills++) {
      const before = load.acknowledgedCount
      await sleep(50 + Math.random() * 700)
      await gateway.kill()
      if (load.acknowledgedCount === before) unproductive++
      await gateway.start()
    }
    const before = load.acknowledgedCount
    await until('load goes on after the last restart', () => load.acknowledgedCount > before + 500, 20_000)
    await load.stop()
    t.ok(unproductive < KILLS / 2, `most lives acknowledged something (${unproductive} did not)`)
    t.equal(load.misordered, 0, 'PUBACKs came in the order of the PUBLISHes')

    const done = async () => (await gateway.status()).sinks[0]?.backlogMessages === 0
    await until('the backlog is empty', done, 60_000)
    await queue
      .drain(
        'every acknowledged message is in the queue',
        (content) => account(load, content.readings).missing.length === 0,
        60_000,
      )
      .catch((error: unknown) => t.comment(String(error)))
    const { missing, confusions, duplicates, seqs } = account(load, queue.content.readings)
    t.same(missing.slice(0, 10), [], 'nothing acknowledged is missing')
    t.same(confusions.slice(0, 10), [], 'no message under two seqs, no seq for two messages')
    t.comment(
      `${load.acknowledgedCount} acknowledged, ${seqs.size} arrived, ${duplicates} duplicates with the same seq`,
    )

    const { last } = (await gateway.status()).log
    const { lossMarks } = queue.content
    t.same(unaccounted(last, seqs, lossMarks), [], 'every seq is a reading or explained by a loss mark')
    const lost = lossMarks.reduce((sum, mark) => sum + mark.count, 0)
    t.equal(lost, 0, 'no mark tells of a lost message')
    t.comment(`${lossMarks.filter((mark) => mark.reason === 'unclean-stop').length} marks of unclean stops`)
  },
)
