// The commit block: a header with two CRCs, messages, and the definitions of channels that are new to the segment.
// The header has a CRC of its own, so that a block whose body is destroyed still says which seqs are lost and where the
// next block begins, and so that a search for the next whole block costs one small CRC per candidate.

import { crc32 } from 'node:zlib'
import type { Seq } from '../core/contract.ts'
import { readUint53, writeUint53 } from './bytes.ts'
import { MAX_BLOCK_BYTES, MAX_FOOTER_BYTES } from './limits.ts'

export const BLOCK_HEADER_BYTES = 56
/** 'TGbk' */
const MAGIC = 0x6b624754
export const BLOCK_MAGIC = Buffer.from('TGbk', 'latin1')

/** A sparse block is one of messages, too: what it lacks was thinned. */
export type BlockKind = 'messages' | 'footer'

const KIND_MESSAGES = 1
const KIND_FOOTER = 2
const KIND_SPARSE = 3
const FLAG_SYNCED = 1

export interface BlockHeader {
  readonly kind: BlockKind
  /** The wall clock had been set. */
  readonly synced: boolean
  /** Header included. */
  readonly length: number
  /** Seqs that the block accounts for: its entries, and in a sparse block those that were thinned besides. */
  readonly count: number
  /** Of a sparse block only: how many of the seqs have an entry. */
  readonly kept?: number
  /** Where the definitions begin, from the start of the block. */
  readonly definitionsAt: number
  readonly definitions: number
  readonly first: Seq
  /** Of the first entry, microseconds. */
  readonly wallUs: number
  readonly monotonicUs: number
}

/** Where every CRC of a segment begins: old blocks in a recycled file, whose identity was another, never look valid. */
export const crcSeed = (identity: Buffer): number => crc32(identity)

/** Completes a block whose body already stands behind the header. */
export const sealBlock = (bytes: Buffer, header: BlockHeader, seed: number): void => {
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt32LE(crc32(bytes.subarray(BLOCK_HEADER_BYTES, header.length), seed), 8)
  bytes.writeUInt32LE(header.length, 12)
  bytes[16] = header.kind === 'footer' ? KIND_FOOTER : header.kept === undefined ? KIND_MESSAGES : KIND_SPARSE
  bytes[17] = header.synced ? FLAG_SYNCED : 0
  bytes.writeUInt16LE(header.kept ?? 0, 18)
  bytes.writeUInt32LE(header.count, 20)
  bytes.writeUInt32LE(header.definitionsAt, 24)
  bytes.writeUInt32LE(header.definitions, 28)
  writeUint53(bytes, 32, header.first)
  writeUint53(bytes, 40, header.wallUs)
  writeUint53(bytes, 48, header.monotonicUs)
  bytes.writeUInt32LE(crc32(bytes.subarray(8, BLOCK_HEADER_BYTES), seed), 4)
}

/** The header at `at`, or undefined when there is none of this segment. `bytes` must hold BLOCK_HEADER_BYTES from there. */
export const readBlockHeader = (bytes: Buffer, at: number, seed: number): BlockHeader | undefined => {
  if (bytes.readUInt32LE(at) !== MAGIC) return undefined
  if (crc32(bytes.subarray(at + 8, at + BLOCK_HEADER_BYTES), seed) !== bytes.readUInt32LE(at + 4)) return undefined
  const kind = bytes[at + 16]
  const header: BlockHeader = {
    kind: kind === KIND_FOOTER ? 'footer' : 'messages',
    synced: ((bytes[at + 17] as number) & FLAG_SYNCED) !== 0,
    length: bytes.readUInt32LE(at + 12),
    count: bytes.readUInt32LE(at + 20),
    definitionsAt: bytes.readUInt32LE(at + 24),
    definitions: bytes.readUInt32LE(at + 28),
    first: readUint53(bytes, at + 32),
    wallUs: readUint53(bytes, at + 40),
    monotonicUs: readUint53(bytes, at + 48),
    ...(kind === KIND_SPARSE ? { kept: bytes.readUInt16LE(at + 18) } : {}),
  }
  return isSound(header, kind) ? header : undefined
}

/** `bytes` must hold the whole block. */
export const bodyIsWhole = (bytes: Buffer, at: number, header: BlockHeader, seed: number): boolean =>
  crc32(bytes.subarray(at + BLOCK_HEADER_BYTES, at + header.length), seed) === bytes.readUInt32LE(at + 8)

/** Seq of the last entry; one before the first when there is none. */
export const lastSeq = (header: BlockHeader): Seq => header.first + header.count - 1

// A right CRC over wrong numbers is a fault of the writer; the reader survives that too.
const isSound = (header: BlockHeader, kind: number | undefined): boolean =>
  (kind === KIND_MESSAGES || kind === KIND_FOOTER || kind === KIND_SPARSE) &&
  (header.kept ?? 0) <= header.count &&
  header.length >= BLOCK_HEADER_BYTES &&
  header.length <= (kind === KIND_FOOTER ? MAX_FOOTER_BYTES : MAX_BLOCK_BYTES) &&
  header.definitionsAt >= BLOCK_HEADER_BYTES &&
  header.definitionsAt <= header.length &&
  (kind === KIND_FOOTER || header.count > 0) &&
  header.first > 0 &&
  Number.isSafeInteger(header.first + header.count)
