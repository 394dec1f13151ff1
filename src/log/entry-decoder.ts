// Entries from the bytes of a block. Payloads are copied out of the caller's buffer, neighbours into a shared slab of a few
// kilobytes: an entry that is kept pins a slab, never the buffer that a whole block was read into.

import type { Entry, EntryKind, Seq } from '../core/contract.ts'
import type { BlockHeader } from './block.ts'
import { BLOCK_HEADER_BYTES } from './block.ts'
import { ByteReader } from './bytes.ts'
import type { ChannelName } from './channel.ts'
import { decodeDefinition, MARK_CHANNEL } from './channel.ts'
import { SLAB_BYTES } from './limits.ts'
import { FLAG_ORIGIN, FLAG_RETAIN, KINDS, ORIGIN_BYTES, QOS_SHIFT } from './pending-block.ts'

export interface Dictionary {
  get(id: number): ChannelName | undefined
}

const MARK: ChannelName = { source: '', topic: '' }

/** Steps through one block whose CRC was right. Throws RangeError when its content does not parse all the same. */
export class EntryDecoder {
  readonly header: BlockHeader
  /** Seq of the entry that comes next. */
  seq: Seq
  readonly #reader: ByteReader
  readonly #dictionary: Dictionary
  readonly #bootId: string
  #mark = 0
  #slab: Buffer = Buffer.alloc(0)
  /** Bytes of the block that the slab holds. */
  #slabStart = 0
  #slabEnd = 0
  #lastId = MARK_CHANNEL
  #lastName: ChannelName | undefined = MARK

  /** `bytes` must stay as it is while this is in use. */
  constructor(bytes: Buffer, at: number, header: BlockHeader, dictionary: Dictionary, bootId: string) {
    this.header = header
    this.seq = header.first
    this.#reader = new ByteReader(bytes, at + BLOCK_HEADER_BYTES, at + header.definitionsAt)
    this.#dictionary = dictionary
    this.#bootId = bootId
  }

  get done(): boolean {
    return this.seq >= this.header.first + this.header.count
  }

  /** Passes over entries below `seq`. */
  skipTo(seq: Seq): void {
    while (this.seq < seq && !this.done) this.glance()
  }

  /** The next entry; undefined when its channel's definition was lost. Call only while not done. */
  next(): Entry | undefined {
    const reader = this.#reader
    this.#mark = reader.position
    const id = reader.varint()
    const flags = reader.byte()
    const deltaUs = reader.varint()
    const originAt = (flags & FLAG_ORIGIN) !== 0 ? reader.take(ORIGIN_BYTES) : -1
    const length = reader.varint()
    const payload = this.#payload(reader.take(length), length)
    const seq = this.seq++
    const name = this.#name(id)
    const kind = KINDS[flags & 3]
    if (name === undefined || kind === undefined) return undefined
    const entry = {
      seq,
      kind,
      topic: name.topic,
      payload,
      source: name.source,
      qos: ((flags >> QOS_SHIFT) & 3) as 0 | 1 | 2,
      retain: (flags & FLAG_RETAIN) !== 0,
      receivedAt: (this.header.wallUs + deltaUs) / 1_000,
      monotonicMs: (this.header.monotonicUs + deltaUs) / 1_000,
      bootId: this.#bootId,
    }
    if (originAt === -1) return entry
    const { bytes } = reader
    return {
      ...entry,
      origin: { clientHash: bytes.readUInt32LE(originAt), packetId: bytes.readUInt16LE(originAt + 4) },
    }
  }

  /** The next entry without its payload. Call only while not done. */
  glance(): { readonly channel: number; readonly kind: EntryKind | undefined; readonly monotonicUs: number } {
    const reader = this.#reader
    const channel = reader.varint()
    const flags = reader.byte()
    const monotonicUs = this.header.monotonicUs + reader.varint()
    if ((flags & FLAG_ORIGIN) !== 0) reader.take(ORIGIN_BYTES)
    reader.take(reader.varint())
    this.seq++
    return { channel, kind: KINDS[flags & 3], monotonicUs }
  }

  /** Makes the last entry the next one again. */
  back(): void {
    this.#reader.position = this.#mark
    this.seq--
  }

  #name(id: number): ChannelName | undefined {
    if (id !== this.#lastId) {
      this.#lastId = id
      this.#lastName = id === MARK_CHANNEL ? MARK : this.#dictionary.get(id)
    }
    return this.#lastName
  }

  #payload(start: number, length: number): Buffer {
    const end = start + length
    if (end > this.#slabEnd || start < this.#slabStart) {
      const size = Math.max(length, Math.min(SLAB_BYTES, this.#reader.end - start))
      const slab = Buffer.allocUnsafe(size)
      slab.set(this.#reader.bytes.subarray(start, start + size))
      this.#slab = slab
      this.#slabStart = start
      this.#slabEnd = start + size
    }
    return this.#slab.subarray(start - this.#slabStart, end - this.#slabStart)
  }
}

/** Adds the definitions of a block whose CRC was right; returns their ids. */
export const learnDefinitions = (
  bytes: Buffer,
  at: number,
  header: BlockHeader,
  into: Map<number, ChannelName>,
): void => {
  if (header.definitions === 0) return
  const reader = new ByteReader(bytes, at + header.definitionsAt, at + header.length)
  for (let index = 0; index < header.definitions; index++) decodeDefinition(reader, into)
}
