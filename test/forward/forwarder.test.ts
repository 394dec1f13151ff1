import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Batch, Gap, Health, LossMark, Rejection, Seq, Sink, WriteResult } from '../../src/core/contract.ts'
import { forwarding, message } from '../support/forwarding.ts'
import { memoryCursor } from '../support/memory-cursor.ts'
import { memoryLog } from '../support/memory-log.ts'
import { until } from '../support/until.ts'

const ok: Health = { state: 'ok', since: 0 }

interface Scripted extends Sink {
  readonly batches: Batch[]
  connects: number
  up: boolean
  healthNow: Health
  onWrite: (batch: Batch, signal: AbortSignal, progress: (settled: Seq) => void) => Promise<WriteResult>
}

/** A sink that remembers its batches and takes everything, unless the test says otherwise. */
const scripted = (): Scripted => {
  const sink: Scripted = {
    batches: [],
    connects: 0,
    up: true,
    healthNow: ok,
    onWrite: async (batch) => ({ settled: batch.last, rejected: [] }),
    connect: async () => {
      sink.connects++
      if (!sink.up) throw new Error('not there')
    },
    write: (batch, signal, progress) => {
      sink.batches.push(batch)
      return sink.onWrite(batch, signal, progress)
    },
    health: () => sink.healthNow,
    close: async () => undefined,
  }
  return sink
}

const seqsOf = (batch: Batch) => batch.deliveries.map(({ entry }) => entry.seq)

/** What an upstream that takes nothing answers: a rejection for each device of the batch. */
const rejectAll = (batch: Batch): Rejection[] => {
  const devices = new Set(batch.deliveries.flatMap(({ decoding }) => decoding.readings.map(({ device }) => device)))
  return [...devices, ''].map((device) => ({
    first: batch.first,
    last: batch.last,
    device,
    reason: 'no',
    body: Buffer.from('x'),
    contentType: 'text/plain',
  }))
}

test('everything is written once and in order, and settled up to the end', async (t) => {
  const sink = scripted()
  const { log, forwarder, settled, cursor } = await forwarding(t, sink)
  forwarder.start()
  for (let index = 0; index < 2_500; index++) log.append(message(`device/${index % 7}`, String(index)))
  await settled()
  const seqs = sink.batches.flatMap(seqsOf)
  t.same(
    seqs,
    Array.from({ length: 2_500 }, (_, index) => index + 1),
  )
  t.match(forwarder.status(), {
    state: 'ok',
    position: 2_500,
    confirmedMessages: 2_500,
    confirmedReadings: 2_500,
    retries: 0,
  })
  await forwarder.close(1_000)
  t.same(cursor.flushed, [{ first: 2_501, last: Number.POSITIVE_INFINITY }], 'closing makes the position durable')
  t.equal(forwarder.status().state, 'closed')
})

test('the first reading after a pause goes at once, those behind it wait for company', async (t) => {
  const sink = scripted()
  const { log, forwarder, settled } = await forwarding(t, sink, { batch: { maxReadings: 500, maxDelayMs: 300 } })
  forwarder.start()
  await log.deliver(message('a', '1'))
  const startedAt = performance.now()
  await settled()
  t.ok(performance.now() - startedAt < 200, 'not delayed')
  for (let index = 0; index < 10; index++) await log.deliver(message('a', '2'))
  t.equal(sink.batches.length, 1)
  await settled()
  t.same(
    sink.batches.map((batch) => batch.deliveries.length),
    [1, 10],
  )
})

test('a full batch does not wait for the delay', async (t) => {
  const sink = scripted()
  const { log, forwarder, settled } = await forwarding(t, sink, { batch: { maxReadings: 5, maxDelayMs: 60_000 } })
  forwarder.start()
  await log.deliver(message('a', '1'))
  await settled()
  for (let index = 0; index < 5; index++) await log.deliver(message('a', '2'))
  await settled(2_000)
  t.equal(sink.batches.length, 2)
})

