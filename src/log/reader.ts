// Reads the log in order from any seq, in bounded batches, across segments that grow, roll, disappear or are recycled
// underneath. Needs nothing but the directory: it works the same in another thread and in another process. A bad block is
// never served and never stops it: what cannot be read is reported as a gap.

import { join } from 'node:path'
import type { Seq } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import type { LogReader, ReadFilter, ReadLimit, ReadResult } from '../core/log-contract.ts'
import { lastSeq } from './block.ts'
import type { Card } from './catalog.ts'
import { Catalog } from './catalog.ts'
import type { Corrections } from './clock-mark.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileSystem } from './file-system.ts'
import { FollowedClocks } from './followed-clocks.ts'
import { Gathering } from './gathering.ts'
import { Passage } from './passage.ts'
import { ReadQuery } from './read-query.ts'
import type { FoundBlock } from './segment-file.ts'
import { listSegments, SegmentFile } from './segment-file.ts'
import type { IndexPoint } from './summary.ts'

export interface ReaderOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  /** Newest seq that may be read; Infinity reads whatever whole blocks there are (another process). */
  readonly durable: () => Seq
  /** What corrects times from before the clock was set; by default the index that stands in the log's directory. */
  readonly clocks?: Corrections
  /** What readers of the same log in the same thread share. */
  readonly catalog?: Catalog
}

export const openReader = (options: ReaderOptions): LogReader => new SegmentsReader(options)

/** Segments that vanish between listing and opening are looked for again; more often than this is no coincidence. */
const MAX_ATTEMPTS = 8
const NONE = Number.POSITIVE_INFINITY

