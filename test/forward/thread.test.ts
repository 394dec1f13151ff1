import { test } from 'tap'
import type { LossMark } from '../../src/core/contract.ts'
import { ForwardThread } from '../../src/forward/thread.ts'
import { rememberingLogger, rememberingMeter } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { realClock } from '../support/forwarding.ts'
import { until } from '../support/until.ts'

interface Test {
  teardown(work: () => Promise<void>): void
}

type Loss = Omit<LossMark, 'time'>

const startThread = async (
  t: Test,
  sinks: readonly { name: string; type: string; config: unknown }[],
  seq = 10,
  recordLoss: (loss: Loss) => Promise<unknown> = async () => undefined,
) => {
  const logger = rememberingLogger()
  const meter = rememberingMeter()
  const durable = { seq }
  const thread = new ForwardThread({
    entry: new URL('../support/forward-worker.ts', import.meta.url),
    data: {
      dataDirectory: await temporaryDirectory(t),
      gateway: 'greenhouse',
      sinks,
      plugins: [],
      profiles: [],
      bindings: [],
      piled: seq,
      clockWaitUntilMs: 0,
      logLevel: 'info',
      logFormat: 'json',
    },
    durable: () => durable.seq,
    recordLoss,
    clock: realClock,
    logger,
    meter,
    backoff: { baseMs: 1, capMs: 1 },
  })
  t.teardown(() => thread.close(200))
  thread.start()
  return { thread, logger, meter, durable }
}

test('the thread forwards, reports and counts; hints make it go on', async (t) => {
  const { thread, meter, durable } = await startThread(t, [
    { name: 'cloud', type: 'test', config: { batch: { maxDelay: 1 } } },
  ])
  t.match(thread.statuses(), [{ name: 'cloud', state: 'starting' }])
  t.equal(thread.settled(), 0)
  await until('the first messages are settled', () => thread.settled() === 10)
  durable.seq = 1_000
  for (let index = 0; index < 100; index++) thread.durableAdvanced()
  await until('all are settled', () => thread.settled() === 1_000)
  t.match(thread.statuses(), [
    { name: 'cloud', type: 'test', state: 'ok', confirmedMessages: 1_000, backlogMessages: 0 },
  ])
  await until('the figures are there', () => meter.values.get('sink_confirmed_messages_total{sink=cloud}') === 1_000)
  await thread.close(1_000)
  t.match(thread.statuses(), [{ state: 'closed', position: 1_000 }])
  await thread.close(1_000)
})

test('a thread that dies is started again, counted, and its sinks are failed meanwhile', async (t) => {
  const { thread, logger, meter } = await startThread(t, [
    { name: 'cloud', type: 'test', config: { behaviour: 'crash' } },
  ])
  await until('it died twice', () => (meter.values.get('forward_thread_deaths_total') ?? 0) >= 2, 20_000)
  t.match(
    logger.lines.find(({ level }) => level === 'error'),
    { message: 'forward thread ended and will be started again', fields: { code: 'TG_INTERNAL', reason: /JSON/ } },
  )
  await until('it is said', () => thread.statuses()[0]?.state === 'failed')
  t.match(thread.statuses()[0]?.reason, /the forward thread ended: .*; it will be started again/)
})

test('what is rejected is recorded by the ingest thread, and the cursor waits for its word', async (t) => {
  const losses: Loss[] = []
  let answer: { resolve: () => void; reject: (error: Error) => void } | undefined
  const { thread } = await startThread(
    t,
    [{ name: 'cloud', type: 'test', config: { behaviour: 'reject' } }],
    10,
    (loss) => {
      losses.push(loss)
      return new Promise<void>((resolve, reject) => {
        answer = { resolve, reject }
      })
    },
  )
  await until('the loss is told', () => losses.length === 1)
  t.match(losses, [{ first: 1, last: 10, count: 10, reason: 'rejected', sink: 'cloud', devices: { a: 10 } }])
  t.equal(thread.settled(), 0)
  answer?.reject(new Error('the disk is full'))
  await until('it is told again', () => losses.length === 2, 20_000)
  t.equal(thread.settled(), 0)
  answer?.resolve()
  await until('the cursor moves', () => thread.settled() === 10)
  t.match(thread.statuses(), [{ rejectedMessages: 10, confirmedMessages: 0 }])
})

test('a sink that cannot be made does not keep the others from their work', async (t) => {
  const { thread } = await startThread(t, [
    { name: 'odd', type: 'unknown', config: {} },
    { name: 'cloud', type: 'test', config: {} },
  ])
  await until('the other one works', () => thread.statuses().some(({ position }) => position === 10))
  t.match(
    thread.statuses().find(({ name }) => name === 'odd'),
    { state: 'failed', reason: /no sink of type unknown/ },
  )
  t.equal(thread.settled(), 0, 'nothing is settled for all of them')
})

test('a thread that does not stop in time is terminated', async (t) => {
  const { thread, logger } = await startThread(t, [{ name: 'cloud', type: 'test', config: { behaviour: 'hang' } }])
  await until('it runs', () => thread.statuses()[0]?.reason !== 'the forward thread is starting')
  const startedAt = performance.now()
  await thread.close(100)
  t.ok(performance.now() - startedAt < 5_000)
  t.ok(logger.lines.some(({ message }) => /terminated/.test(message)))
})

test('without sinks there is no thread, and everything counts as settled', async (t) => {
  const { thread } = await startThread(t, [], 42)
  t.equal(thread.settled(), 42)
  thread.durableAdvanced()
  t.same(thread.statuses(), [])
  await thread.close(100)
})