test('faulty messages, messages without readings and holes in the log are part of the batch and count as settled', async (t) => {
  const log = memoryLog()
  for (const payload of ['1', '', 'broken', '2']) await log.deliver(message('a', payload))
  log.forget(1)
  const sink = scripted()
  const { forwarder, settled } = await forwarding(t, sink, { log })
  forwarder.start()
  await settled()
  const [batch] = sink.batches
  t.match(batch, { first: 1, last: 4, gaps: [{ first: 1, last: 1, reason: 'retention' }] })
  t.same(
    batch?.deliveries.map(({ decoding }) => [decoding.readings.length, decoding.fault]),
    [
      [0, undefined],
      [0, 'not a number'],
      [1, undefined],
    ],
  )
  t.equal(forwarder.status().confirmedMessages, 1)
})

test('a filter leaves messages without readings', async (t) => {
  const sink = scripted()
  const { log, forwarder, settled } = await forwarding(t, sink, { filter: ({ name }) => name === 'b' })
  await log.deliver(message('a', 'a=1,b=2'))
  await log.deliver(message('a', 'a=1'))
  forwarder.start()
  await settled()
  t.same(
    sink.batches.flatMap((batch) => batch.deliveries.map(({ decoding }) => decoding.readings.map(({ name }) => name))),
    [['b'], []],
  )
})

test('only the unsettled rest is written again after a failure', async (t) => {
  const sink = scripted()
  let calls = 0
  sink.onWrite = async (batch, _, progress) => {
    calls++
    if (calls > 1) return { settled: batch.last, rejected: [] }
    progress(4)
    throw new Error('connection reset')
  }
  const { log, forwarder, settled, logger, cursor } = await forwarding(t, sink)
  for (let index = 0; index < 10; index++) await log.deliver(message('a', '1'))
  forwarder.start()
  await settled()
  t.same(sink.batches.map(seqsOf), [
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    [5, 6, 7, 8, 9, 10],
  ])
  t.equal(sink.connects, 2)
  t.equal(cursor.position, 10)
  t.match(forwarder.status(), { confirmedMessages: 10, retries: 1 })
  t.same(
    logger.lines.filter(({ level }) => level !== 'debug').map((line) => line.message),
    ['sink lost', 'sink back'],
    'said once when lost and once when back',
  )
})

test('a sink that takes a prefix gets the rest at once; one that takes nothing is asked again without reconnecting', async (t) => {
  const sink = scripted()
  let idle = 3
  sink.onWrite = async (batch) => ({
    settled: idle-- > 0 ? batch.first - 1 : Math.min(batch.last, batch.first + 2),
    rejected: [],
  })
  const { log, forwarder, settled } = await forwarding(t, sink)
  for (let index = 0; index < 8; index++) await log.deliver(message('a', '1'))
  forwarder.start()
  await settled()
  t.equal(sink.connects, 1)
  t.same(
    sink.batches.slice(-3).map((batch) => batch.first),
    [1, 4, 7],
  )
})

test('a sink that claims more than the batch is not believed', async (t) => {
  const sink = scripted()
  sink.onWrite = async (batch) => ({ settled: batch.last + 5, rejected: [] })
  const { log, forwarder, cursor } = await forwarding(t, sink)
  await log.deliver(message('a', '1'))
  forwarder.start()
  await until('the sink failed', () => forwarder.status().state === 'failed')
  t.match(forwarder.status().reason, /settled seq 6 of a batch from 1 to 1/)
  t.equal(cursor.position, 0)
})

