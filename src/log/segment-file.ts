// A segment file for reading, sealed or still growing: whole blocks by offset, never a bad one, and a search for the next
// whole block behind damage. Used by readers, recovery and inspection.

import { join } from 'node:path'
import type { Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { isUnreadable, readSalvaging } from './bad-sectors.ts'
import type { BlockHeader } from './block.ts'
import { BLOCK_HEADER_BYTES, BLOCK_MAGIC, bodyIsWhole, crcSeed, readBlockHeader } from './block.ts'
import type { ChannelName } from './channel.ts'
import type { Dictionary } from './entry-decoder.ts'
import { learnDefinitions } from './entry-decoder.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { readFully } from './file-system.ts'
import { CHUNK_BYTES } from './limits.ts'
import type { SegmentHeader } from './segment-header.ts'
import {
  decodeSegmentHeader,
  FORMAT_VERSION,
  SEGMENT_HEADER_BYTES,
  segmentName,
  seqInName,
  versionIn,
} from './segment-header.ts'
import type { Summary, Trailer } from './summary.ts'
import { decodeFooter, decodeTrailer, TRAILER_BYTES } from './summary.ts'

/** A block whose header is right. Its bytes stay valid until the next call on the file. */
export interface FoundBlock {
  readonly header: BlockHeader
  readonly bytes: Buffer
  /** Where it begins in `bytes`. */
  readonly at: number
  /** Where it begins in the file. */
  readonly offset: number
  /** False: the body is destroyed. */
  readonly whole: boolean
}

export class SegmentFile {
  readonly first: Seq
  readonly header: SegmentHeader
  /** Where blocks may begin. */
  readonly start = SEGMENT_HEADER_BYTES
  /** Of a sealed segment. */
  readonly summary: Summary | undefined
  /** Channels of the footer, or of the blocks that were looked at so far. */
  readonly dictionary: Map<number, ChannelName>
  /** The same, and what the writer knows of a segment that it still writes. */
  readonly names: Dictionary = { get: (id) => this.dictionary.get(id) ?? this.#live?.channels.get(id) }
  /** So much was read so far. */
  readBytes: number
  readonly #handle: FileHandle
  readonly #seed: number
  readonly #footerAt: number | undefined
  #chunk: Buffer | undefined
  #chunkAt = 0
  #chunkBytes = 0
  #live: Summary | undefined

  private constructor(handle: FileHandle, header: SegmentHeader, sealed: Sealed | undefined) {
    this.#handle = handle
    this.header = header
    this.first = header.first
    this.#seed = crcSeed(header.identity)
    this.summary = sealed?.summary
    this.#footerAt = sealed?.footerAt
    this.dictionary = new Map(sealed?.summary.channels)
    this.readBytes = SEGMENT_HEADER_BYTES + TRAILER_BYTES + (sealed?.footerBytes ?? 0)
  }

  /** Undefined when the file is no segment with this first seq; throws TG_LOG_NEWER, and what the file system throws. */
  static async open(fileSystem: FileSystem, directory: string, first: Seq): Promise<SegmentFile | undefined> {
    const path = join(directory, segmentName(first))
    try {
      return await SegmentFile.#open(fileSystem, path, first)
    } catch (error) {
      if (isUnreadable(error)) return undefined
      throw error
    }
  }

  static async #open(fileSystem: FileSystem, path: string, first: Seq): Promise<SegmentFile | undefined> {
    const handle = await fileSystem.open(path, 'read')
    try {
      const trailer = await readTrailer(handle)
      const header = await readHeader(handle, path, trailer)
      if (header?.first === first) return new SegmentFile(handle, header, await readSealed(handle, header, trailer))
    } catch (error) {
      await handle.close()
      throw error
    }
    await handle.close()
    return undefined
  }

  /**
   * The block at an offset, read again when what was read before does not hold one. A footer is no block. `aheadBytes`: so
   * much from there on will be read anyway.
   */
  async block(offset: number, aheadBytes = CHUNK_BYTES): Promise<FoundBlock | undefined> {
    if (this.#footerAt !== undefined && offset >= this.#footerAt) return undefined
    const known = this.#inChunk(offset)
    if (known?.whole) return known
    await this.#load(offset, Math.max(BLOCK_HEADER_BYTES, Math.min(CHUNK_BYTES, aheadBytes)))
    const header = this.#headerInChunk(offset)
    if (header === undefined || header.kind === 'footer') return undefined
    if (header.length > this.#chunkBytes) await this.#extend(header.length)
    return this.#inChunk(offset) ?? { header, bytes: Buffer.alloc(0), at: 0, offset, whole: false }
  }

  /** Offset of the next block at or behind `from` whose header is right. */
  async find(from: number): Promise<number | undefined> {
    const end = await this.end()
    let offset = from
    while (offset + BLOCK_HEADER_BYTES <= end) {
      const chunk = await this.#load(offset, CHUNK_BYTES)
      const last = this.#chunkBytes - BLOCK_HEADER_BYTES
      let at = chunk.indexOf(BLOCK_MAGIC)
      while (at !== -1 && at <= last) {
        if (offset + at >= end) return undefined
        const header = readBlockHeader(chunk, at, this.#seed)
        if (header?.kind === 'messages') return offset + at
        at = chunk.indexOf(BLOCK_MAGIC, at + 1)
      }
      if (last < 0) return undefined
      // Never in a magic that the end of the chunk cuts.
      offset += last + 1
    }
    return undefined
  }

  /** No block of this segment begins at or behind this. */
  async end(): Promise<number> {
    return this.#footerAt ?? (await this.#handle.size())
  }

  /** Behind the blocks of a sealed segment; of another one, a place that holds none yet. */
  get blocksEnd(): number {
    return this.#footerAt ?? Number.MAX_SAFE_INTEGER
  }

  /** Where to start looking for a seq. */
  offsetOf(seq: Seq): number {
    const index = (this.summary ?? this.#live)?.index ?? []
    let low = 0
    let high = index.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((index[middle]?.seq ?? 0) <= seq) low = middle + 1
      else high = middle
    }
    return index[low - 1]?.offset ?? this.start
  }

  /** Takes what the writer knows of this segment, which is not sealed, for a footer. */
  follow(live: Summary): void {
    this.#live = live
  }

  /** Takes over the definitions of a whole block. A sealed segment knows all of them already. */
  learn(block: FoundBlock): void {
    if (this.summary !== undefined) return
    try {
      learnDefinitions(block.bytes, block.at, block.header, this.dictionary)
    } catch (error) {
      // Its messages are then without a channel, and served as a gap.
      if (!(error instanceof RangeError)) throw error
    }
  }

  /** The bytes as they are, for copying. */
  read(buffer: Buffer, length: number, position: number): Promise<number> {
    return readSalvaging(this.#handle, buffer, length, position)
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  async #load(offset: number, length: number): Promise<Buffer> {
    const chunk = this.#roomFor(length)
    this.#chunk = chunk
    this.#chunkBytes = 0
    this.#chunkBytes = await readSalvaging(this.#handle, chunk, length, offset)
    this.#chunkAt = offset
    this.readBytes += this.#chunkBytes
    return chunk.subarray(0, this.#chunkBytes)
  }

  /** Reads on behind what was loaded, up to a length in all. */
  async #extend(length: number): Promise<void> {
    const before = this.#chunk?.subarray(0, this.#chunkBytes) ?? Buffer.alloc(0)
    const chunk = this.#roomFor(length)
    if (chunk.buffer !== before.buffer) chunk.set(before)
    this.#chunk = chunk
    const more = length - before.length
    const count = await readSalvaging(this.#handle, chunk.subarray(before.length), more, this.#chunkAt + before.length)
    this.#chunkBytes = before.length + count
    this.readBytes += count
  }

  /** A single large block does not leave its buffer behind. */
  #roomFor(length: number): Buffer {
    const capacity = Math.ceil(length / CHUNK_BYTES) * CHUNK_BYTES
    const chunk = this.#chunk
    const fits = chunk !== undefined && chunk.length >= length && chunk.length <= 4 * capacity
    return fits ? chunk : Buffer.allocUnsafeSlow(capacity)
  }

  #headerInChunk(offset: number): BlockHeader | undefined {
    const at = offset - this.#chunkAt
    if (this.#chunk === undefined || at < 0 || at + BLOCK_HEADER_BYTES > this.#chunkBytes) return undefined
    return readBlockHeader(this.#chunk, at, this.#seed)
  }

  #inChunk(offset: number): FoundBlock | undefined {
    const header = this.#headerInChunk(offset)
    const bytes = this.#chunk
    const at = offset - this.#chunkAt
    if (bytes === undefined || header?.kind !== 'messages' || at + header.length > this.#chunkBytes) return undefined
    return { header, bytes, at, offset, whole: bodyIsWhole(bytes, at, header, this.#seed) }
  }
}

interface Sealed {
  readonly summary: Summary
  readonly footerAt: number
  readonly footerBytes: number
}

const readTrailer = async (handle: FileHandle): Promise<Trailer | undefined> => {
  const size = await handle.size()
  if (size < SEGMENT_HEADER_BYTES + TRAILER_BYTES) return undefined
  const bytes = Buffer.alloc(TRAILER_BYTES)
  const count = await readSalvaging(handle, bytes, TRAILER_BYTES, size - TRAILER_BYTES)
  return count === TRAILER_BYTES ? decodeTrailer(bytes) : undefined
}

const readHeader = async (
  handle: FileHandle,
  path: string,
  trailer: Trailer | undefined,
): Promise<SegmentHeader | undefined> => {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  const count = await readFully(handle, bytes, 0, bytes.length, 0).catch((error: unknown) => {
    if (trailer === undefined) throw error
    return 0
  })
  const header = decodeSegmentHeader(bytes.subarray(0, count))
  if (header === 'newer') {
    const version = versionIn(bytes)
    throw new TidegateError(
      'TG_LOG_NEWER',
      `${path} has format version ${version}; this program reads up to version ${FORMAT_VERSION}`,
    )
  }
  if (header !== 'damaged') return header
  // Both copies are destroyed; the trailer of a sealed segment still has what the CRCs begin with.
  return trailer === undefined ? undefined : headerFromTrailer(trailer)
}

const headerFromTrailer = ({ identity, first }: Trailer): SegmentHeader => ({
  version: FORMAT_VERSION,
  logId: '',
  identity,
  first,
  createdMs: 0,
  monotonicMs: 0,
  synced: false,
  bootId: '',
  gateway: '',
})

const readSealed = async (
  handle: FileHandle,
  header: SegmentHeader,
  trailer: Trailer | undefined,
): Promise<Sealed | undefined> => {
  if (trailer === undefined || !trailer.identity.equals(header.identity)) return undefined
  const bytes = Buffer.allocUnsafe(trailer.footerBytes)
  const count = await readSalvaging(handle, bytes, bytes.length, trailer.footerAt)
  const summary = decodeFooter(bytes.subarray(0, count), crcSeed(header.identity))
  return summary === undefined ? undefined : { summary, footerAt: trailer.footerAt, footerBytes: trailer.footerBytes }
}

/** First seqs of the segments in a directory, ascending, and the names of everything else. */
export const listSegments = async (fileSystem: FileSystem, directory: string) => {
  const segments: Seq[] = []
  const others: string[] = []
  for (const name of await fileSystem.list(directory)) {
    const first = seqInName(name)
    if (first === undefined) others.push(name)
    else segments.push(first)
  }
  return { segments: segments.sort((a, b) => a - b), others: others.sort() }
}
