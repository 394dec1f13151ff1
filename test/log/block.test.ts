import fc from 'fast-check'
import { test } from 'tap'
import type { EntryKind, Message } from '../../src/core/contract.ts'
import { ActiveSegment } from '../../src/log/active-segment.ts'
import { bodyIsWhole, crcSeed, readBlockHeader } from '../../src/log/block.ts'
import { ByteReader, varintBytes, writeVarint } from '../../src/log/bytes.ts'
import type { ChannelName } from '../../src/log/channel.ts'
import { ChannelTable } from '../../src/log/channel.ts'
import { EntryDecoder, learnDefinitions } from '../../src/log/entry-decoder.ts'
import type { FileHandle } from '../../src/log/file-system.ts'
import { PendingBlock } from '../../src/log/pending-block.ts'
import { FORMAT_VERSION, newIdentity } from '../../src/log/segment-header.ts'

/** A file in memory. */
const memoryFile = (): FileHandle & { bytes: Buffer } => {
  const file = {
    fd: -1,
    bytes: Buffer.alloc(0),
    read: async () => 0,
    write: async (buffer: Buffer, offset: number, length: number, position: number) => {
      const size = Math.max(file.bytes.length, position + length)
      const grown = Buffer.alloc(size)
      file.bytes.copy(grown)
      buffer.copy(grown, position, offset, offset + length)
      file.bytes = grown
      return length
    },
    datasync: async () => undefined,
    sync: async () => undefined,
    truncate: async () => undefined,
    size: async () => file.bytes.length,
    close: async () => undefined,
  }
  return file
}

const segmentOn = (handle: FileHandle) => {
  const header = {
    version: FORMAT_VERSION,
    logId: '00000000-0000-4000-8000-000000000000',
    identity: newIdentity(),
    first: 1,
    createdMs: 0,
    monotonicMs: 0,
    synced: true,
    bootId: 'boot',
    gateway: 'greenhouse',
  }
  return new ActiveSegment({ handle, header, allocatedBytes: 1_024, targetBytes: 2 ** 24, onWritten: () => undefined })
}

test('every integer up to 2^53 - 1 comes back from its bytes, in as few as it needs', (t) => {
  const bytes = Buffer.alloc(8)
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      const end = writeVarint(bytes, 0, value)
      return end === varintBytes(value) && new ByteReader(bytes, 0, end).varint() === value
    }),
    { examples: [[0], [127], [128], [2 ** 31], [2 ** 32 - 1], [2 ** 32], [Number.MAX_SAFE_INTEGER]] },
  )
  t.end()
})

const arbitraryMessage = fc.record({
  kind: fc.constantFrom<EntryKind>('message', 'message', 'message', 'loss', 'clock'),
  topic: fc.constantFrom('a', 'a/b', 'ü'.repeat(100), '$x'),
  source: fc.constantFrom('broker', 'serial'),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
  retain: fc.boolean(),
  origin: fc.option(fc.record({ clientHash: fc.nat(2 ** 32 - 1), packetId: fc.integer({ min: 1, max: 65_535 }) }), {
    nil: undefined,
  }),
  laterUs: fc.nat(10_000_000),
})

test('entries come back from a block as they went in, and any flipped bit is noticed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryMessage, { minLength: 1, maxLength: 30 }), fc.nat(), async (messages, flip) => {
      const table = new ChannelTable()
      const start = { first: 42, wallUs: 1_700_000_000_000_123, monotonicUs: 5_000_001, synced: true }
      const block = new PendingBlock(start, Buffer.alloc(256 * 1024))
      let nowUs = start.monotonicUs
      for (const { kind, laterUs, origin, ...rest } of messages) {
        nowUs += laterUs
        const message: Message = origin === undefined ? rest : { ...rest, origin }
        const channel = kind === 'message' ? table.of(rest.source, rest.topic) : undefined
        if (!block.fits(channel, rest.payload.length)) return false
        block.add(channel, kind, message, nowUs, undefined)
      }
      const file = memoryFile()
      const segment = segmentOn(file)
      await segment.write(block)
      const seed = crcSeed(segment.header.identity)
      const header = readBlockHeader(file.bytes, 1_024, seed)
      if (header === undefined || !bodyIsWhole(file.bytes, 1_024, header, seed)) return false
      const names = new Map<number, ChannelName>()
      learnDefinitions(file.bytes, 1_024, header, names)
      const decoder = new EntryDecoder(file.bytes, 1_024, header, names, 'boot')
      let atUs = start.monotonicUs
      for (const [index, expected] of messages.entries()) {
        atUs += expected.laterUs
        const entry = decoder.next()
        const own = expected.kind === 'message'
        const same =
          entry?.seq === 42 + index &&
          entry.kind === expected.kind &&
          entry.topic === (own ? expected.topic : '') &&
          entry.source === (own ? expected.source : '') &&
          entry.payload.equals(expected.payload) &&
          entry.qos === expected.qos &&
          entry.retain === expected.retain &&
          entry.origin?.clientHash === expected.origin?.clientHash &&
          entry.origin?.packetId === expected.origin?.packetId &&
          entry.monotonicMs === atUs / 1_000 &&
          entry.receivedAt === (start.wallUs + atUs - start.monotonicUs) / 1_000
        if (!same) return false
      }
      if (!decoder.done) return false
      const at = 1_024 + (flip % header.length)
      file.bytes[at] = (file.bytes[at] ?? 0) ^ (1 << (flip % 8))
      const damaged = readBlockHeader(file.bytes, 1_024, seed)
      return damaged === undefined || !bodyIsWhole(file.bytes, 1_024, damaged, seed)
    }),
    { numRuns: 300 },
  )
})

test('a block can be sealed again for another segment, definitions included', async (t) => {
  const table = new ChannelTable()
  const message = { topic: 'a/b', source: 'broker', payload: Buffer.from('1'), qos: 1, retain: false } as const
  const blocks = [1, 2].map((first) => {
    const block = new PendingBlock({ first, wallUs: 1, monotonicUs: 1, synced: true }, Buffer.alloc(4_096))
    block.add(table.of('broker', 'a/b'), 'message', message, 1, undefined)
    return block
  })
  for (let round = 0; round < 2; round++) {
    const file = memoryFile()
    const segment = segmentOn(file)
    for (const block of blocks) await segment.write(block)
    const seed = crcSeed(segment.header.identity)
    const one = readBlockHeader(file.bytes, 1_024, seed)
    t.equal(one?.definitions, 1)
    const two = readBlockHeader(file.bytes, 1_024 + (one?.length ?? 0), seed)
    t.equal(two?.definitions, 0)
    await segment.seal('closed')
    t.strictSame(segment.summary.channels.size, 1)
    t.strictSame(
      [...segment.summary.channels.values()],
      [{ source: 'broker', topic: 'a/b', entries: 2, lists: false, steps: [0] }],
    )
  }
})
