// Writes a segment anew in sparse blocks: entries of other segments, one after the other, and the seqs that are left out
// between them. Channels get new ids, because segments of two runs may mean different things by the same one.

import type { Seq } from '../core/contract.ts'
import type { BlockHeader } from './block.ts'
import { BLOCK_HEADER_BYTES, crcSeed, sealBlock } from './block.ts'
import { MAX_VARINT_BYTES, writeVarint, zigzag } from './bytes.ts'
import type { ChannelName } from './channel.ts'
import { encodeDefinition, MARK_CHANNEL, MESSAGE_OVERHEAD_BYTES } from './channel.ts'
import type { FileHandle } from './file-system.ts'
import { writeFully } from './file-system.ts'
import { FIRST_REDEFINE_BYTES, MAX_BLOCK_BYTES, MAX_BLOCK_ENTRIES, REDEFINE_BYTES } from './limits.ts'
import type { SegmentHeader } from './segment-header.ts'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from './segment-header.ts'
import type { Summary } from './summary.ts'
import {
  addBlock,
  countEntries,
  emptySummary,
  encodeFooter,
  encodeTrailer,
  TRAILER_BYTES,
  widenArrivals,
} from './summary.ts'

/** Seqs that one block may account for: a u32 in its header. */
const MAX_SPAN = 2 ** 32 - 1
/** Passed-over seqs and the movement of the wall clock, in front of each entry. */
const SPARSE_OVERHEAD_BYTES = 2 * MAX_VARINT_BYTES

export interface SparseWriterOptions {
  readonly handle: FileHandle
  readonly header: SegmentHeader
  /** Size of a block, unless a single entry is larger. */
  readonly blockBytes: number
  /** Told about every byte handed to write(2). */
  readonly onWritten: (bytes: number) => void
}

/** A channel of the new file. */
export interface SparseChannel extends ChannelName {
  readonly id: number
  readonly definition: Buffer
  definitions: number
  definedAt: number
  /** Which block used it last, and how many entries it has there. */
  block: number
  entries: number
  /** Whether some payload of it there may be a JSON array. */
  lists: boolean
}

/** Clocks: of its first entry, or of the block that it comes from. */
export type SparseStretch = Pick<BlockHeader, 'first' | 'synced' | 'wallUs' | 'monotonicUs'>

export interface SparseEntry {
  readonly seq: Seq
  /** No mark. */
  readonly isMessage: boolean
  /** The payload may be a JSON array. */
  readonly lists: boolean
  readonly flags: number
  readonly wallUs: number
  readonly monotonicUs: number
  /** Everything behind the time, as it is written. */
  readonly bytes: Buffer
}

export class SparseWriter {
  readonly summary: Summary
  readonly #options: SparseWriterOptions
  readonly #seed: number
  readonly #channels = new Map<string, SparseChannel>()
  #bytes: Buffer
  #offset = SEGMENT_HEADER_BYTES
  /** Everything up to here is accounted for. */
  #covered: Seq
  /** Of the open block. */
  #open: { first: Seq; synced: boolean; wallUs: number; monotonicUs: number } | undefined
  #block = 0
  #end = BLOCK_HEADER_BYTES
  #kept = 0
  #messages = 0
  #lastSeq: Seq = 0
  #lastUs = 0
  /** Earliest and latest arrival in the open block. */
  #minWallUs = 0
  #maxWallUs = 0
  #used: SparseChannel[] = []
  #definitionBytes = 0

  constructor(options: SparseWriterOptions) {
    this.#options = options
    this.#seed = crcSeed(options.header.identity)
    this.#bytes = Buffer.allocUnsafeSlow(options.blockBytes)
    this.summary = emptySummary(options.header.first)
    this.#covered = options.header.first - 1
  }

  /** What the file takes. */
  get sizeBytes(): number {
    return this.#offset
  }

  async start(): Promise<void> {
    await this.#put(encodeSegmentHeader(this.#options.header), SEGMENT_HEADER_BYTES, 0)
  }

  channel({ source, topic }: ChannelName): SparseChannel {
    const key = `${source}\0${topic}`
    let channel = this.#channels.get(key)
    if (channel === undefined) {
      const id = this.#channels.size + 1
      const definition = encodeDefinition(id, { source, topic })
      channel = { id, source, topic, definition, definitions: 0, definedAt: 0, block: -1, entries: 0, lists: false }
      this.#channels.set(key, channel)
    }
    return channel
  }