test('what is rejected is a durable dead letter before the cursor passes it', async (t) => {
  const sink = scripted()
  const rejection: Rejection = {
    first: 2,
    last: 2,
    device: 'a',
    reason: 'too large',
    body: Buffer.from('[2]'),
    contentType: 'application/json',
  }
  const cursor = memoryCursor()
  let positionWhenAsked = -1
  sink.onWrite = async (batch, _, progress) => {
    progress(1)
    if (sink.batches.length === 1) positionWhenAsked = cursor.position
    return { settled: batch.last, rejected: [rejection] }
  }
  const { log, forwarder, settled, directory, meter } = await forwarding(t, sink, { cursor })
  for (const payload of ['1', '2', '3']) await log.deliver(message('a', payload))
  forwarder.start()
  await settled()
  t.equal(positionWhenAsked, 1)
  const [name = ''] = await readdir(join(directory, 'dead-letters'))
  t.match(name, /^cloud-2-2-[0-9a-f]{8}\.json$/)
  t.match(JSON.parse(await readFile(join(directory, 'dead-letters', name), 'utf8')), {
    sink: 'cloud',
    reason: 'too large',
    body: '[2]',
  })
  t.match(forwarder.status(), { confirmedMessages: 2, rejectedMessages: 1 })
  t.equal(meter.values.get('sink_rejected_messages_total{sink=cloud}'), 1)
  const marks = log.entries.filter(({ kind }) => kind === 'loss').map(({ payload }) => JSON.parse(payload.toString()))
  t.match(marks, [
    {
      first: 2,
      last: 2,
      count: 1,
      reason: 'rejected',
      sink: 'cloud',
      detail: "sink 'cloud': too large",
      devices: { a: 1 },
    },
  ])
  t.same(Object.keys(marks[0]?.devices ?? {}), ['a'])
})

test('the cursor passes a rejection only when its loss mark is durable, and is flushed at once then', async (t) => {
  const sink = scripted()
  sink.onWrite = async (batch) => ({ settled: batch.last, rejected: rejectAll(batch) })
  let record: () => void = () => undefined
  const recorded: Omit<LossMark, 'time'>[] = []
  const cursor = memoryCursor()
  const { log, forwarder, settled } = await forwarding(t, sink, {
    cursor,
    losses: {
      record: (loss) =>
        new Promise((resolve) => {
          recorded.push(loss)
          record = resolve
        }),
      damage: () => undefined,
    },
  })
  for (const payload of ['1', 'broken', '3', '4']) await log.deliver(message('a', payload))
  forwarder.start()
  await until('the first stretch is to be recorded', () => recorded.length === 1)
  t.equal(cursor.position, 0)
  t.equal(cursor.flushes, 0)
  record()
  await until('the second one', () => recorded.length === 2)
  t.equal(cursor.position, 0, 'both marks are needed')
  record()
  await settled()
  await until('the cursor is durable at once', () => cursor.flushed[0]?.first === 5, 1_000)
  t.match(recorded, [
    { first: 1, last: 1, count: 1 },
    { first: 3, last: 4, count: 2 },
  ])
  t.equal(sink.batches.length, 1)
})

test('a loss mark that cannot be recorded is tried again; closing meanwhile leaves the rejection unsettled', async (t) => {
  const sink = scripted()
  sink.onWrite = async (batch) => ({ settled: batch.last, rejected: rejectAll(batch) })
  let calls = 0
  const { log, forwarder, cursor } = await forwarding(t, sink, {
    losses: {
      record: (_, signal) =>
        ++calls < 3
          ? Promise.reject(new Error('the log is full'))
          : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true })),
      damage: () => undefined,
    },
  })
  await log.deliver(message('a', '1'))
  forwarder.start()
  await until('it is tried again', () => calls === 3)
  t.match(forwarder.status(), { state: 'failed', reason: /the log is full/ })
  await forwarder.close(50)
  t.equal(cursor.position, 0)
})

