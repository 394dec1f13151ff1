import { test } from 'tap'
import { CursorFlush } from '../../src/forward/cursor-flush.ts'
import { DurableSignal } from '../../src/forward/durable-signal.ts'
import { Lanes } from '../../src/forward/lanes.ts'
import { applyDeltas, MeterRelay } from '../../src/forward/meter-relay.ts'
import { readingFilter } from '../../src/forward/reading-filter.ts'
import { rememberingMeter } from '../support/context.ts'
import { memoryCursor } from '../support/memory-cursor.ts'
import { until } from '../support/until.ts'

const OPEN = Number.POSITIVE_INFINITY

test('without an outage there is one lane, in order', async (t) => {
  const cursor = memoryCursor([{ first: 5, last: OPEN }])
  const lanes = new Lanes(cursor)
  t.same(lanes.fresh(4), undefined)
  t.same(lanes.fresh(9), { lane: 'fresh', first: 5, last: 9 })
  t.same(lanes.backlog(9), undefined)
  lanes.settle('fresh', 5, 7)
  t.same(lanes.fresh(9), { lane: 'fresh', first: 8, last: 9 })
  t.equal(lanes.unsettledCount(9), 2)
})

test('a small pile stays in the fresh lane, a large one becomes the backlog', async (t) => {
  const cursor = memoryCursor()
  const lanes = new Lanes(cursor, { splitMessages: 100 })
  t.equal(lanes.split(100), false)
  t.equal(lanes.split(101), true)
  t.same(lanes.fresh(101), undefined)
  t.same(lanes.fresh(103), { lane: 'fresh', first: 102, last: 103 })
  t.same(lanes.backlog(103), { lane: 'backlog', first: 1, last: 101 })
  lanes.settle('fresh', 102, 103)
  lanes.settle('backlog', 1, 40)
  t.same(cursor.unsettled, [
    { first: 41, last: 101 },
    { first: 104, last: OPEN },
  ])
  lanes.settle('backlog', 41, 101)
  t.same(lanes.backlog(103), undefined)
  t.equal(cursor.position, 103)
})

test('after a restart the ranges of the cursor are the backlog again', async (t) => {
  const lanes = new Lanes(
    memoryCursor([
      { first: 3, last: 7 },
      { first: 20, last: 29 },
      { first: 50, last: OPEN },
    ]),
  )
  t.same(lanes.backlog(60), { lane: 'backlog', first: 3, last: 7 })
  lanes.settle('backlog', 3, 7)
  t.same(lanes.backlog(60), { lane: 'backlog', first: 20, last: 29 })
  t.same(lanes.fresh(60), { lane: 'fresh', first: 50, last: 60 })
  t.equal(lanes.unsettledCount(60), 21)
})

test('outages during a drain add ranges up to a bound; beyond it the pile stays in order', async (t) => {
  const cursor = memoryCursor()
  const lanes = new Lanes(cursor, { splitMessages: 10, maxRanges: 3 })
  let durable = 0
  for (let outage = 0; outage < 6; outage++) {
    durable += 100
    lanes.split(durable)
    durable += 5
    const fresh = lanes.fresh(durable)
    if (fresh !== undefined) lanes.settle('fresh', fresh.first, fresh.first + 2)
  }
  t.equal(cursor.unsettled.length, 3)
})

test('a cursor is flushed at once after a pause, seldom while it moves slowly, soon while it moves fast, and at the end', async (t) => {
  const cursor = memoryCursor()
  const results: unknown[] = []
  const flush = new CursorFlush(cursor, (error) => results.push(error))
  cursor.settle(1, 10)
  flush.moved(10)
  await until('the first move is flushed', () => cursor.flushes === 1, 1_500)
  cursor.settle(11, 20)
  flush.moved(10)
  t.equal(cursor.flushes, 1, 'a slow one waits')
  cursor.settle(21, 5_000)
  flush.moved(4_980)
  await until('a fast one is flushed', () => cursor.flushes === 2, 1_500)
  cursor.settle(5_001, 5_001)
  flush.moved(1)
  t.equal(cursor.flushes, 2)
  await flush.close()
  t.equal(cursor.flushes, 3)
  t.same(cursor.flushed, cursor.unsettled)
  await flush.close()
  t.same(results, [undefined, undefined, undefined])
})

test('a flush that fails is told and tried again', async (t) => {
  const cursor = memoryCursor()
  const results: unknown[] = []
  const flush = new CursorFlush(cursor, (error) => results.push(error))
  const full = new Error('ENOSPC')
  cursor.fail(full)
  cursor.settle(1, 5_000)
  flush.moved(5_000)
  await until('it failed', () => results.length === 1)
  cursor.fail(undefined)
  await flush.close()
  t.equal(cursor.flushes, 1)
  t.same(results, [full, undefined])
})

test('a wait for durable messages ends with a higher seq only, or with its signal', async (t) => {
  const durable = new DurableSignal(5)
  let woken = 0
  const abort = new AbortController()
  const waiting = durable.wake(abort.signal).then(() => woken++)
  durable.advance(5)
  durable.advance(3)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(woken, 0)
  durable.advance(6)
  await waiting
  t.equal(durable.seq, 6)
  const given = durable.wake(abort.signal)
  abort.abort(new Error('enough'))
  await t.rejects(given, { message: 'enough' })
  await t.rejects(durable.wake(abort.signal), { message: 'enough' })
})

test('figures are handed over in sums, and arrive under their labels', async (t) => {
  const relay = new MeterRelay()
  for (let index = 0; index < 3; index++) relay.add('sent_total', { sink: 'a' }, 2)
  relay.add('sent_total', { sink: 'b' })
  relay.set('level', 1)
  relay.set('level', 7)
  relay.observe('seconds', 0.5, { sink: 'a' })
  const meter = rememberingMeter()
  applyDeltas(relay.take(), meter)
  t.same(Object.fromEntries(meter.values), {
    'sent_total{sink=a}': 6,
    'sent_total{sink=b}': 1,
    level: 7,
    'seconds{sink=a}': 0.5,
  })
  t.same(relay.take(), [])
  for (let index = 0; index < 10_000; index++) relay.observe('seconds', 1)
  t.ok(relay.take().length <= 500)
})

test('a filter takes devices by Topic Filter and readings by name', async (t) => {
  t.equal(readingFilter(undefined), undefined)
  t.equal(readingFilter({}), undefined)
  const reading = (device: string, name: string) => ({ device, name, value: 1 })
  const filter = readingFilter({ devices: ['sensors/#', 'x/+'], names: ['t'] })
  t.same(
    [reading('sensors/a/b', 't'), reading('x/y', 't'), reading('x/y/z', 't'), reading('sensors/a', 'u')].map((one) =>
      filter?.(one),
    ),
    [true, true, false, false],
  )
})
