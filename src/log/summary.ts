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
import type { Steps } from './steps.ts'
import { decodeSteps, encodeSteps, maxStepsBytes, withStep } from './steps.ts'

export const TRAILER_BYTES = 48
const TRAILER_MAGIC = Buffer.from('TGend\0\0\0', 'latin1')
const FIXED_BYTES = 52
const POINT_BYTES = 48
/** A u32; only what was thinned to next to nothing holds more seqs in 64 KiB. */
const MAX_POINT_SEQS = 2 ** 32 - 1
const POINT_SYNCED = 1
const POINT_UNSYNCED = 2
const POINT_THINNED = 4
const CHANNEL_LISTS = 1

/** rolled: full. closed: the log was closed, nothing was waiting. recovered: cut and sealed after an unclean stop. */
export type SealedBy = 'rolled' | 'closed' | 'recovered'
const SEALED_BY: readonly SealedBy[] = ['rolled', 'closed', 'recovered']

/** Where a block stands, and what is in the stretch from there up to the next point. */
export interface IndexPoint {
  readonly seq: Seq
  readonly offset: number
  /** Earliest and latest arrival, as the wall clock said it. */
  minWallUs: number
  maxWallUs: number
  /** The monotonic clock at the first entry. */
  readonly monotonicUs: number
  /** Seqs that its blocks account for; where they are fewer than up to the next point, there is a hole. */
  seqs: number
  /** There are blocks from while the wall clock was set. */
  synced: boolean
  /** There are blocks from before that. */
  unsynced: boolean
  /** Some of the seqs have no entry any more. */
  thinned: boolean
}

export interface SummaryChannel extends ChannelName {
  entries: number
  /** Some payload may be a JSON array (mayBeList). */
  lists: boolean
  /** At which index points. */
  steps: Steps
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
  /** Which `keep` policies it was thinned by (Keep.key); 0 when by none. */
  thinnedBy: number
  channels: Map<number, SummaryChannel>
  /** Where the marks are. */
  markSteps: Steps
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
  thinnedBy: 0,
  channels: new Map(),
  markSteps: [],
  index: [],
})

/** Counts one block in, all but its channels. `lastUs` is the monotonic time of its last entry. */
export const addBlock = (
  summary: Summary,
  block: Pick<BlockHeader, 'first' | 'count' | 'kept' | 'synced' | 'wallUs' | 'monotonicUs'>,
  offset: number,
  messages: number,
  lastUs: number,
): void => {
  const entries = block.kept ?? block.count
  const lastWallUs = block.wallUs + lastUs - block.monotonicUs
  if (stepAt(summary, offset) === summary.index.length) summary.index.push(newPoint(block, offset))
  if (entries > messages) summary.markSteps = withStep(summary.markSteps, summary.index.length - 1)
  const point = summary.index.at(-1)
  if (point !== undefined) {
    point.minWallUs = Math.min(point.minWallUs, block.wallUs)
    point.maxWallUs = Math.max(point.maxWallUs, lastWallUs)
    point.seqs += block.count
    if (block.synced) point.synced = true
    else point.unsynced = true
    if (entries < block.count) point.thinned = true
  }
  summary.minWallUs = summary.entries === 0 ? block.wallUs : Math.min(summary.minWallUs, block.wallUs)
  summary.maxWallUs = Math.max(summary.maxWallUs, lastWallUs)
  summary.lastMonotonicUs = lastUs
  summary.last = block.first + block.count - 1
  summary.entries += entries
  summary.messages += messages
}

/** Counts entries of a channel in the block at this offset: the next one to be added, or the last. */
export const countEntries = (
  summary: Summary,
  id: number,
  name: ChannelName,
  offset: number,
  entries: number,
  lists: boolean,
): void => {
  const known = summary.channels.get(id)
  const step = stepAt(summary, offset)
  if (known === undefined) {
    const { source, topic } = name
    summary.channels.set(id, { source, topic, entries, lists, steps: [step] })
    return
  }
  known.entries += entries
  known.lists ||= lists
  known.steps = withStep(known.steps, step)
}

/** Number of the index point that a block at this offset belongs to; it may be the next one to come. */
const stepAt = ({ index }: Summary, offset: number): number => {
  const last = index.at(-1)
  return last === undefined || offset - last.offset >= INDEX_STEP_BYTES ? index.length : index.length - 1
}

const newPoint = (block: Pick<BlockHeader, 'first' | 'wallUs' | 'monotonicUs'>, offset: number): IndexPoint => ({
  seq: block.first,
  offset,
  minWallUs: block.wallUs,
  maxWallUs: block.wallUs,
  monotonicUs: block.monotonicUs,
  seqs: 0,
  synced: false,
  unsynced: false,
  thinned: false,
})

/** So many seqs of the block that was added last cannot be told after all: readers shall find that out themselves. */
export const leaveOut = (summary: Summary, seqs: number): void => {
  const point = summary.index.at(-1)
  if (point !== undefined) point.seqs -= seqs
}

