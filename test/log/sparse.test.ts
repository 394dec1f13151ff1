import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'tap'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openReader } from '../../src/log/reader.ts'
import { segmentName } from '../../src/log/segment-header.ts'
import { SparseWriter } from '../../src/log/sparse-writer.ts'
import { temporaryDirectory } from '../support/directory.ts'

const START_US = 1_700_000_000_000_000
const HEADER = {
  version: 1,
  logId: '00000000-0000-4000-8000-000000000000',
  identity: Buffer.from('identity'),
  first: 10,
  createdMs: START_US / 1_000,
  monotonicMs: 1_000,
  synced: true,
  bootId: 'boot',
  gateway: 'greenhouse',
}

interface Kept {
  /** Seqs that are left out before it. */
  readonly passed: number
  readonly topic: string
  readonly bytes: number
  readonly laterUs: number
  /** The wall clock is moved. */
  readonly skewUs: number
}

/** Length and bytes of a payload, as they stand in a block. */
const payloadOf = (bytes: number): Buffer => {
  const length = bytes < 128 ? [bytes] : [(bytes & 127) | 128, bytes >> 7]
  return Buffer.concat([Buffer.from(length), Buffer.alloc(bytes, 'x')])
}

test('what is written sparsely is read as it was, and what is left out is one partial gap', async (t) => {
  const fileSystem = nodeFileSystem()
  const kept: fc.Arbitrary<Kept> = fc.record({
    passed: fc.constantFrom(0, 0, 1, 100, 2 ** 31),
    topic: fc.constantFrom('a', 'b/c', 'long'.repeat(50)),
    bytes: fc.constantFrom(0, 5, 200, 9_000),
    laterUs: fc.nat(10_000_000),
    skewUs: fc.constantFrom(0, 0, 37, -900, 1.7e15, -1.6e15),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(kept, { maxLength: 60 }), fc.nat(50), async (list, tail) => {
      const directory = await temporaryDirectory(t)
      await mkdir(join(directory, 'log'))
      const handle = await fileSystem.open(join(directory, 'log', segmentName(HEADER.first)), 'replace')
      const writer = new SparseWriter({ handle, header: HEADER, blockBytes: 4_096, onWritten: () => undefined })
      await writer.start()
      let seq = HEADER.first - 1
      let elapsedUs = 0
      let wallUs = START_US
      const wanted: { seq: number; topic: string; bytes: number; receivedAt: number; monotonicMs: number }[] = []
      for (const { passed, topic, bytes, laterUs, skewUs } of list) {
        elapsedUs += laterUs
        wallUs += laterUs
        const monotonicUs = 1_000_000 + elapsedUs
        const entry = {
          ...{ seq: seq + passed + 1, isMessage: true, lists: false, flags: 4, bytes: payloadOf(bytes) },
          ...{ monotonicUs, wallUs: wallUs + skewUs },
        }
        const stretch = { first: seq + 1, synced: true, wallUs: entry.wallUs, monotonicUs }
        await writer.begin(stretch, entry.seq)
        writer.cover(entry.seq - 1)
        if (!writer.add(writer.channel({ source: 'broker', topic }), entry)) {
          await writer.flush()
          await writer.begin({ ...stretch, first: entry.seq }, entry.seq)
          if (!writer.add(writer.channel({ source: 'broker', topic }), entry)) throw new Error('does not fit')
        }
        seq = entry.seq
        const receivedAt = entry.wallUs / 1_000
        wanted.push({ seq, topic, bytes, receivedAt, monotonicMs: monotonicUs / 1_000 })
      }
      if (tail > 0) {
        const end = { first: seq + 1, synced: true, wallUs, monotonicUs: 1_000_000 + elapsedUs }
        await writer.begin(end, seq + tail)
        writer.cover(seq + tail)
        seq += tail
      }
      await writer.seal()
      await handle.close()
      const reader = openReader({ directory, fileSystem, durable: () => seq })
      const { entries, gaps, next } = await reader.read(HEADER.first - 1, { entries: 1_000, bytes: 2 ** 30 })
      await reader.close()
      const found = entries.map((entry) => ({
        ...{ seq: entry.seq, topic: entry.topic, bytes: entry.payload.length },
        ...{ receivedAt: entry.receivedAt, monotonicMs: entry.monotonicMs },
      }))
      if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error('entries differ')
      if (next !== seq && seq >= HEADER.first) throw new Error(`read up to ${next} of ${seq}`)
      const missing = seq - HEADER.first + 1 - entries.length
      if (missing > 0 !== gaps.length > 0) throw new Error(`${missing} are missing, ${gaps.length} gaps`)
      if (gaps.length > 1 || gaps.some(({ partial, reason }) => partial !== true || reason !== 'thinned'))
        throw new Error(JSON.stringify(gaps))
      if (writer.summary.entries !== entries.length) throw new Error('the footer counts wrongly')
    }),
    { numRuns: process.env['TIDEGATE_LONG'] === '1' ? 1_000 : 60 },
  )
  t.pass()
})
