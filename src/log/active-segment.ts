// The segment that is written to. Every failure of a call is final for the file: the caller abandons it and takes another.
// Knows which channels it has defined, keeps the summary for the footer, and fills ahead with zeros while that pays.

import type { Seq } from '../core/contract.ts'
import { systemCode } from '../core/errors.ts'
import { BLOCK_HEADER_BYTES, crcSeed, sealBlock } from './block.ts'
import type { Channel } from './channel.ts'
import type { FileHandle } from './file-system.ts'
import { writeFully } from './file-system.ts'
import {
  FILL_STEP_BYTES,
  FIRST_REDEFINE_BYTES,
  MAX_DICTIONARY_BYTES,
  MAX_PADDING_BYTES,
  PAGE_BYTES,
  REDEFINE_BYTES,
} from './limits.ts'
import type { PendingBlock } from './pending-block.ts'
import type { SegmentHeader } from './segment-header.ts'
import { SEGMENT_HEADER_BYTES } from './segment-header.ts'
import type { SealedBy, Summary } from './summary.ts'
import { addBlock, countEntries, emptySummary, encodeFooter, encodeTrailer, TRAILER_BYTES } from './summary.ts'

/** With less of it used, a file is cut when it is sealed. */
const USED_SHARE = 3 / 4

export interface ActiveSegmentOptions {
  readonly handle: FileHandle
  readonly header: SegmentHeader
  /** Size of the file: what lies before it can be overwritten without touching the file system's own records. */
  readonly allocatedBytes: number
  /** Rolled from here on. */
  readonly targetBytes: number
  /** Told about every byte handed to write(2). */
  readonly onWritten: (bytes: number) => void
}

/** A write that fails for want of room leaves the file as it was; after anything else it cannot be trusted. */
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT'])

/** What a block is usually like is the mean of so many. */
const USUAL_BLOCKS = 8

let lastSerial = 0

export class ActiveSegment {
  readonly header: SegmentHeader
  readonly summary: Summary
  readonly #handle: FileHandle
  readonly #targetBytes: number
  readonly #onWritten: (bytes: number) => void
  readonly #seed: number
  readonly #serial = ++lastSerial
  #dictionaryBytes = 0
  #offset = SEGMENT_HEADER_BYTES
  #allocated: number
  /** Length of a block; running mean. */
  #usualBytes = 0
  #fills = true
  #sealed = false
  #closed = false

  constructor(options: ActiveSegmentOptions) {
    this.header = options.header
    this.summary = emptySummary(options.header.first)
    this.#handle = options.handle
    this.#allocated = options.allocatedBytes
    this.#targetBytes = options.targetBytes
    this.#onWritten = options.onWritten
    this.#seed = crcSeed(options.header.identity)
  }

  get first(): Seq {
    return this.header.first
  }

