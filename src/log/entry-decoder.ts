// Entries from the bytes of a block. Payloads are copied out of the caller's buffer, neighbours into a shared slab of a few
// kilobytes: an entry that is kept pins a slab, never the buffer that a whole block was read into.

import type { Entry, EntryKind, Seq, TimeQuality, UnixMs } from '../core/contract.ts'
import type { BlockHeader } from './block.ts'
import { BLOCK_HEADER_BYTES, lastSeq } from './block.ts'
import { ByteReader, unzigzag, varintBytes } from './bytes.ts'
import type { ChannelName } from './channel.ts'
import { decodeDefinition, MARK_CHANNEL, mayBeList } from './channel.ts'
import { wallUsOf } from './clock-mark.ts'
import { SLAB_BYTES } from './limits.ts'
import { FLAG_ORIGIN, FLAG_RETAIN, KINDS, ORIGIN_BYTES, QOS_SHIFT } from './pending-block.ts'

export interface Dictionary {
  get(id: number): ChannelName | undefined
}

const MARK: ChannelName = { source: '', topic: '' }

/** Steps through one block whose CRC was right. Throws RangeError when its content does not parse all the same. */
export class EntryDecoder {
  readonly header: BlockHeader
  /** Seq of the entry that comes next; one behind the block's last when none does. In a sparse block it may jump. */
  seq: Seq
  /** The block leaves seqs out that were thinned. */
  readonly sparse: boolean
  /** Of the entry that glance() met last. */
  channel = MARK_CHANNEL
  kind: EntryKind | undefined
  entrySeq: Seq = 0
  readonly #reader: ByteReader
  readonly #dictionary: Dictionary
  readonly #bootId: string
  /** Wall clock of the first entry, corrected where that is called for. */
  readonly #wallUs: number
  readonly #timeQuality: TimeQuality | undefined
  /** How many entries are still to come. */
  #left: number
  #mark = 0
  #flags = 0
  #deltaUs = 0
  /** In a sparse block: by how much the wall clock had moved against the block's clocks. */
  #skewUs = 0
  #nextSkewUs = 0
  #originAt = -1
  #payloadAt = 0
  #payloadEnd = 0
  #slab: Buffer = Buffer.alloc(0)
  /** Bytes of the block that the slab holds. */
  #slabStart = 0
  #slabEnd = 0
  #lastId = MARK_CHANNEL
  #lastName: ChannelName | undefined = MARK

  /** `bytes` must stay as it is while this is in use. `correctionMs`: of the boot (clock-mark.ts), where it is known. */
  constructor(
    bytes: Buffer,
    at: number,
    header: BlockHeader,
    dictionary: Dictionary,
    bootId: string,
    correctionMs?: number,
  ) {
    this.header = header
    this.seq = header.first
    this.sparse = header.kept !== undefined
    this.#left = header.kept ?? header.count
    this.#reader = new ByteReader(bytes, at + BLOCK_HEADER_BYTES, at + header.definitionsAt)
    this.#dictionary = dictionary
    this.#bootId = bootId
    this.#wallUs = wallUsOf(header, correctionMs)
    this.#timeQuality = header.synced ? undefined : correctionMs === undefined ? 'unsynced' : 'corrected'
    if (this.sparse) this.#peek()
  }

  get done(): boolean {
    return this.#left === 0
  }

