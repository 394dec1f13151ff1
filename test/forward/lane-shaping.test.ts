import fc from 'fast-check'
import { test } from 'tap'
import type { Batch, Reading, Sink } from '../../src/core/contract.ts'
import type { ShapeRule } from '../../src/core/shape.ts'
import { createShaping, type Shaping } from '../../src/decode/shaping.ts'
import { readBatch } from '../../src/forward/batch.ts'
import { DeviceNames } from '../../src/forward/device-names.ts'
import { LaneShaping } from '../../src/forward/lane-shaping.ts'
import { decodeNumber, forwarding, message } from '../support/forwarding.ts'
import { memoryLog } from '../support/memory-log.ts'

const create = (rules: readonly ShapeRule[]) => (): Shaping => {
  const shaping = createShaping([], rules)
  if (shaping === undefined) throw new Error('there is nothing to shape')
  return shaping
}

const rules: readonly ShapeRule[] = [
  { devices: ['w'], window: { per: 5_000, of: ['mean', 'count'] } },
  { devices: ['d'], deadband: 2 },
]

const texts = (readings: readonly Reading[]) => readings.map(({ device, name, value }) => `${device} ${name}=${value}`)

/** A log whose messages arrive at the given times, and a reader of shaped batches. */
const shapedLog = (steps: readonly { readonly topic: string; readonly value: number; readonly wait: number }[]) => {
  let nowMs = 1_000_000
  const log = memoryLog(() => nowMs)
  for (const { topic, value, wait } of steps) {
    nowMs += wait
    log.append(message(topic, `${value}`))
  }
  const reader = log.reader()
  const shaping = new LaneShaping({ create: create(rules), reader, decode: decodeNumber })
  const parts = { reader, shaping, decode: decodeNumber, devices: new DeviceNames(decodeNumber), sink: 'cloud' }
  const read = async (lane: 'fresh' | 'backlog', first: number, last: number) => {
    const batch = await readBatch(parts, { lane, first, last }, { entries: 1_000, bytes: 1e9 })
    return batch?.deliveries ?? []
  }
  return { log, read }
}

const steps = fc.array(
  fc.record({
    topic: fc.constantFrom('w', 'd', 'x'),
    value: fc.integer({ min: 0, max: 9 }),
    wait: fc.integer({ min: 0, max: 3_000 }),
  }),
  { minLength: 1, maxLength: 40 },
)

test('batches that are settled in part, and read again, come out as if they had come through at once', async (t) => {
  const cuts = fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 8 })), { minLength: 1 })
  await fc.assert(
    fc.asyncProperty(steps, cuts, async (list, sizes) => {
      const whole = shapedLog(list)
      await new Promise((resolve) => setImmediate(resolve))
      const expected = texts((await whole.read('fresh', 1, list.length)).flatMap(({ decoding }) => decoding.readings))
      const { read } = shapedLog(list)
      await new Promise((resolve) => setImmediate(resolve))
      const sent: string[] = []
      for (let first = 1, round = 0; first <= list.length; round++) {
        const [size = 1, kept = 1] = sizes[round % sizes.length] ?? []
        const last = Math.min(list.length, first + size - 1)
        const deliveries = await read('fresh', first, last)
        // Nothing, a part, or all of it is settled; each round at least moves on.
        const settled = Math.min(last, first - 1 + (round % 3 === 0 ? Math.max(1, kept) : kept))
        for (const { entry, decoding } of deliveries) if (entry.seq <= settled) sent.push(...texts(decoding.readings))
        first = settled + 1
        if (round > 1_000) throw new Error('it does not move on')
      }
      t.strictSame(sent, expected)
    }),
    { numRuns: 60 },
  )
})

test('a backlog beside fresh messages gives each window once, with everything in it', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(40), fc.nat(40), async (list, one, other) => {
      const windowed = list.map((step) => ({ ...step, topic: 'w' }))
      const whole = shapedLog(windowed)
      await new Promise((resolve) => setImmediate(resolve))
      const expected = texts((await whole.read('fresh', 1, list.length)).flatMap(({ decoding }) => decoding.readings))
      const [position, split] = [one % list.length, other % list.length].sort((a, b) => a - b)
      const { read } = shapedLog(windowed)
      await new Promise((resolve) => setImmediate(resolve))
      const sent: string[] = []
      const send = async (lane: 'fresh' | 'backlog', first: number, last: number) => {
        if (last < first) return
        for (const { decoding } of await read(lane, first, last)) sent.push(...texts(decoding.readings))
      }
      await send('fresh', 1, position ?? 0)
      // An outage; then what is fresh goes first.
      await send('fresh', (split ?? 0) + 1, list.length)
      await send('backlog', (position ?? 0) + 1, split ?? 0)
      t.strictSame(sent.sort(), expected.sort())
    }),
    { numRuns: 100 },
  )
})

test('a sink is sent what its shape lets pass; the rest is settled with it', async (t) => {
  const log = memoryLog()
  const reader = log.reader()
  const batches: Batch[] = []
  const sink: Sink = {
    connect: async () => undefined,
    write: async (batch) => {
      batches.push(batch)
      return { settled: batch.last, rejected: [] }
    },
    health: () => ({ state: 'ok', since: 0 }),
    close: async () => undefined,
  }
  const shaping = new LaneShaping({ create: create([{ changeOnly: true }]), reader, decode: decodeNumber })
  const { forwarder, settled } = await forwarding(t, sink, { log, shaping })
  for (const value of [1, 1, 1, 2, 2, 1]) log.append(message('a', `${value}`))
  forwarder.start()
  await settled()
  const readings = batches.flatMap(({ deliveries }) => deliveries.flatMap(({ decoding }) => decoding.readings))
  t.strictSame(
    readings.map(({ value }) => value),
    [1, 2, 1],
  )
  t.equal(
    batches.reduce((sum, { deliveries }) => sum + deliveries.length, 0),
    6,
    'every message is accounted for',
  )
})
