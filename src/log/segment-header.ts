// The start of a segment file, twice: a bit that flips there would otherwise cost the whole segment, because every CRC in
// it begins with the identity. The first 16 bytes stay where they are in every version to come.

import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Seq, UnixMs } from '../core/contract.ts'
import { readUint53, writeUint53 } from './bytes.ts'
import { MAX_PLAUSIBLE_SEQ } from './limits.ts'

export const FORMAT_VERSION = 1
const COPY_BYTES = 512
export const SEGMENT_HEADER_BYTES = 2 * COPY_BYTES
const MAGIC = Buffer.from('tidegate', 'latin1')
/** Longer names are cut: the header only says whose log this was. */
const MAX_GATEWAY_BYTES = 255
const MAX_BOOT_ID_BYTES = 63
export const IDENTITY_BYTES = 8
const FLAG_SYNCED = 1

export interface SegmentHeader {
  readonly version: number
  /** Random UUID of the log, kept for the life of the data directory. */
  readonly logId: string
  /** Random, new at each use of the file. */
  readonly identity: Buffer
  /** Seq of the first entry that the segment was made for. */
  readonly first: Seq
  readonly createdMs: UnixMs
  readonly monotonicMs: number
  readonly synced: boolean
  readonly bootId: string
  readonly gateway: string
}

export type HeaderFault = 'damaged' | 'newer'

export const newIdentity = (): Buffer => randomBytes(IDENTITY_BYTES)

export const encodeSegmentHeader = (header: SegmentHeader): Buffer => {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt16LE(header.version, 8)
  bytes.writeUInt16LE(COPY_BYTES, 10)
  Buffer.from(header.logId.replaceAll('-', ''), 'hex').copy(bytes, 16, 0, 16)
  header.identity.copy(bytes, 32)
  writeUint53(bytes, 40, header.first)
  writeUint53(bytes, 48, microseconds(header.createdMs))
  writeUint53(bytes, 56, microseconds(header.monotonicMs))
  bytes.writeUInt16LE(header.synced ? FLAG_SYNCED : 0, 64)
  writeText(bytes, 66, header.bootId, MAX_BOOT_ID_BYTES)
  writeText(bytes, 130, header.gateway, MAX_GATEWAY_BYTES)
  bytes.writeUInt32LE(headerCrc(bytes, 0, COPY_BYTES), 12)
  bytes.copy(bytes, COPY_BYTES, 0, COPY_BYTES)
  return bytes
}

/** From the first SEGMENT_HEADER_BYTES of a file, or what there is of them. */
export const decodeSegmentHeader = (bytes: Buffer): SegmentHeader | HeaderFault => {
  const first = decodeCopy(bytes, 0)
  return first === 'damaged' ? decodeCopy(bytes, COPY_BYTES) : first
}

/** Which bytes of a file's first SEGMENT_HEADER_BYTES are no header. */
export const damagedHeaderCopies = (bytes: Buffer): { readonly from: number; readonly to: number }[] =>
  [0, COPY_BYTES]
    .filter((at) => decodeCopy(bytes, at) === 'damaged')
    .map((from) => ({ from, to: Math.min(bytes.length, from + COPY_BYTES) }))

const decodeCopy = (bytes: Buffer, at: number): SegmentHeader | HeaderFault => {
  if (bytes.length < at + COPY_BYTES || !bytes.subarray(at, at + MAGIC.length).equals(MAGIC)) return 'damaged'
  const version = bytes.readUInt16LE(at + 8)
  const size = bytes.readUInt16LE(at + 10)
  // The CRC comes before the version: a flipped bit must not make the program refuse its own log.
  if (size < 16 || at + size > bytes.length || headerCrc(bytes, at, size) !== bytes.readUInt32LE(at + 12))
    return 'damaged'
  if (version > FORMAT_VERSION) return 'newer'
  const copy = bytes.subarray(at, at + COPY_BYTES)
  return {
    version,
    logId: copy.toString('hex', 16, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    identity: Buffer.from(copy.subarray(32, 32 + IDENTITY_BYTES)),
    first: readUint53(copy, 40),
    createdMs: readUint53(copy, 48) / 1_000,
    monotonicMs: readUint53(copy, 56) / 1_000,
    synced: (copy.readUInt16LE(64) & FLAG_SYNCED) !== 0,
    bootId: readText(copy, 66),
    gateway: readText(copy, 130),
  }
}

/** The version in a header that decodeSegmentHeader found to be newer. */
export const versionIn = (bytes: Buffer): number => bytes.readUInt16LE(8)

/** Milliseconds of a clock as whole microseconds; a clock before 1970 counts as 1970. */
export const microseconds = (ms: number): number => Math.max(0, Math.round(ms * 1_000))

// Over everything but the CRC itself.
const headerCrc = (bytes: Buffer, at: number, size: number): number =>
  crc32(bytes.subarray(at + 16, at + size), crc32(bytes.subarray(at, at + 12)))

const writeText = (bytes: Buffer, at: number, text: string, limit: number): void => {
  // Buffer.write stops at the last whole character that fits.
  bytes[at] = bytes.write(text, at + 1, limit)
}

const readText = (bytes: Buffer, at: number): string => bytes.toString('utf8', at + 1, at + 1 + (bytes[at] as number))

const NAME = /^(\d{16})\.seg$/

export const segmentName = (first: Seq): string => `${String(first).padStart(16, '0')}.seg`

/** First seq in a segment's name; undefined when it is no segment's name. */
export const seqInName = (name: string): Seq | undefined => {
  const digits = NAME.exec(name)?.[1]
  const seq = digits === undefined ? 0 : Number(digits)
  return seq > 0 && seq <= MAX_PLAUSIBLE_SEQ ? seq : undefined
}
