// What a segment knows about itself: the footer that seals it, and the trailer at the very end of the file that points to
// the footer, so that nobody has to scan a sealed segment.

import { crc32 } from 'node:zlib'
import type { Seq } from '../core/contract.ts'
import type { BlockHeader } from './block.ts'
import { BLOCK_HEADER_BYTES, bodyIsWhole, crcSeed, readBlockHeader, sealBlock } from './block.ts'
import { ByteReader, MAX_VARINT_BYTES, readUint53, writeUint53, writeVarint } from './bytes.ts'
import type { ChannelName } from './channel.ts'
import { decodeDefinition, encodeDefinition } from './channel.ts'
import { INDEX_STEP_BYTES, MAX_FOOTER_BYTES } from './limits.ts'
import { IDENTITY_BYTES } from './segment-header.ts'

export const TRAILER_BYTES = 48
const TRAILER_MAGIC = Buffer.from('TGend\0\0\0', 'latin1')
const FIXED_BYTES = 48
const POINT_BYTES = 24

/** rolled: full. closed: the log was closed, nothing was waiting. recovered: cut and sealed after an unclean stop. */
export type SealedBy = 'rolled' | 'closed' | 'recovered'
const SEALED_BY: readonly SealedBy[] = ['rolled', 'closed', 'recovered']

/** Where a block stands. */
export interface IndexPoint {
  readonly seq: Seq
  readonly offset: number
  readonly wallUs: number
}

export interface SummaryChannel extends ChannelName {
  readonly entries: number
}

export interface Summary {
  /** One before the segment's first when it holds nothing. */
  last: Seq
  entries: number
  /** Entries that are no marks. */
  messages: number
  /** Earliest and latest arrival by the wall clock; 0 when there is nothing. */
  minWallUs: number
  maxWallUs: number
  /** Arrival of the last entry, same boot as the segment's header. */
  lastMonotonicUs: number
  sealedBy: SealedBy
  channels: Map<number, SummaryChannel>
  /** Ascending; the first block, then about one per INDEX_STEP_BYTES. */
  index: IndexPoint[]
}

export const emptySummary = (first: Seq): Summary => ({
  last: first - 1,
  entries: 0,
  messages: 0,
  minWallUs: 0,
  maxWallUs: 0,
  lastMonotonicUs: 0,
  sealedBy: 'rolled',
  channels: new Map(),
  index: [],
})

/** Counts one block in, all but its channels. `lastUs` is the monotonic time of its last entry. */
export const addBlock = (
  summary: Summary,
  block: Pick<BlockHeader, 'first' | 'count' | 'wallUs' | 'monotonicUs'>,
  offset: number,
  messages: number,
  lastUs: number,
): void => {
  const point = summary.index.at(-1)
  if (point === undefined || offset - point.offset >= INDEX_STEP_BYTES)
    summary.index.push({ seq: block.first, offset, wallUs: block.wallUs })
  summary.minWallUs = summary.entries === 0 ? block.wallUs : Math.min(summary.minWallUs, block.wallUs)
  summary.maxWallUs = Math.max(summary.maxWallUs, block.wallUs + lastUs - block.monotonicUs)
  summary.lastMonotonicUs = lastUs
  summary.last = block.first + block.count - 1
  summary.entries += block.count
  summary.messages += messages
}