/** For blocks in which the wall clock moved: the last one that was added holds arrivals from and to. */
export const widenArrivals = (summary: Summary, minWallUs: number, maxWallUs: number): void => {
  for (const bounds of [summary, summary.index.at(-1)]) {
    if (bounds === undefined) continue
    bounds.minWallUs = Math.min(bounds.minWallUs, minWallUs)
    bounds.maxWallUs = Math.max(bounds.maxWallUs, maxWallUs)
  }
}

/** The footer as a block of its own kind. Should it become too long, it does without the steps. */
export const encodeFooter = (summary: Summary, seed: number): Buffer => {
  const total = summary.index.length
  const definitions = [...summary.channels].map(([id, channel]) => ({ bytes: encodeDefinition(id, channel), channel }))
  let size = BLOCK_HEADER_BYTES + FIXED_BYTES + total * POINT_BYTES
  for (const { bytes } of definitions) size += bytes.length + MAX_VARINT_BYTES + 1
  let stepsSize = maxStepsBytes(summary.markSteps, total)
  for (const { channel } of definitions) stepsSize += maxStepsBytes(channel.steps, total)
  const indexed = size + stepsSize <= MAX_FOOTER_BYTES
  const footer = Buffer.alloc(size + (indexed ? stepsSize : 0))
  const pointsAt = writeFixed(footer, summary)
  const definitionsAt = encodeSteps(
    footer,
    writePoints(footer, pointsAt, summary.index),
    indexed ? summary.markSteps : undefined,
    total,
  )
  let at = definitionsAt
  for (const { bytes, channel } of definitions) {
    at += bytes.copy(footer, at)
    at = writeVarint(footer, at, channel.entries)
    footer[at++] = channel.lists ? CHANNEL_LISTS : 0
    at = encodeSteps(footer, at, indexed ? channel.steps : undefined, total)
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

const writeFixed = (footer: Buffer, summary: Summary): number => {
  const at = BLOCK_HEADER_BYTES
  writeUint53(footer, at, summary.last)
  writeUint53(footer, at + 8, summary.minWallUs)
  writeUint53(footer, at + 16, summary.maxWallUs)
  writeUint53(footer, at + 24, summary.lastMonotonicUs)
  footer.writeUInt32LE(summary.entries, at + 32)
  footer.writeUInt32LE(summary.messages, at + 36)
  footer.writeUInt32LE(SEALED_BY.indexOf(summary.sealedBy), at + 40)
  footer.writeUInt32LE(summary.index.length, at + 44)
  footer.writeUInt32LE(summary.thinnedBy, at + 48)
  return at + FIXED_BYTES
}

const writePoints = (footer: Buffer, start: number, index: readonly IndexPoint[]): number => {
  let at = start
  for (const point of index) {
    writeUint53(footer, at, point.seq)
    writeUint53(footer, at + 8, point.offset)
    writeUint53(footer, at + 16, point.minWallUs)
    writeUint53(footer, at + 24, point.maxWallUs)
    writeUint53(footer, at + 32, point.monotonicUs)
    // Too many to be told are not all accounted for: then nobody passes over them unread.
    footer.writeUInt32LE(Math.min(point.seqs, MAX_POINT_SEQS), at + 40)
    footer.writeUInt32LE(flagsOf(point), at + 44)
    at += POINT_BYTES
  }
  return at
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
  const points = reader.uint32()
  const thinnedBy = reader.uint32()
  const index: IndexPoint[] = []
  for (let rest = points; rest > 0; rest--) index.push(readPoint(reader))
  const markSteps = decodeSteps(reader)
  const names = new Map<number, ChannelName>()
  const channels = new Map<number, SummaryChannel>()
  for (let rest = header.definitions; rest > 0; rest--) {
    const id = decodeDefinition(reader, names)
    const name = names.get(id)
    const entries = reader.varint()
    const lists = (reader.byte() & CHANNEL_LISTS) !== 0
    const steps = decodeSteps(reader)
    if (name !== undefined) channels.set(id, { ...name, entries, lists, steps })
  }
  return {
    last,
    entries,
    messages,
    minWallUs,
    maxWallUs,
    lastMonotonicUs,
    sealedBy,
    thinnedBy,
    channels,
    markSteps,
    index,
  }
}

const flagsOf = ({ synced, unsynced, thinned }: IndexPoint): number =>
  (synced ? POINT_SYNCED : 0) | (unsynced ? POINT_UNSYNCED : 0) | (thinned ? POINT_THINNED : 0)

const readPoint = (reader: ByteReader): IndexPoint => {
  const seq = reader.uint53()
  const offset = reader.uint53()
  const minWallUs = reader.uint53()
  const maxWallUs = reader.uint53()
  const monotonicUs = reader.uint53()
  const seqs = reader.uint32()
  const flags = reader.uint32()
  return {
    seq,
    offset,
    minWallUs,
    maxWallUs,
    monotonicUs,
    seqs,
    synced: (flags & POINT_SYNCED) !== 0,
    unsynced: (flags & POINT_UNSYNCED) !== 0,
    thinned: (flags & POINT_THINNED) !== 0,
  }
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
