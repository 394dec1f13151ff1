import { test } from 'tap'
import type { LogReader } from '../../src/core/log-contract.ts'
import { createRouter } from '../../src/decode/router.ts'
import { Live, type LiveOptions } from '../../src/live/live.ts'
import { selectionOf } from '../../src/live/selection.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { type MemoryLog, memoryLog } from '../support/memory-log.ts'
import { until } from '../support/until.ts'

const everything = selectionOf([], [])

const filled = async (count: number, devices: number): Promise<MemoryLog> => {
  const log = memoryLog()
  for (let index = 1; index <= count; index++)
    log.append({
      topic: `device/${index % devices}`,
      payload: Buffer.from(`{"value":${index}}`),
      source: 'broker',
      qos: 1,
      retain: false,
    })
  await until('all is durable', () => log.durable === count)
  return log
}

const liveOn = (log: MemoryLog, options: Partial<LiveOptions> = {}) => {
  const logger = rememberingLogger()
  const meter = rememberingMeter()
  const live = new Live({
    decode: createRouter([]).decode,
    reader: () => log.reader(),
    durable: () => log.durable,
    clock: turnableClock(),
    meter,
    logger,
    ...options,
  })
  return { live, logger, meter }
}

const slowReader = (log: MemoryLog, delayMs: number, reads: { count: number }) => (): LogReader => {
  const inner = log.reader()
  return {
    read: async (after, limit) => {
      reads.count++
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      return inner.read(after, limit)
    },
    close: () => inner.close(),
  }
}

test('after a restart the last values, devices and faults are those of the log', async (t) => {
  const log = await filled(5_000, 7)
  await log.deliver({ topic: 'broken', payload: Buffer.from('{'), source: 'broker', qos: 1, retain: false })
  const { live, logger } = liveOn(log)
  await live.start(new AbortController().signal)
  await until('it is rebuilt', () => logger.lines.some(({ message }) => message === 'live values rebuilt'))
  t.equal(live.seq, 5_001)
  t.same(
    live.state.since(everything, 0).map(({ value }) => value),
    [4_994, 4_995, 4_996, 4_997, 4_998, 4_999, 5_000],
  )
  t.match(live.status(), { devices: 8, values: 7, faults: 1, subscribers: 0 })
  t.notOk(live.state.mayHaveSince(selectionOf(['nowhere'], []), 0), 'the whole log is known')
  t.ok(live.window.covers(4_500), 'the newest stretch is in the window')
  t.equal(live.window.since(everything, 4_990).length, 10)
  await live.close()
})

test('the newest values are there at once, however long the log is; the rest comes beside live traffic', async (t) => {
  const log = await filled(4_000, 4_000)
  const reads = { count: 0 }
  const { live, logger } = liveOn(log, { reader: slowReader(log, 30, reads) })
  const startedMs = performance.now()
  await live.start(new AbortController().signal)
  t.ok(performance.now() - startedMs < 1_000, 'start does not wait for all of it')
  const found = live.state.since(everything, 0)
  t.equal(found.at(-1)?.value, 4_000)
  t.ok(found.length < 4_000)
  const removal = log.onDurable((entries) => live.feed(entries))
  await log.deliver({
    topic: 'device/1',
    payload: Buffer.from('{"value":"live"}'),
    source: 'broker',
    qos: 1,
    retain: false,
  })
  await until('it is rebuilt', () => logger.lines.some(({ message }) => message === 'live values rebuilt'))
  t.equal(live.state.valueCount, 4_000)
  t.equal(live.state.readingsOf('device/1')[0]?.value, 'live', 'what came live is not overwritten')
  const seqs = live.state.since(everything, 0).map(({ seq }) => seq)
  t.same(
    seqs,
    seqs.toSorted((one, other) => one - other),
  )
  removal()
  await live.close()
})