  /** Arrival of the entry that glance() met last. */
  get receivedAt(): UnixMs {
    // What was corrected comes from the monotonic clock, which does not step.
    return (this.#wallUs + this.#deltaUs + (this.#timeQuality === 'corrected' ? 0 : this.#skewUs)) / 1_000
  }

  /** The same as the wall clock said it, uncorrected, in microseconds. */
  get wallUs(): number {
    return this.header.wallUs + this.#deltaUs + this.#skewUs
  }

  /** The same by the monotonic clock, in microseconds. */
  get monotonicUs(): number {
    return this.header.monotonicUs + this.#deltaUs
  }

  /** Whether its payload may be a JSON array. */
  get lists(): boolean {
    return mayBeList(this.#reader.bytes, this.#payloadAt, this.#payloadEnd)
  }

  /** Passes over entries below `seq`. */
  skipTo(seq: Seq): void {
    while (this.seq < seq && !this.done) this.glance()
  }

  /** The next entry; undefined when its channel's definition was lost. Call only while not done. */
  next(): Entry | undefined {
    this.glance()
    return this.take()
  }

  /** Steps over the next entry, which costs no memory; then its channel, kind and times are known. Call only while not done. */
  glance(): this {
    const reader = this.#reader
    this.#mark = reader.position
    this.#skewUs = this.#nextSkewUs
    this.channel = reader.varint()
    this.#flags = reader.byte()
    this.kind = KINDS[this.#flags & 3]
    this.#deltaUs = reader.varint()
    this.#originAt = (this.#flags & FLAG_ORIGIN) !== 0 ? reader.take(ORIGIN_BYTES) : -1
    const length = reader.varint()
    this.#payloadAt = reader.take(length)
    this.#payloadEnd = reader.position
    this.entrySeq = this.seq++
    this.#left--
    if (this.sparse) this.#peek()
    return this
  }

  /** The entry that glance() met last; undefined when its channel's definition was lost. */
  take(): Entry | undefined {
    const { kind } = this
    const name = this.#name(this.channel)
    if (name === undefined || kind === undefined) return undefined
    const entry = {
      seq: this.entrySeq,
      kind,
      topic: name.topic,
      payload: this.#payload(this.#payloadAt, this.#payloadEnd),
      source: name.source,
      qos: ((this.#flags >> QOS_SHIFT) & 3) as 0 | 1 | 2,
      retain: (this.#flags & FLAG_RETAIN) !== 0,
      receivedAt: this.receivedAt,
      monotonicMs: this.monotonicUs / 1_000,
      bootId: this.#bootId,
    }
    if (this.#originAt === -1 && this.#timeQuality === undefined) return entry
    return this.#withRest(entry)
  }

  /** The entry that glance() met last as it is written: flags, and everything behind its time. */
  raw(): { readonly flags: number; readonly bytes: Buffer } {
    const from =
      this.#originAt === -1 ? this.#payloadAt - varintBytes(this.#payloadEnd - this.#payloadAt) : this.#originAt
    return { flags: this.#flags, bytes: this.#reader.bytes.subarray(from, this.#payloadEnd) }
  }

  /** Makes the last entry the next one again. */
  back(): void {
    this.#reader.position = this.#mark
    this.seq = this.entrySeq
    this.#nextSkewUs = this.#skewUs
    this.#left++
  }

  /** What stands before an entry of a sparse block: how many seqs were passed over, and how the wall clock had moved. */
  #peek(): void {
    if (this.#left === 0) {
      this.seq = lastSeq(this.header) + 1
      return
    }
    this.seq += this.#reader.varint()
    this.#nextSkewUs = unzigzag(this.#reader.varint())
    if (this.seq > lastSeq(this.header)) throw new RangeError('a sparse block goes beyond its end')
  }

  /** What few entries have. */
  #withRest(entry: Entry): Entry {
    const timed = this.#timeQuality === undefined ? entry : { ...entry, timeQuality: this.#timeQuality }
    if (this.#originAt === -1) return timed
    const { bytes } = this.#reader
    return {
      ...timed,
      origin: { clientHash: bytes.readUInt32LE(this.#originAt), packetId: bytes.readUInt16LE(this.#originAt + 4) },
    }
  }

  #name(id: number): ChannelName | undefined {
    if (id !== this.#lastId) {
      this.#lastId = id
      this.#lastName = id === MARK_CHANNEL ? MARK : this.#dictionary.get(id)
    }
    return this.#lastName
  }

  #payload(start: number, end: number): Buffer {
    if (end > this.#slabEnd || start < this.#slabStart) {
      const size = Math.max(end - start, Math.min(SLAB_BYTES, this.#reader.end - start))
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