  /** A stretch of seqs, up to `last` at most. What lies before it and was not told of is a hole, and stays one. */
  async begin(stretch: SparseStretch, last: Seq): Promise<void> {
    const { first, synced, wallUs, monotonicUs } = stretch
    const open = this.#open
    const goesOn = open !== undefined && first === this.#covered + 1 && synced === open.synced
    if (!goesOn || monotonicUs < this.#lastUs || last - open.first >= MAX_SPAN) await this.flush()
    this.#open ??= { first, synced, wallUs, monotonicUs }
    this.#covered = Math.max(this.#covered, first - 1)
  }

  /** Everything up to here is accounted for; what has no entry was thinned. */
  cover(seq: Seq): void {
    this.#covered = Math.max(this.#covered, seq)
  }

  /** The next entry of the stretch. False: there is no room; flush(), and begin() at its seq. */
  add(channel: SparseChannel | undefined, entry: SparseEntry): boolean {
    const open = this.#open
    if (open === undefined || !this.#fits(channel, entry)) return false
    // The clocks are those of the first entry, which may come long after the first seq.
    if (this.#kept === 0) {
      open.wallUs = entry.wallUs
      open.monotonicUs = entry.monotonicUs
      this.#lastSeq = open.first - 1
      this.#minWallUs = entry.wallUs
      this.#maxWallUs = entry.wallUs
    }
    const deltaUs = entry.monotonicUs - open.monotonicUs
    if (deltaUs < 0) return false
    if (channel !== undefined) this.#use(channel, entry.lists)
    let at = writeVarint(this.#bytes, this.#end, entry.seq - this.#lastSeq - 1)
    at = writeVarint(this.#bytes, at, zigzag(entry.wallUs - open.wallUs - deltaUs))
    at = writeVarint(this.#bytes, at, channel === undefined ? MARK_CHANNEL : channel.id)
    this.#bytes[at++] = entry.flags
    at = writeVarint(this.#bytes, at, deltaUs)
    this.#bytes.set(entry.bytes, at)
    this.#end = at + entry.bytes.length
    this.#kept++
    if (entry.isMessage) this.#messages++
    this.#lastSeq = entry.seq
    this.#lastUs = entry.monotonicUs
    this.#minWallUs = Math.min(this.#minWallUs, entry.wallUs)
    this.#maxWallUs = Math.max(this.#maxWallUs, entry.wallUs)
    this.#covered = Math.max(this.#covered, entry.seq)
    return true
  }

  /** Writes the open block, if it accounts for anything. */
  async flush(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    if (open === undefined || this.#covered < open.first) return
    const definitionsAt = this.#end
    let definitions = 0
    let end = this.#end
    for (const channel of this.#used) {
      countEntries(this.summary, channel.id, channel, this.#offset, channel.entries, channel.lists)
      if (!this.#isNews(channel)) continue
      this.#bytes.set(channel.definition, end)
      end += channel.definition.length
      definitions++
    }
    const count = this.#covered - open.first + 1
    const header = {
      ...open,
      kind: 'messages',
      length: end,
      count,
      kept: this.#kept,
      definitionsAt,
      definitions,
    } as const
    sealBlock(this.#bytes, header, this.#seed)
    addBlock(this.summary, header, this.#offset, this.#messages, this.#kept === 0 ? open.monotonicUs : this.#lastUs)
    // Within a sparse block the wall clock may have moved.
    if (this.#kept > 0) widenArrivals(this.summary, this.#minWallUs, this.#maxWallUs)
    await this.#put(this.#bytes, end, this.#offset)
    this.#offset += end
    this.#reset()
  }

  /** Ends the file: footer and trailer. The summary may be completed before. */
  async seal(): Promise<void> {
    await this.flush()
    const footer = encodeFooter(this.summary, this.#seed)
    await this.#put(footer, footer.length, this.#offset)
    const place = { ...this.#options.header, footerAt: this.#offset, footerBytes: footer.length }
    this.#offset += footer.length
    await this.#put(encodeTrailer(place), TRAILER_BYTES, this.#offset)
    this.#offset += TRAILER_BYTES
  }

  #fits(channel: SparseChannel | undefined, entry: SparseEntry): boolean {
    const definition = channel === undefined || channel.block === this.#block ? 0 : channel.definition.length
    const needed = SPARSE_OVERHEAD_BYTES + MESSAGE_OVERHEAD_BYTES + entry.bytes.length + definition
    if (this.#kept >= MAX_BLOCK_ENTRIES) return false
    if (this.#end + this.#definitionBytes + needed <= this.#bytes.length) return true
    if (this.#kept > 0) return false
    // A single entry that is larger than a block gets one of its own.
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(MAX_BLOCK_BYTES, BLOCK_HEADER_BYTES + needed))
    return BLOCK_HEADER_BYTES + needed <= MAX_BLOCK_BYTES
  }

  #use(channel: SparseChannel, lists: boolean): void {
    if (channel.block === this.#block) {
      channel.entries++
      channel.lists ||= lists
      return
    }
    channel.lists = lists
    channel.block = this.#block
    channel.entries = 1
    this.#used.push(channel)
    this.#definitionBytes += channel.definition.length
  }

  /** Whether the channel has to be defined in this block; from then on it is. */
  #isNews(channel: SparseChannel): boolean {
    const distance = channel.definitions === 1 ? FIRST_REDEFINE_BYTES : REDEFINE_BYTES
    if (channel.definitions > 0 && this.#offset - channel.definedAt < distance) return false
    channel.definitions++
    channel.definedAt = this.#offset
    return true
  }

  #reset(): void {
    this.#block++
    this.#end = BLOCK_HEADER_BYTES
    this.#kept = 0
    this.#messages = 0
    this.#used = []
    this.#definitionBytes = 0
    if (this.#bytes.length > this.#options.blockBytes) this.#bytes = Buffer.allocUnsafeSlow(this.#options.blockBytes)
  }

  async #put(bytes: Buffer, length: number, at: number): Promise<void> {
    await writeFully(this.#options.handle, bytes, 0, length, at)
    this.#options.onWritten(length)
  }
}
