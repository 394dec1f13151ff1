import fc from 'fast-check'
import { test } from 'tap'
import type { Decoding, Entry } from '../../src/core/contract.ts'
import { Knowledge } from '../../src/decode/knowledge.ts'
import type { Router } from '../../src/decode/router.ts'
import { readBatch } from '../../src/forward/batch.ts'
import { DeviceNames } from '../../src/forward/device-names.ts'
import { type MemoryLog, memoryLog } from '../support/memory-log.ts'
import { router as shared } from '../support/profiles.ts'
import { sparkplugPayload } from '../support/sparkplug.ts'
import { until } from '../support/until.ts'

/** What devices say in a random life: births, discoveries, attributes, and values that need them. */
const step = fc.oneof(
  fc.record({ kind: fc.constant('nbirth'), bdSeq: fc.nat({ max: 3 }), name: fc.constantFrom('a', 'b') }),
  fc.record({ kind: fc.constant('dbirth'), name: fc.constantFrom('x', 'y'), unit: fc.constantFrom('W', 'V') }),
  fc.record({ kind: fc.constantFrom('ndata', 'ddata') }),
  fc.record({ kind: fc.constant('ndeath'), bdSeq: fc.nat({ max: 3 }) }),
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const messageOf = (one: Step): { topic: string; payload: Buffer } => {
  const bd = 'bdSeq' in one ? { name: 'bdSeq', datatype: 8, long: BigInt(one.bdSeq) } : undefined
  switch (one.kind) {
    case 'nbirth': {
      const own = { name: 'name' in one ? one.name : '', alias: 1, datatype: 10, double: 1 }
      return { topic: 'spBv1.0/g/NBIRTH/e', payload: sparkplugPayload(bd === undefined ? [own] : [bd, own]) }
    }
    case 'dbirth': {
      const unit = 'unit' in one ? { unit: one.unit } : {}
      const metric = { name: 'name' in one ? one.name : '', alias: 2, datatype: 10, double: 2, ...unit }
      return { topic: 'spBv1.0/g/DBIRTH/e/d', payload: sparkplugPayload([metric]) }
    }
    case 'ndata':
      return { topic: 'spBv1.0/g/NDATA/e', payload: sparkplugPayload([{ alias: 1, double: 3 }]) }
    case 'ddata':
      return { topic: 'spBv1.0/g/DDATA/e/d', payload: sparkplugPayload([{ alias: 2, double: 4 }]) }
    default:
      return { topic: 'spBv1.0/g/NDEATH/e', payload: sparkplugPayload(bd === undefined ? [] : [bd]) }
  }
}

const logOf = async (messages: readonly { topic: string; payload: Buffer }[]): Promise<MemoryLog> => {
  const log = memoryLog()
  for (const message of messages) log.append({ ...message, source: 's', qos: 1, retain: false })
  if (messages.length > 0) await until('all is durable', () => log.durable === messages.length)
  return log
}

const online = (router: Router, entries: readonly Entry[]): Decoding[] =>
  entries.map((entry) => {
    router.learn(entry)
    return router.decode(entry)
  })

test('live, from history and by forward lanes that jump, every message comes out the same', async (t) => {
  const life = fc.array(step, { minLength: 1, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(life, fc.array(fc.nat({ max: 39 }), { maxLength: 6 }), fc.nat(), async (steps, cuts, kept) => {
      const log = await logOf(steps.map(messageOf))
      const { entries } = log
      const expected = online(shared.forgetful(), entries)
      const last = entries.length

      // History: all is known by now; any order.
      const late = shared.forgetful()
      for (const entry of entries.toReversed()) late.learn(entry)
      t.strictSame(
        entries.map((entry) => late.decode(entry)),
        expected,
      )

      // A start: what is kept beside the log up to somewhere, from which retention took everything.
      const before = shared.forgetful()
      const upTo = kept % (last + 1)
      for (const entry of entries.slice(0, upTo)) before.learn(entry)
      const beside = { upTo, topics: before.descriptions.export() }
      const shortened = await logOf(steps.map(messageOf))
      shortened.forget(upTo)
      const restarted = shared.forgetful()
      const knowledge = new Knowledge(restarted, () => shortened.reader())
      knowledge.recall(beside)
      await knowledge.reach(last)
      t.strictSame(
        entries.map((entry) => restarted.decode(entry)),
        expected,
      )
      await knowledge.close()

      // The forward thread: lanes that begin anywhere and take turns.
      const forward = shared.forgetful()
      const lanes = new Knowledge(forward, () => log.reader())
      const devices = new DeviceNames(forward.decode)
      const parts = { reader: log.reader(), decode: forward.decode, knowledge: lanes, devices, sink: 's' }
      const starts = [...new Set([...cuts.filter((cut) => cut < last).map((cut) => cut + 1), 1])].sort((a, b) => b - a)
      for (const first of starts) {
        const batch = await readBatch(
          parts,
          { lane: 'fresh', first, last: Math.min(last, first + 7) },
          { entries: 5, bytes: 1e6 },
        )
        for (const { entry, decoding } of batch?.deliveries ?? [])
          t.strictSame(decoding, expected[entry.seq - 1], `seq ${entry.seq} of a lane from ${first}`)
      }
      await lanes.close()
    }),
    { numRuns: Number(process.env['TIDEGATE_LONG'] === '1' ? 2_000 : 60) },
  )
})

test('only what tells something is read, and only once', async (t) => {
  const data = { topic: 'spBv1.0/g/NDATA/e', payload: sparkplugPayload([{ alias: 1, double: 3 }]) }
  const birth = messageOf({ kind: 'nbirth', bdSeq: 1, name: 'a' })
  const log = await logOf([birth, ...Array.from({ length: 600 }, () => data)])
  const router = shared.forgetful()
  let reads = 0
  const asked = new Set<string>()
  const knowledge = new Knowledge(router, () => ({
    read: (after, limit, filter) => {
      reads++
      return log.reader().read(after, limit, {
        ...filter,
        channel: (topic, source, lists) => {
          const wanted = filter?.channel?.(topic, source, lists) ?? true
          if (wanted) asked.add(topic)
          return wanted
        },
      })
    },
    close: async () => undefined,
  }))
  await Promise.all([knowledge.reach(300), knowledge.reach(601), knowledge.reach(5)])
  t.strictSame([...asked], ['spBv1.0/g/NBIRTH/e'])
  t.equal(knowledge.upTo, 601)
  const before = reads
  await knowledge.reach(601)
  t.equal(reads, before)
  await knowledge.close()
  await knowledge.reach(700)
  t.equal(knowledge.upTo, 601, 'closed')
})

test('what was told to a log that is gone counts before everything in the new one', (t) => {
  const told = (seq: number, name: string) => ({
    payload: messageOf({ kind: 'nbirth', bdSeq: 1, name: name as 'a' }).payload,
    at: [{ seq, receivedAt: 0 }],
  })
  const router = shared.forgetful()
  const knowledge = new Knowledge(router, () => memoryLog().reader())
  const topic = 'spBv1.0/g/NBIRTH/e'
  knowledge.recall({ upTo: 5_000, topics: [{ source: 's', topic, told: [told(4_000, 'a'), told(4_900, 'b')] }] }, 10)
  t.equal(knowledge.upTo, 10)
  const data = { ...messageOf({ kind: 'ndata' }), source: 's', receivedAt: 0 }
  t.equal(router.decode({ ...data, seq: 11 }).readings[0]?.name, 'b')
  t.end()
})