class SegmentsReader implements LogReader {
  readonly #directory: string
  readonly #fileSystem: FileSystem
  readonly #durable: () => Seq
  readonly #clocks: Corrections
  readonly #catalog: Catalog
  /** The present one, or the last. */
  #query: ReadQuery | undefined
  #passage: Passage | undefined
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
    this.#clocks = options.clocks ?? new FollowedClocks(this.#fileSystem, this.#directory)
    this.#catalog = options.catalog ?? new Catalog()
  }

  /** Calls take turns: there is one position. */
  read(after: Seq, limit: ReadLimit, filter?: ReadFilter): Promise<ReadResult> {
    const result = this.#turn.then(() => this.#read(after, limit, filter))
    this.#turn = result.catch(() => undefined)
    return result
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
    await this.#leave().catch(() => undefined)
  }

  async #read(after: Seq, limit: ReadLimit, filter: ReadFilter | undefined): Promise<ReadResult> {
    if (this.#closed) throw new TidegateError('TG_LOG_CLOSED', 'the reader is closed')
    if (filter === undefined) this.#query = undefined
    else if (this.#query?.isOf(filter) !== true) this.#query = new ReadQuery(filter)
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
    // The question may be another one than the last time.
    else if (this.#segment !== undefined) await this.#passageOf(this.#segment)
    while (!gathering.full) {
      if (this.#decoder !== undefined) this.#decode(this.#decoder, gathering)
      else if (!(await this.#advance(gathering))) break
    }
    this.#after = gathering.next
  }

  #decode(decoder: EntryDecoder, gathering: Gathering): void {
    const last = Math.min(lastSeq(decoder.header), this.#until - 1)
    const passage = this.#passage
    try {
      decoder.skipTo(gathering.next + 1)
      while (!gathering.full) {
        if (decoder.sparse) gathering.thin(Math.min(decoder.seq - 1, last))
        if (decoder.seq > last || gathering.full) break
        decoder.glance()
        if (passage !== undefined && !passage.wants(decoder)) {
          gathering.leave(gathering.inHole ? decoder.take() : undefined, decoder.entrySeq)
          continue
        }
        const entry = decoder.take()
        if (entry === undefined) gathering.miss(decoder.entrySeq, 'corrupt')
        else if (!gathering.take(entry)) decoder.back()
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      gathering.miss(last, 'corrupt')
      this.#decoder = undefined
    }
    // Thinned seqs at its end are told before it is left.
    if (decoder.seq > last && gathering.next >= last) this.#decoder = undefined
  }

  /** Puts the next block under the decoder, or crosses to the next segment. False when there is nothing more for now. */
  async #advance(gathering: Gathering): Promise<boolean> {
    const segment = this.#segment
    if (segment === undefined) return this.#seek(gathering)
    const passage = await this.#passageOf(segment)
    if (passage !== undefined && !gathering.inHole && this.#pass(passage, segment, gathering)) return true
    const before = segment.readBytes
    const block = await segment.block(this.#offset, passage?.wantedBytes(this.#offset))
    if (passage !== undefined) gathering.work(segment.readBytes - before)
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
      // Half a block is also what a failed write leaves behind: its messages are in a segment that was made since.
      if (!(await this.#isCurrent(segment)) || (await this.#isOutrun(segment))) return this.#seek(gathering)
      // In another process's log, the block may just be on its way to the disk.
      if (gathering.openEnded && (await segment.find(this.#offset + header.length)) === undefined)
        return this.#cross(segment, gathering)
      gathering.miss(Math.min(lastSeq(header), this.#until - 1), 'corrupt')
    } else {
      segment.learn(block)
      if (lastSeq(header) > gathering.next) {
        gathering.miss(header.first - 1)
        this.#decoder = await this.#decoderOf(segment, block)
      }
    }
    this.#offset += header.length
    return true
  }

  /** Passes over the stretch that begins here, if it holds nothing that is asked for. */
  #pass(passage: Passage, segment: SegmentFile, gathering: Gathering): boolean {
    const passed = passage.pass(this.#offset, gathering.next + 1)
    if (passed === undefined) return false
    const last = Math.min(passed.last, this.#until - 1)
    if (passed.thinned) gathering.thin(Math.min(last, gathering.durable))
    else gathering.pass(last)
    this.#offset = passed.offset ?? segment.blocksEnd
    return true
  }

  /** The way of the present query through the segment. */
  async #passageOf(segment: SegmentFile): Promise<Passage | undefined> {
    const query = this.#query
    if (query === undefined) this.#passage = undefined
    else if (this.#passage?.isOf(query) !== true) {
      const summary = segment.summary ?? this.#catalog.live(segment.header)
      const correctionMs = await this.#correctionOf(segment.header.bootId, summary?.index.some(isUnsynced) ?? false)
      this.#passage = new Passage(query, segment.names, summary, segment.summary !== undefined, correctionMs)
    }
    return this.#passage
  }

  async #correctionOf(bootId: string, unsynced: boolean): Promise<number | undefined> {
    if (unsynced) await this.#clocks.look?.(bootId)
    return this.#clocks.correction(bootId)
  }

  async #decoderOf(segment: SegmentFile, { bytes, at, header }: FoundBlock): Promise<EntryDecoder> {
    const { bootId } = segment.header
    const correctionMs = await this.#correctionOf(bootId, !header.synced)
    return new EntryDecoder(bytes, at, header, segment.names, bootId, correctionMs)
  }

  /** Nothing more in this segment: to the one behind it, if there is one. */
  async #cross(segment: SegmentFile, gathering: Gathering): Promise<boolean> {
    const { segments } = await listSegments(this.#fileSystem, this.#directory)
    const next = segments.find((first) => first > segment.first)
    // What was behind it has become a part of it, or went with it: what it holds counts further now.
    if (this.#until !== NONE && next !== this.#until) return this.#seek(gathering)
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

  /**
   * Opens a segment, or passes over it and those behind it as long as they hold nothing that is asked for, or cannot be read;
   * undefined when one has gone.
   */
  async #enter(start: Seq, segments: readonly Seq[], gathering: Gathering): Promise<boolean | undefined> {
    await this.#leave()
    for (let place = segments.indexOf(start); ; place++) {
      const first = segments[place]
      if (first === undefined) return this.#endOfLog(gathering)
      if (first > start) gathering.miss(Math.min(first - 1, gathering.durable))
      if (gathering.full) return true
      const until = segments[place + 1] ?? NONE
      const known = this.#query === undefined ? undefined : this.#catalog.card(first, until)
      if (known !== undefined && (await this.#passOver(known, first, until, gathering))) continue
      const segment = await this.#open(first)
      if (segment === 'gone') return undefined
      if (segment === undefined) {
        // Without its header nothing in the file can be told from garbage.
        if (until === NONE) return this.#endOfLog(gathering)
        gathering.miss(until - 1)
        continue
      }
      if (this.#query !== undefined) gathering.work(segment.readBytes)
      if (await this.#isPassedOver(segment, until, gathering)) {
        await segment.close()
        continue
      }
      const live = segment.summary === undefined ? this.#catalog.live(segment.header) : undefined
      if (live !== undefined) segment.follow(live)
      this.#segment = segment
      this.#until = until
      this.#offset = segment.offsetOf(gathering.next + 1)
      return true
    }
  }

  /** Whether a segment that was opened holds nothing for the query after all. */
  async #isPassedOver(segment: SegmentFile, until: Seq, gathering: Gathering): Promise<boolean> {
    const { header, summary, first } = segment
    if (this.#query === undefined || summary === undefined) return false
    return this.#passOver(this.#catalog.learn(header, summary, until), first, until, gathering)
  }

  async #passOver(card: Card, first: Seq, until: Seq, gathering: Gathering): Promise<boolean> {
    const query = this.#query
    if (query === undefined || card.holes === 'unknown' || gathering.inHole || first > gathering.next + 1) return false
    const correctionMs = await this.#correctionOf(card.bootId, card.span.unsetFromUs <= card.span.unsetToUs)
    if (this.#catalog.mayHold(card, query, correctionMs)) return false
    const last = Math.min(card.last, until - 1, gathering.durable)
    if (card.holes === 'thinned') gathering.thin(last)
    else gathering.pass(last)
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

  /** Whether another segment follows by now than when this one was entered. */
  async #isOutrun(segment: SegmentFile): Promise<boolean> {
    const { segments } = await listSegments(this.#fileSystem, this.#directory)
    return (segments.find((first) => first > segment.first) ?? NONE) !== this.#until
  }

  async #leave(): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    this.#passage = undefined
    this.#decoder = undefined
    this.#after = -1
    await segment?.close()
  }
}

const isUnsynced = ({ unsynced }: IndexPoint): boolean => unsynced