/** The footer as a block of its own kind. */
export const encodeFooter = (summary: Summary, seed: number): Buffer => {
  const definitions = [...summary.channels].map(([id, channel]) => ({ bytes: encodeDefinition(id, channel), channel }))
  let size = BLOCK_HEADER_BYTES + FIXED_BYTES + summary.index.length * POINT_BYTES
  for (const { bytes } of definitions) size += bytes.length + MAX_VARINT_BYTES
  const footer = Buffer.alloc(size)
  let at = BLOCK_HEADER_BYTES
  writeUint53(footer, at, summary.last)
  writeUint53(footer, at + 8, summary.minWallUs)
  writeUint53(footer, at + 16, summary.maxWallUs)
  writeUint53(footer, at + 24, summary.lastMonotonicUs)
  footer.writeUInt32LE(summary.entries, at + 32)
  footer.writeUInt32LE(summary.messages, at + 36)
  footer.writeUInt32LE(SEALED_BY.indexOf(summary.sealedBy), at + 40)
  footer.writeUInt32LE(summary.index.length, at + 44)
  at += FIXED_BYTES
  for (const point of summary.index) {
    writeUint53(footer, at, point.seq)
    writeUint53(footer, at + 8, point.offset)
    writeUint53(footer, at + 16, point.wallUs)
    at += POINT_BYTES
  }
  const definitionsAt = at
  for (const { bytes, channel } of definitions) {
    at += bytes.copy(footer, at)
    at = writeVarint(footer, at, channel.entries)
  }
  const header: BlockHeader = {
    kind: 'footer',
    synced: false,
    length: at,
    count: 0,
    definitionsAt,
    definitions: definitions.length,
    first: summary.last + 1,
    wallUs: summary.maxWallUs,
    monotonicUs: summary.lastMonotonicUs,
  }
  sealBlock(footer, header, seed)
  return footer.subarray(0, at)
}

/** From the bytes of a footer; undefined when they are not one, whole, of the segment with this seed. */
export const decodeFooter = (bytes: Buffer, seed: number): Summary | undefined => {
  if (bytes.length < BLOCK_HEADER_BYTES + FIXED_BYTES) return undefined
  const header = readBlockHeader(bytes, 0, seed)
  if (header?.kind !== 'footer' || header.length > bytes.length || !bodyIsWhole(bytes, 0, header, seed))
    return undefined
  try {
    return parseFooter(bytes, header)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

const parseFooter = (bytes: Buffer, header: BlockHeader): Summary => {
  const reader = new ByteReader(bytes, BLOCK_HEADER_BYTES, header.length)
  const last = reader.uint53()
  const minWallUs = reader.uint53()
  const maxWallUs = reader.uint53()
  const lastMonotonicUs = reader.uint53()
  const entries = reader.uint32()
  const messages = reader.uint32()
  const sealedBy = SEALED_BY[reader.uint32()] ?? 'recovered'
  const index: IndexPoint[] = []
  for (let rest = reader.uint32(); rest > 0; rest--)
    index.push({ seq: reader.uint53(), offset: reader.uint53(), wallUs: reader.uint53() })
  const names = new Map<number, ChannelName>()
  const channels = new Map<number, SummaryChannel>()
  for (let rest = header.definitions; rest > 0; rest--) {
    const id = decodeDefinition(reader, names)
    const name = names.get(id)
    if (name !== undefined) channels.set(id, { ...name, entries: reader.varint() })
  }
  return { last, entries, messages, minWallUs, maxWallUs, lastMonotonicUs, sealedBy, channels, index }
}

export interface Trailer {
  readonly identity: Buffer
  readonly first: Seq
  readonly footerAt: number
  readonly footerBytes: number
}

export const encodeTrailer = (trailer: Trailer): Buffer => {
  const bytes = Buffer.alloc(TRAILER_BYTES)
  TRAILER_MAGIC.copy(bytes)
  trailer.identity.copy(bytes, 12)
  writeUint53(bytes, 20, trailer.first)
  writeUint53(bytes, 28, trailer.footerAt)
  bytes.writeUInt32LE(trailer.footerBytes, 36)
  bytes.writeUInt32LE(crc32(bytes.subarray(12), crcSeed(trailer.identity)), 8)
  return bytes
}

export const decodeTrailer = (bytes: Buffer): Trailer | undefined => {
  if (bytes.length < TRAILER_BYTES || !bytes.subarray(0, TRAILER_MAGIC.length).equals(TRAILER_MAGIC)) return undefined
  const identity = Buffer.from(bytes.subarray(12, 12 + IDENTITY_BYTES))
  if (crc32(bytes.subarray(12, TRAILER_BYTES), crcSeed(identity)) !== bytes.readUInt32LE(8)) return undefined
  const footerBytes = bytes.readUInt32LE(36)
  return footerBytes > MAX_FOOTER_BYTES
    ? undefined
    : { identity, first: readUint53(bytes, 20), footerAt: readUint53(bytes, 28), footerBytes }
}
