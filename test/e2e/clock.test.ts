// A gateway without a battery: it starts in 1970, messages come in, and at some point the clock is set, or never.

import { test } from 'tap'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openReader } from '../../src/log/reader.ts'
import { Completeness } from '../../src/upstream/completeness.ts'
import { readDelivered } from '../../src/upstream/delivered.ts'
import type { Incoming } from '../../src/upstream/incoming.ts'
import { startListener } from '../../src/upstream/listener.ts'
import { Publisher } from '../support/broker-clients.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { readAll } from '../support/durable-log.ts'
import { fakeClock, needsFaketime } from '../support/faketime.ts'
import { prepareGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const EARLY = Date.UTC(1970, 0, 1, 0, 0, 10)
const RIGHT = Date.UTC(2026, 10, 20, 12)
/** A loaded machine may take its time between a moment of the test and the gateway's notice of it. */
const SLACK_MS = 30_000

interface Test {
  teardown(work: () => Promise<void>): void
  passing(): boolean
  comment(message: string): void
}

interface Timed {
  readonly seq: number
  readonly device?: string
  readonly value?: number | string | boolean
  readonly v?: number
  readonly t?: number
  readonly time?: string
  readonly timeQuality?: string
}

const setUp = async (t: Test, timeMs: number, gatewayKeys: object = {}) => {
  const clock = await fakeClock(await temporaryDirectory(t), timeMs)
  const incoming: Incoming[] = []
  const completeness = new Completeness()
  const listener = await startListener({
    host: '127.0.0.1',
    port: 0,
    onMessage: (message) => {
      incoming.push(message)
      completeness.add(readDelivered(message))
      return 'accepted'
    },
  })
  t.teardown(() => listener.close())
  const gateway = await prepareGateway(t, {
    env: clock.env,
    gateway: gatewayKeys,
    sinks: [{ name: 'hub', type: 'amqp1', url: `amqp://127.0.0.1:${listener.port}`, batch: { maxDelay: '10ms' } }],
  })
  await gateway.start()
  /** Waits for each PUBACK, so that arrivals are in order and the last one is durable. */
  const publish = async (...values: readonly number[]) => {
    const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'sensor' })
    for (const value of values) await publisher.publish('room/temperature', String(value))
    await publisher.close()
  }
  return {
    clock,
    gateway,
    completeness,
    publish,
    history: async () => (await gateway.json<{ readings: Timed[] }>('/api/v1/history?device=room')).readings,
    /** Records of the upstream, in the order they came. */
    upstream: () =>
      incoming
        .filter(({ contentType }) => contentType === 'application/senml+json')
        .flatMap(({ body, headers }) =>
          (JSON.parse(body.toString()) as Timed[]).map((record) => ({
            ...record,
            header: headers['tidegate-time-quality'],
          })),
        ),
  }
}

/** As another process reads it, while the gateway runs or not. */
const readOutside = async (directory: string): Promise<Timed[]> => {
  const reader = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => Number.POSITIVE_INFINITY })
  try {
    const { entries } = await readAll(reader)
    return entries
      .filter(({ kind }) => kind === 'message')
      .map(({ seq, payload, receivedAt, timeQuality }) => ({
        seq,
        value: Number(payload.toString()),
        time: new Date(receivedAt).toISOString(),
        ...(timeQuality === undefined ? {} : { timeQuality }),
      }))
  } finally {
    await reader.close()
  }
}

const isRight = (ms: number, after = RIGHT - SLACK_MS) => ms >= after && ms <= RIGHT + 2 * SLACK_MS
const timesOf = (readings: readonly Timed[]) => readings.map(({ time }) => Date.parse(time ?? ''))
const ascends = (numbers: readonly number[]) =>
  numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0))