test('an upstream that rejects everything costs the log a few marks for each write, and none for the marks', async (t) => {
  const sink = scripted()
  sink.onWrite = async (batch) => ({ settled: batch.last, rejected: rejectAll(batch) })
  const { log, forwarder, settled } = await forwarding(t, sink)
  for (let n = 0; n < 1_000; n++) log.append(message(`d${n % 10}`, n % 2 ? String(n) : 'broken'))
  await log.deliver(message('d1', '1'))
  forwarder.start()
  await settled()
  await until('the marks are forwarded too', () => sink.batches.at(-1)?.deliveries.at(-1)?.mark !== undefined)
  await settled()
  const marks = log.entries.filter(({ kind }) => kind === 'loss').map(({ payload }) => JSON.parse(payload.toString()))
  t.ok(marks.length <= 8 * sink.batches.length && marks.length <= 24, `${marks.length} marks`)
  t.equal(
    marks.reduce((sum, { count }) => sum + count, 0),
    501,
    'every message is in one of them',
  )
})

test('marks of the log reach the sink with their devices; those of another sink only by their seq', async (t) => {
  const sink = scripted()
  const { log, forwarder, settled } = await forwarding(t, sink)
  await log.deliver(message('a', 'b!x=1'))
  await log.recordLoss({ first: 90, last: 99, count: 7, reason: 'retention', topics: { a: 4, unknown: 3 } })
  await log.recordLoss({ first: 1, last: 1, count: 1, reason: 'rejected', sink: 'cloud', devices: { a: 1 } })
  await log.recordLoss({ first: 1, last: 1, count: 1, reason: 'rejected', sink: 'another', devices: { a: 1 } })
  forwarder.start()
  await settled()
  const told = sink.batches.flatMap(({ deliveries }) => deliveries.map(({ mark }) => mark))
  t.match(told, [
    undefined,
    { first: 90, count: 7, devices: { a: 4, unknown: 3 } },
    { first: 1, count: 1, sink: 'cloud' },
    undefined,
  ])
})

test('damage that the reader meets is told', async (t) => {
  const sink = scripted()
  const log = memoryLog()
  for (const payload of ['1', '2', '3']) await log.deliver(message('a', payload))
  const gaps: Gap[] = []
  const whole = log.reader()
  const { forwarder, settled } = await forwarding(t, sink, {
    log,
    reader: {
      read: async (after, limit) => ({
        ...(await whole.read(after, limit)),
        gaps: after < 2 ? [{ first: 2, last: 2, reason: 'corrupt' }] : [],
      }),
      close: async () => undefined,
    },
    losses: { record: async () => undefined, damage: (gap) => void gaps.push(gap) },
  })
  forwarder.start()
  await settled()
  t.same(gaps, [{ first: 2, last: 2, reason: 'corrupt' }])
})

test('a plug-in whose health() throws is said to be ill, and its messages go on', async (t) => {
  const sink = { ...scripted(), health: () => JSON.parse('{') as Health }
  const { log, forwarder, settled, logger } = await forwarding(t, sink, { stallMs: 5 })
  await log.deliver(message('a', '1'))
  forwarder.start()
  await settled()
  await log.deliver(message('a', '2'))
  await settled()
  t.match(forwarder.status(), { state: 'degraded', reason: /cannot say how it is: .*JSON/, retries: 0 })
  t.equal(logger.lines.filter(({ message }) => /health\(\)/.test(message)).length, 1, 'said once')
})

test('while dead letters cannot be written the cursor stays and the sink is not written to again', async (t) => {
  const sink = scripted()
  sink.onWrite = async (batch) => ({
    settled: batch.last,
    rejected: [{ first: 1, last: 1, device: 'a', reason: 'no', body: Buffer.from('x'), contentType: 'text/plain' }],
  })
  let full = true
  let added = 0
  const deadLetters = {
    add: async () => {
      if (full) throw new Error('ENOSPC')
      added++
    },
  }
  const { log, forwarder, settled, cursor } = await forwarding(t, sink, {
    deadLetters: deadLetters as never,
    losses: { record: async () => undefined, damage: () => undefined },
  })
  await log.deliver(message('a', '1'))
  forwarder.start()
  await until('it is said', () => /ENOSPC/.test(forwarder.status().reason ?? ''))
  t.equal(cursor.position, 0)
  full = false
  await settled()
  t.equal(added, 1)
  t.equal(sink.batches.length, 1)
})

