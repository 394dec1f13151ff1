// The upstream goes away under load. Ingest and live values do not notice, memory stays bounded, everything arrives afterwards.

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { account } from '../support/account.ts'
import { startGateway } from '../support/gateway.ts'
import { startHeartbeat } from '../support/heartbeat.ts'
import { Load, quantile } from '../support/load.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { UpstreamQueue } from '../support/upstream-queue.ts'

/** The issue says 60 s; every run shows the same in less, TIDEGATE_LONG=1 does it in full. */
const OUTAGE_MS = process.env['TIDEGATE_LONG'] === '1' ? 60_000 : 15_000
const CONNECTIONS = 10
const PER_SECOND = 1_000
/** A stall of ingest; an fsync on a busy disk of a shared machine takes long enough. */
const MAX_STALL_MS = 3_000
/** What an outage may cost in memory, however long it is. */
const MAX_GROWTH_BYTES = 100 * 2 ** 20

t.setTimeout(180_000 + 3 * OUTAGE_MS)

t.test(
  `a broker that is away for ${OUTAGE_MS / 1_000} s under ${PER_SECOND} messages/s disturbs nobody`,
  { skip: rabbitMissing() },
  async (t) => {
    const rabbit = await startRabbit(t)
    const queue = await UpstreamQueue.declare(rabbit.url)
    const gateway = await startGateway(t, { sinks: [{ name: 'cloud', type: 'amqp', url: rabbit.url }] })
    const load = new Load({ port: gateway.mqttPort, connections: CONNECTIONS, perSecond: PER_SECOND / CONNECTIONS })
    t.teardown(() => load.stop())
    await until(
      'the upstream confirms',
      async () => ((await gateway.status()).sinks[0]?.confirmedMessages ?? 0) > 500,
      20_000,
    )
    const { rssBytes: before } = await gateway.memory()

    await rabbit.stop()
    const heartbeat = await startHeartbeat(gateway)
    const from = load.latenciesMs.length
    await gateway.resetPeak()
    await sleep(OUTAGE_MS)
    const outage = load.latenciesMs.slice(from)
    const { peakBytes } = await gateway.memory()
    const beats = await heartbeat.stop()
    const [sink] = (await gateway.status()).sinks
    t.match(sink?.state, /degraded|failed/, 'the status says that the upstream is away')
    t.ok(sink?.reason, `and why: ${sink?.reason}`)
    t.ok(
      (sink?.backlogMessages ?? 0) > 0.8 * PER_SECOND * (OUTAGE_MS / 1_000),
      `the backlog is counted: ${sink?.backlogMessages}`,
    )
    t.ok(
      outage.length > 0.9 * PER_SECOND * (OUTAGE_MS / 1_000),
      `${outage.length} messages were acknowledged meanwhile`,
    )
    t.ok(
      Math.max(...outage) < MAX_STALL_MS,
      `PUBACK after ${quantile(outage, 0.5).toFixed(1)} ms, p99 ${quantile(outage, 0.99).toFixed(1)} ms, at most ${Math.max(...outage).toFixed(0)} ms`,
    )
    t.equal(beats.missing, 0, 'every live value came')
    t.ok(
      beats.worstLiveGapMs < MAX_STALL_MS,
      `live values never paused for more than ${beats.worstLiveGapMs.toFixed(0)} ms`,
    )
    t.ok(
      peakBytes - before < MAX_GROWTH_BYTES,
      `memory ${(before / 2 ** 20).toFixed(0)} MiB before, at most ${(peakBytes / 2 ** 20).toFixed(0)} MiB during the outage`,
    )

    await rabbit.start()
    await until('the upstream confirms again', async () => (await gateway.status()).sinks[0]?.state === 'ok', 60_000)
    await load.stop()
    t.equal(load.reconnects, 0, 'no publisher lost its connection')
    await until('the backlog is empty', async () => (await gateway.status()).sinks[0]?.backlogMessages === 0, 120_000)
    await queue
      .drain('everything is in the queue', (content) => account(load, content.readings).missing.length === 0, 60_000)
      .catch((error: unknown) => t.comment(String(error)))
    const { missing, confusions, duplicates } = account(load, queue.content.readings)
    t.same(missing.slice(0, 10), [], 'everything arrived')
    t.same(confusions.slice(0, 10), [])
    t.comment(`${load.acknowledgedCount} messages, ${duplicates} duplicates with the same seq`)
    const lanes = new Set(queue.content.readings.map((reading) => reading.lane))
    t.ok(lanes.has('backlog') && lanes.has('fresh'), 'new messages went first, the backlog behind them')
  },
)