test('a rebuild ends with the signal, and close waits for it', async (t) => {
  const log = await filled(3_000, 3_000)
  const reads = { count: 0 }
  const { live, logger } = liveOn(log, { reader: slowReader(log, 20, reads) })
  await live.start(new AbortController().signal)
  await live.close()
  const { count } = reads
  await new Promise((resolve) => setTimeout(resolve, 60))
  t.equal(reads.count, count)
  t.notOk(logger.lines.some(({ level }) => level === 'warn'))
  const stopped = liveOn(log, { reader: slowReader(log, 20, reads) })
  const abort = new AbortController()
  const starting = stopped.live.start(abort.signal)
  abort.abort(new Error('stop'))
  await t.rejects(starting, { message: 'stop' })
  await stopped.live.close()
})

test('a log that cannot be read does not keep the gateway from starting', async (t) => {
  const log = await filled(10, 2)
  const reader = () => ({
    read: async () => {
      throw new Error('EIO: i/o error, read')
    },
    close: async () => undefined,
  })
  const { live, logger } = liveOn(log, { reader })
  await live.start(new AbortController().signal)
  t.match(
    logger.lines.find(({ level }) => level === 'warn'),
    { fields: { error: /EIO/ } },
  )
  await live.close()
})

test('retention at the beginning of the log ends the search', async (t) => {
  const log = await filled(20_000, 5)
  log.forget(19_000)
  const reads = { count: 0 }
  const { live, logger } = liveOn(log, { reader: slowReader(log, 0, reads) })
  await live.start(new AbortController().signal)
  await until('it is rebuilt', () => logger.lines.some(({ message }) => message === 'live values rebuilt'))
  t.equal(live.state.valueCount, 5)
  t.ok(reads.count < 10, `${reads.count} reads`)
  await live.close()
})

test('subscribers with equal wishes share a batch; commits close together make one', async (t) => {
  const log = await filled(0, 1)
  const { live } = liveOn(log)
  await live.start(new AbortController().signal)
  const removal = log.onDurable((entries) => live.feed(entries))
  const batches: { readonly who: string; readonly batch: object; readonly values: unknown[] }[] = []
  const subscribe = (who: string, devices: string[]) =>
    live.hub.add({
      selection: selectionOf(devices, []),
      push: (batch) => batches.push({ who, batch, values: batch.readings.map(({ value }) => value) }),
    })
  const removals = [subscribe('one', ['a/#']), subscribe('two', ['a/#']), subscribe('exact', ['b', 'a/1'])]
  t.equal(live.hub.subscriberCount, 3)
  const publish = (topic: string, value: number) =>
    log.deliver({ topic, payload: Buffer.from(`{"v":${value}}`), source: 'broker', qos: 1, retain: false })
  await publish('a/1', 0)
  t.equal(batches.length, 3, 'the first goes out at once')
  t.equal(batches[0]?.batch, batches[1]?.batch)
  batches.length = 0
  for (const [topic, value] of [
    ['a/1', 1],
    ['b', 2],
    ['a/2', 3],
    ['c', 4],
  ] as const)
    await publish(topic, value)
  const received = (who: string) => batches.filter((it) => it.who === who).flatMap(({ values }) => values)
  await until('all is handed out', () => received('one').length === 2 && received('exact').length === 2)
  t.same(received('one'), [1, 3])
  t.same(received('exact'), [1, 2])
  for (const remove of removals) {
    remove()
    remove()
  }
  t.equal(live.hub.subscriberCount, 0)
  removal()
  await live.close()
})

test('the window begins behind a hole in the log, so that whoever resumes from before it is told', async (t) => {
  const log = await filled(100, 3)
  log.forget(40)
  const { live } = liveOn(log)
  await live.start(new AbortController().signal)
  t.teardown(() => live.close())
  await until('the rebuild is done', () => live.window.floor > 0)
  t.notOk(live.window.covers(20))
  t.ok(live.window.covers(40))
  t.equal(live.window.since(everything, 40).length, 60)
})