test('a write without progress is given up after the deadline, also by a sink that ignores the signal', async (t) => {
  const sink = scripted()
  let stalls = 2
  sink.onWrite = async (batch) => {
    if (stalls-- > 0) await new Promise(() => undefined)
    return { settled: batch.last, rejected: [] }
  }
  const { log, forwarder, settled, logger } = await forwarding(t, sink, { stallMs: 50 })
  await log.deliver(message('a', '1'))
  forwarder.start()
  await settled()
  t.equal(sink.connects, 3)
  t.match(
    logger.lines.find((line) => line.message === 'sink lost'),
    { fields: { code: 'TG_UPSTREAM_STALLED', reason: /confirmed nothing for 0.05 s/ } },
  )
})

test('progress and a stated reason to wait both put the deadline off', async (t) => {
  const sink = scripted()
  sink.onWrite = async (batch, _, progress) => {
    sink.healthNow = { state: 'degraded', since: 0, reason: 'blocked' }
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    sink.healthNow = ok
    for (let step = 0; step < 5; step++) {
      progress(batch.first - 1)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    return { settled: batch.last, rejected: [] }
  }
  const { log, forwarder, settled } = await forwarding(t, sink, { stallMs: 700 })
  await log.deliver(message('a', '1'))
  forwarder.start()
  await until('the reason is shown', () => forwarder.status().reason === 'blocked')
  await settled()
  t.equal(sink.connects, 1)
})

test('a connection that is lost while idle is made again before the next message', async (t) => {
  const sink = scripted()
  const { log, forwarder, settled } = await forwarding(t, sink)
  forwarder.start()
  await until('connected', () => sink.connects === 1)
  sink.healthNow = { state: 'failed', since: 0, reason: 'reset by peer' }
  await until('connected again', () => sink.connects >= 2)
  sink.healthNow = ok
  await log.deliver(message('a', '1'))
  await settled()
})

test('after an outage fresh messages go first, and the backlog drains beside them in order', async (t) => {
  const sink = scripted()
  const log = memoryLog()
  for (let index = 0; index < 3_000; index++) log.append(message('a', '1'))
  await until('durable', () => log.durable === 3_000)
  // The drain pauses behind its first batch until fresh messages are there.
  let arrive: () => void = () => undefined
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  sink.onWrite = async (batch) => {
    if (sink.batches.length > 1) await arrived
    return { settled: batch.last, rejected: [] }
  }
  const { forwarder, settled, cursor } = await forwarding(t, sink, {
    log,
    lanes: { splitMessages: 1_000 },
    batch: { maxReadings: 1, maxDelayMs: 0 },
  })
  forwarder.start()
  await until('the drain has begun', () => cursor.position > 0)
  for (let index = 0; index < 20; index++) await log.deliver(message('a', '2'))
  arrive()
  await settled()
  for (const lane of ['fresh', 'backlog'] as const) {
    const seqs = sink.batches.filter((batch) => batch.lane === lane).flatMap(seqsOf)
    t.same(
      seqs,
      [...seqs].sort((left, right) => left - right),
      `${lane} is in order`,
    )
  }
  t.same(sink.batches.filter((batch) => batch.lane === 'backlog').flatMap(seqsOf).length, 3_000)
  const lanes = sink.batches.map(({ lane }) => lane)
  const lastBacklog = lanes.lastIndexOf('backlog')
  t.ok(lanes.indexOf('fresh') < lastBacklog, 'fresh messages overtake the backlog')
  t.notOk(
    lanes.some((lane, index) => index < lastBacklog && lane === 'fresh' && lanes[index + 1] === 'fresh'),
    'after each fresh batch the backlog has its turn',
  )
})

test('what came after the start is fresh and in order, however much it is and however late the sink begins', async (t) => {
  const sink = scripted()
  const log = memoryLog()
  for (let index = 0; index < 3_000; index++) log.append(message('a', '1'))
  await until('durable', () => log.durable === 3_000)
  const { forwarder, settled } = await forwarding(t, sink, { log, piled: 0, lanes: { splitMessages: 1_000 } })
  forwarder.start()
  await settled()
  t.ok(sink.batches.every(({ lane }) => lane === 'fresh'))
  const seqs = sink.batches.flatMap(seqsOf)
  t.same(
    seqs,
    seqs.map((_, index) => index + 1),
  )
})

test('a sink that fails at random never loses and never reorders within a lane', async (t) => {
  let seed = 20_261_120
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return seed / 2 ** 32
  }
  const sink = scripted()
  const taken: { readonly lane: string; readonly seq: Seq }[] = []
  sink.connect = async () => {
    if (random() < 0.3) throw new Error('refused')
  }
  sink.onWrite = async (batch, _, progress) => {
    let settled = batch.first - 1
    for (const { entry } of batch.deliveries) {
      if (random() < 0.002) throw new Error('reset')
      taken.push({ lane: batch.lane, seq: entry.seq })
      settled = entry.seq
      if (random() < 0.05) progress(settled)
      if (random() < 0.001) return { settled, rejected: [] }
      if (random() < 0.01) await new Promise((resolve) => setImmediate(resolve))
    }
    return { settled: batch.last, rejected: [] }
  }
  const { log, forwarder, settled } = await forwarding(t, sink, {
    backoff: { baseMs: 1, capMs: 4 },
    batch: { maxReadings: 50, maxDelayMs: 1 },
    lanes: { splitMessages: 100 },
  })
  for (let index = 0; index < 1_000; index++) log.append(message('a', '1'))
  forwarder.start()
  for (let round = 0; round < 100; round++) {
    for (let index = 0; index < 40; index++) log.append(message('a', '1'))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await settled()
  t.equal(new Set(taken.map(({ seq }) => seq)).size, 5_000, 'nothing is lost')
  for (const lane of ['fresh', 'backlog']) {
    const first = new Map<Seq, number>()
    for (const item of taken) if (item.lane === lane && !first.has(item.seq)) first.set(item.seq, first.size)
    const seqs = [...first.keys()]
    t.same(
      seqs,
      [...seqs].sort((left, right) => left - right),
      `${lane}: first deliveries are in order`,
    )
  }
})

test('closing waits for the write under way, but not for ever', async (t) => {
  const sink = scripted()
  let release: () => void = () => undefined
  sink.onWrite = (batch) =>
    new Promise((resolve) => {
      release = () => resolve({ settled: batch.last, rejected: [] })
    })
  const one = await forwarding(t, sink)
  await one.log.deliver(message('a', '1'))
  one.forwarder.start()
  await until('a write is under way', () => sink.batches.length === 1)
  const closing = one.forwarder.close(5_000)
  release()
  await closing
  t.equal(one.cursor.position, 1)

  const stuck = scripted()
  stuck.onWrite = () => new Promise(() => undefined)
  const two = await forwarding(t, stuck)
  await two.log.deliver(message('a', '1'))
  two.forwarder.start()
  await until('a write is under way', () => stuck.batches.length === 1)
  await two.forwarder.close(30)
  t.equal(two.cursor.position, 0)
})

test('closing while the upstream is away does not wait', async (t) => {
  const sink = scripted()
  sink.connect = () => new Promise(() => undefined)
  const { forwarder } = await forwarding(t, sink)
  forwarder.start()
  const startedAt = performance.now()
  await forwarder.close(10_000)
  t.ok(performance.now() - startedAt < 2_000)
})