test(
  'messages from before the clock was set get their right times, everywhere and for good',
  needsFaketime,
  async (t) => {
    t.setTimeout(90_000)
    const { clock, gateway, completeness, publish, history, upstream } = await setUp(t, EARLY)
    await publish(1, 2, 3)
    const [shown] = await until('REST shows it', async () => {
      const readings = (await gateway.readings('?device=room')) as readonly Timed[]
      return readings[0]?.value === 3 ? readings : undefined
    })
    t.match(shown, { timeQuality: 'unsynced', time: /^1970-01-01T00:/ })
    const etag = (await gateway.fetch('/api/v1/readings?device=room')).headers.get('etag')
    const waiting = await until('the sink says that it waits', async () => {
      const report = await gateway.status()
      return report.sinks[0]?.detail?.['waitsForClock'] === true ? report : undefined
    })
    t.match(waiting, {
      healthy: true,
      reasons: [],
      clock: { synced: false },
      sinks: [{ state: 'degraded', backlogMessages: 3 }],
    })
    t.strictSame(upstream(), [], 'nothing was forwarded')
    t.equal((await gateway.fetch('/readyz')).status, 200)

    await clock.set(RIGHT)
    await until('everything is upstream', () => upstream().length >= 3)
    t.match(upstream(), [
      { v: 1, timeQuality: 'corrected', header: 'corrected' },
      { v: 2, timeQuality: 'corrected' },
      { v: 3, timeQuality: 'corrected' },
    ])
    t.ok(
      upstream().every((record) => isRight((record.t ?? 0) * 1_000)),
      'with right times',
    )
    await publish(4)
    await until('the next one, too', () => upstream().length === 4)
    t.notOk('timeQuality' in (upstream()[3] ?? {}), 'which needs no correction')

    const check = async (readings: readonly Timed[], where: string) => {
      t.strictSame(
        readings.map(({ value }) => value),
        [1, 2, 3, 4],
        where,
      )
      t.strictSame(
        readings.map(({ timeQuality }) => timeQuality),
        ['corrected', 'corrected', 'corrected', undefined],
        where,
      )
      t.ok(
        timesOf(readings).every((ms) => isRight(ms)),
        `${where}: right times`,
      )
      t.ok(ascends(readings.map(({ seq }) => seq)) && ascends(timesOf(readings)), `${where}: in order`)
    }
    await check(await history(), 'history')
    await check(await readOutside(gateway.data), 'another process')
    const [corrected] = (await gateway.readings('?device=room')) as readonly Timed[]
    t.match(corrected, { value: 4 })
    t.not((await gateway.fetch('/api/v1/readings?device=room')).headers.get('etag'), etag)
    const after = await until('the sink reports that all is settled', async () => {
      const report = await gateway.status()
      return report.sinks[0]?.backlogMessages === 0 ? report : undefined
    })
    t.match(after, { healthy: true, clock: { synced: true }, sinks: [{ state: 'ok', backlogMessages: 0 }] })
    t.ok(isRight(after.startedAt) && isRight(after.sinks[0]?.since ?? 0), 'and what the status dates')
    t.ok(after.uptimeSeconds < 60)
    t.match(gateway.output, /the clock is set/)

    await gateway.stop()
    await check(await readOutside(gateway.data), 'the log of a stopped gateway')
    await gateway.start()
    await check(await history(), 'history after a restart')

    await clock.set(RIGHT - 3_600_000)
    await until('the step back is noticed', () => /the clock has stepped/.test(gateway.output))
    await publish(5)
    await until('it goes upstream', () => upstream().at(-1)?.v === 5)
    const all = await history()
    await check(all.slice(0, 4), 'history after a step back')
    t.ok(Math.abs(Date.parse(all[4]?.time ?? '') - (RIGHT - 3_600_000)) < SLACK_MS)
    t.ok(ascends(all.map(({ seq }) => seq)), 'seqs do not mind')
    const report = completeness.report()
    t.strictSame(
      report.gateways.map(({ gaps, duplicates }) => ({ gaps, duplicates })),
      [{ gaps: [], duplicates: 0 }],
    )
  },
)

test('a value that was shown with a wrong time gets the right one when the clock is set', needsFaketime, async (t) => {
  const { clock, gateway, publish } = await setUp(t, EARLY)
  await publish(1)
  const shown = async () => ((await gateway.readings('?device=room')) as readonly Timed[])[0]
  t.match(await until('REST shows it', shown), { timeQuality: 'unsynced' })
  const etag = (await gateway.fetch('/api/v1/readings?device=room')).headers.get('etag') ?? ''
  await clock.set(RIGHT)
  const corrected = await until('it is corrected', async () => {
    const reading = await shown()
    return reading?.timeQuality === 'corrected' ? reading : undefined
  })
  t.ok(isRight(Date.parse(corrected.time ?? '')))
  const again = await gateway.fetch('/api/v1/readings?device=room', { headers: { 'if-none-match': etag } })
  t.equal(again.status, 200, 'whoever polls is told')
  await again.text()
  t.match(await gateway.json('/api/v1/devices/room'), { timeQuality: 'corrected', lastHeard: corrected.time })
})

test('a run that was killed before the clock was set is corrected by the next one', needsFaketime, async (t) => {
  const { clock, gateway, publish, history, upstream } = await setUp(t, EARLY)
  await publish(1, 2)
  await gateway.kill()
  t.match(await readOutside(gateway.data), [{ timeQuality: 'unsynced' }, { timeQuality: 'unsynced' }])
  await clock.set(RIGHT)
  await gateway.start()
  const corrected = [{ timeQuality: 'corrected' }, { timeQuality: 'corrected' }]
  t.match(await history(), corrected)
  t.ok(timesOf(await history()).every((ms) => isRight(ms)))
  await until('everything is upstream', () => upstream().length === 2)
  t.match(upstream(), corrected)
  t.match(await readOutside(gateway.data), corrected)
})

test('when the clock is never set, messages go on after the wait, and say so', needsFaketime, async (t) => {
  const { gateway, publish, upstream } = await setUp(t, EARLY, { clockWait: '2s' })
  await publish(1, 2)
  await until('everything is upstream', () => upstream().length === 2)
  const unsynced = { timeQuality: 'unsynced', header: 'unsynced' }
  t.match(upstream(), [
    { v: 1, ...unsynced },
    { v: 2, ...unsynced },
  ])
  t.notOk(
    upstream().some((record) => 't' in record),
    'no time is better than a wrong one',
  )
  t.match(gateway.output, /the clock is not set; messages go upstream/)
  t.match(await gateway.status(), { healthy: true, clock: { synced: false } })
})

test('with a clock that is right from the start nothing waits and nothing is marked', needsFaketime, async (t) => {
  const { gateway, publish, upstream, history } = await setUp(t, RIGHT, { clockWait: '1h' })
  await publish(1)
  await until('it is upstream', () => upstream().length === 1)
  t.notOk('timeQuality' in (upstream()[0] ?? {}))
  t.notOk('timeQuality' in ((await history())[0] ?? {}))
  t.notMatch(gateway.output, /wait for the clock/)
})
