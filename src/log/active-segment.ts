// The segment that is written to. Every failure of a call is final for the file: the caller abandons it and takes another.
// Knows which channels it has defined, keeps the summary for the footer, and fills ahead with zeros while that pays.

import type { Seq } from '../core/contract.ts'
import { BLOCK_HEADER_BYTES, crcSeed, sealBlock } from './block.ts'
import type { Channel } from './channel.ts'
import type { FileHandle } from './file-system.ts'
import { writeFully } from './file-system.ts'
import { FILL_STEP_BYTES, FIRST_REDEFINE_BYTES, MAX_DICTIONARY_BYTES, REDEFINE_BYTES } from './limits.ts'
import type { PendingBlock } from './pending-block.ts'
import type { SegmentHeader } from './segment-header.ts'
import { SEGMENT_HEADER_BYTES } from './segment-header.ts'
import type { SealedBy, Summary } from './summary.ts'
import { addBlock, emptySummary, encodeFooter, encodeTrailer, TRAILER_BYTES } from './summary.ts'

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

let lastSerial = 0

export class ActiveSegment {
  readonly header: SegmentHeader
  readonly summary: Summary
  readonly #handle: FileHandle
  readonly #targetBytes: number
  readonly #onWritten: (bytes: number) => void
  readonly #seed: number
  readonly #serial = ++lastSerial
  readonly #channels: Channel[] = []
  #dictionaryBytes = 0
  #offset = SEGMENT_HEADER_BYTES
  #allocated: number
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
    for (const { id, source, topic, entries } of this.#channels)
      this.summary.channels.set(id, { source, topic, entries })
    const footer = encodeFooter(this.summary, this.#seed)
    const footerAt = this.#offset
    await this.#put(footer, footer.length, footerAt)
    this.#offset += footer.length
    const end = this.#offset + TRAILER_BYTES
    const size = by === 'rolled' ? Math.max(this.#allocated, end) : end
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
    } catch {
      // A full disk, most likely. Nothing that counts was touched; the file grows by its blocks from now on, if it can.
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
      channel.entries += block.entriesByChannel[slot] ?? 0
    }
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

  /** Whether the channel has to be defined here; from then on it is. */
  #isNews(channel: Channel): boolean {
    if (channel.segment !== this.#serial) {
      channel.segment = this.#serial
      channel.definitions = 0
      channel.entries = 0
      this.#channels.push(channel)
      this.#dictionaryBytes += channel.definition.length
    }
    const distance = channel.definitions === 1 ? FIRST_REDEFINE_BYTES : REDEFINE_BYTES
    if (channel.definitions > 0 && this.#offset - channel.definedAt < distance) return false
    channel.definitions++
    channel.definedAt = this.#offset
    return true
  }
}