  /** What the file takes on the disk. */
  get sizeBytes(): number {
    return Math.max(this.#allocated, this.#offset)
  }

  /** As large as it should become. */
  get full(): boolean {
    return this.#offset >= this.#targetBytes || this.#dictionaryBytes >= MAX_DICTIONARY_BYTES
  }

  /** Has its footer. */
  get sealed(): boolean {
    return this.#sealed
  }

  /** Puts a block at the end of the file. Not durable before commit(). */
  async write(block: PendingBlock): Promise<void> {
    const length = this.#seal(block)
    addBlock(this.summary, { ...block.start, count: block.count }, this.#offset, block.messages, block.lastUs)
    await this.#put(block.bytes, length, this.#offset)
    this.#offset += length
  }

  /** Makes everything written durable. */
  async commit(): Promise<void> {
    await this.#handle.datasync()
  }

  /** Writes footer and trailer; they are durable with the next commit(). A rolled file keeps its size, to be used again. */
  async seal(by: SealedBy): Promise<void> {
    this.summary.sealedBy = by
    const footer = encodeFooter(this.summary, this.#seed)
    const footerAt = this.#offset
    await this.#put(footer, footer.length, footerAt)
    this.#offset += footer.length
    const end = this.#offset + TRAILER_BYTES
    // One that was rolled early, for its many topics, does not keep what it did not need.
    const isWorthKeeping = by === 'rolled' && end >= this.#allocated * USED_SHARE
    const size = isWorthKeeping ? Math.max(this.#allocated, end) : end
    const trailer = encodeTrailer({ ...this.header, footerAt, footerBytes: footer.length })
    await this.#put(trailer, TRAILER_BYTES, size - TRAILER_BYTES)
    if (this.#allocated > size) await this.#handle.truncate(size)
    this.#offset = end
    this.#allocated = size
    this.#sealed = true
  }

  /** Fills the file with zeros a step ahead, unless there is room enough. Throws only when the file cannot be trusted any more. */
  async fill(): Promise<void> {
    const step = Math.min(FILL_STEP_BYTES, Math.ceil(this.#targetBytes / 4))
    const ahead = this.#allocated - this.#offset
    if (!this.#fills || ahead > step / 4 || this.#allocated >= this.#targetBytes + step) return
    const from = this.sizeBytes
    try {
      await this.#put(Buffer.alloc(step), step, from)
    } catch (error) {
      if (!NO_ROOM.has(systemCode(error) ?? 'ENOSPC')) throw error
      // Nothing that counts was touched; the file grows by its blocks from now on, if it can.
      this.#fills = false
      return
    }
    await this.#handle.datasync()
    this.#allocated = from + step
  }

  /** Idempotent; never throws: what was to be durable is by now, and nothing else matters. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#handle.close().catch(() => undefined)
  }

  async #put(bytes: Buffer, length: number, at: number): Promise<void> {
    await writeFully(this.#handle, bytes, 0, length, at)
    this.#onWritten(length)
  }

  /** Completes the block for this place in this segment; returns its length. */
  #seal(block: PendingBlock): number {
    let end = block.end
    let definitions = 0
    for (const [slot, channel] of block.channels.entries()) {
      if (this.#isNews(channel)) {
        block.bytes.set(channel.definition, end)
        end += channel.definition.length
        definitions++
      }
      const lists = block.listsByChannel[slot] === true
      countEntries(this.summary, channel.id, channel, this.#offset, block.entriesByChannel[slot] ?? 0, lists)
    }
    end = this.#pad(block.bytes, end)
    sealBlock(
      block.bytes,
      {
        ...block.start,
        kind: 'messages',
        length: end,
        count: block.count,
        definitionsAt: Math.max(block.end, BLOCK_HEADER_BYTES),
        definitions,
      },
      this.#seed,
    )
    return end
  }

  /**
   * Zeros up to the end of the page, where the next block, if it is like the last ones, would otherwise begin in this page and
   * end in the next: the disk would write both for it, and this one costs no more for being full.
   */
  #pad(bytes: Buffer, end: number): number {
    this.#usualBytes += (end - this.#usualBytes) / USUAL_BLOCKS
    const rest = PAGE_BYTES - ((this.#offset + end) % PAGE_BYTES)
    if (rest >= Math.min(this.#usualBytes, MAX_PADDING_BYTES) || this.#usualBytes > PAGE_BYTES) return end
    if (end + rest > bytes.length) return end
    bytes.fill(0, end, end + rest)
    return end + rest
  }

  /** Whether the channel has to be defined here; from then on it is. */
  #isNews(channel: Channel): boolean {
    if (channel.segment !== this.#serial) {
      channel.segment = this.#serial
      channel.definitions = 0
      this.#dictionaryBytes += channel.definition.length
    }
    const distance = channel.definitions === 1 ? FIRST_REDEFINE_BYTES : REDEFINE_BYTES
    if (channel.definitions > 0 && this.#offset - channel.definedAt < distance) return false
    channel.definitions++
    channel.definedAt = this.#offset
    return true
  }
}
