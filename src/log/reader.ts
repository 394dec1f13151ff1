// Reads the log in order from any seq, in bounded batches, across segments that grow, roll, disappear or are recycled
// underneath. Needs nothing but the directory: it works the same in another thread and in another process. A bad block is
// never served and never stops it: what cannot be read is reported as a gap.

import { join } from 'node:path'
import type { LogReader, ReadLimit, ReadResult, Seq } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { lastSeq } from './block.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileSystem } from './file-system.ts'
import { Gathering } from './gathering.ts'
import { listSegments, SegmentFile } from './segment-file.ts'

export interface ReaderOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  /** Newest seq that may be read; Infinity reads whatever whole blocks there are (another process). */
  readonly durable: () => Seq
}

export const openReader = (options: ReaderOptions): LogReader => new SegmentsReader(options)

/** Segments that vanish between listing and opening are looked for again; more often than this is no coincidence. */
const MAX_ATTEMPTS = 8
const NONE = Number.POSITIVE_INFINITY

class SegmentsReader implements LogReader {
  readonly #directory: string
  readonly #fileSystem: FileSystem
  readonly #durable: () => Seq
  #segment: SegmentFile | undefined
  /** First seq of the segment behind the present one, as far as it was known: what lies beyond is not read here. */
  #until: Seq = NONE
  /** Where the next block of the present segment begins. */
  #offset = 0
  /** The block that is being read. */
  #decoder: EntryDecoder | undefined
  /** The position stands behind everything up to here. */
  #after: Seq = -1
  #closed = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: ReaderOptions) {
    this.#directory = join(options.directory, 'log')
    this.#fileSystem = options.fileSystem
    this.#durable = options.durable
  }

  /** Calls take turns: there is one position. */
  read(after: Seq, limit: ReadLimit): Promise<ReadResult> {
    const result = this.#turn.then(() => this.#read(after, limit))
    this.#turn = result.catch(() => undefined)
    return result
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
    await this.#leave().catch(() => undefined)
  }

  async #read(after: Seq, limit: ReadLimit): Promise<ReadResult> {
    if (this.#closed) throw new TidegateError('TG_LOG_CLOSED', 'the reader is closed')
    const gathering = new Gathering(after, limit, this.#durable())
    try {
      if (!gathering.full) await this.#gather(gathering)
    } catch (error) {
      await this.#leave()
      if (error instanceof TidegateError) throw error
      throw new TidegateError('TG_DATA_UNUSABLE', `the log cannot be read: ${describe(error)}`, { cause: error })
    }
    return gathering.result()
  }

  async #gather(gathering: Gathering): Promise<void> {
    if (this.#after !== gathering.next) await this.#seek(gathering)
    while (!gathering.full) {
      if (this.#decoder !== undefined) this.#decode(this.#decoder, gathering)
      else if (!(await this.#advance(gathering))) break
    }
    this.#after = gathering.next
  }

  #decode(decoder: EntryDecoder, gathering: Gathering): void {
    const last = Math.min(lastSeq(decoder.header), this.#until - 1)
    try {
      decoder.skipTo(gathering.next + 1)
      while (decoder.seq <= last && !gathering.full) {
        const entry = decoder.next()
        if (entry === undefined) gathering.miss(decoder.seq - 1, 'corrupt')
        else if (!gathering.take(entry)) decoder.back()
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      gathering.miss(last, 'corrupt')
      this.#decoder = undefined
    }
    if (decoder.seq > last) this.#decoder = undefined
  }

  /** Puts the next block under the decoder, or crosses to the next segment. False when there is nothing more for now. */
  async #advance(gathering: Gathering): Promise<boolean> {
    const segment = this.#segment
    if (segment === undefined) return this.#seek(gathering)
    const block = await segment.block(this.#offset)
    if (block === undefined) {
      if (!(await this.#isCurrent(segment))) return this.#seek(gathering)
      const offset = await segment.find(this.#offset)
      if (offset === undefined) return this.#cross(segment, gathering)
      this.#offset = offset
      return true
    }
    const { header } = block
    if (header.first >= this.#until) return this.#cross(segment, gathering)
    if (!block.whole) {
      if (!(await this.#isCurrent(segment))) return this.#seek(gathering)
      // In another process's log, the block may just be on its way to the disk.
      if (gathering.openEnded && (await segment.find(this.#offset + header.length)) === undefined)
        return this.#cross(segment, gathering)
      gathering.miss(Math.min(lastSeq(header), this.#until - 1), 'corrupt')
    } else {
      segment.learn(block)
      if (lastSeq(header) > gathering.next) {
        gathering.miss(header.first - 1)
        this.#decoder = new EntryDecoder(block.bytes, block.at, header, segment.dictionary, segment.header.bootId)
      }
    }
    this.#offset += header.length
    return true
  }

  /** Nothing more in this segment: to the one behind it, if there is one. */
  async #cross(segment: SegmentFile, gathering: Gathering): Promise<boolean> {
    const { segments } = await listSegments(this.#fileSystem, this.#directory)
    const next = segments.find((first) => first > segment.first)
    const whole = next !== undefined && next <= gathering.next + 1
    // A hole is only one when the file that has it still is the segment: the writer may have put another in its place.
    if (!whole && !(await this.#isCurrent(segment))) return this.#seek(gathering)
    if (next !== undefined) {
      gathering.miss(next - 1)
      return (await this.#enter(next, segments, gathering)) ?? (await this.#seek(gathering))
    }
    return this.#endOfLog(gathering)
  }

  /** Behind the last segment. What is durable and not there is destroyed; of another process's log it may still come. */
  #endOfLog(gathering: Gathering): boolean {
    if (gathering.openEnded) return false
    gathering.miss(gathering.durable, 'corrupt')
    return true
  }

  /** Goes to where the seq behind `gathering.next` is. False when there is nothing for now. */
  async #seek(gathering: Gathering): Promise<boolean> {
    await this.#leave()
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { segments } = await listSegments(this.#fileSystem, this.#directory)
      const oldest = segments[0]
      if (oldest === undefined) return this.#endOfLog(gathering)
      if (gathering.next + 1 < oldest) gathering.miss(Math.min(oldest - 1, gathering.durable), 'retention')
      if (gathering.full) return true
      const first = segments.findLast((candidate) => candidate <= gathering.next + 1) ?? oldest
      const entered = await this.#enter(first, segments, gathering)
      if (entered !== undefined) return entered
    }
    throw new TidegateError('TG_DATA_UNUSABLE', `segments in ${this.#directory} disappear while they are opened`)
  }

  /** Opens a segment, or passes over one that cannot be read; undefined when it has gone. */
  async #enter(first: Seq, segments: readonly Seq[], gathering: Gathering): Promise<boolean | undefined> {
    await this.#leave()
    const until = segments.find((candidate) => candidate > first) ?? NONE
    const segment = await this.#open(first)
    if (segment === 'gone') return undefined
    if (segment !== undefined) {
      this.#segment = segment
      this.#until = until
      this.#offset = segment.offsetOf(gathering.next + 1)
      return true
    }
    // Without its header nothing in the file can be told from garbage.
    if (until === NONE) return this.#endOfLog(gathering)
    gathering.miss(until - 1)
    return true
  }

  async #open(first: Seq): Promise<SegmentFile | undefined | 'gone'> {
    try {
      return await SegmentFile.open(this.#fileSystem, this.#directory, first)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return 'gone'
      throw error
    }
  }

  /** False when the name has gone, or means another file now. Damage that came later is no reason to leave a segment. */
  async #isCurrent(segment: SegmentFile): Promise<boolean> {
    const now = await this.#open(segment.first)
    if (now === undefined || now === 'gone') return now === undefined
    await now.close()
    return now.header.identity.equals(segment.header.identity)
  }

  async #leave(): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    this.#decoder = undefined
    this.#after = -1
    await segment?.close()
  }
}
