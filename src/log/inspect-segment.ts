// One segment under inspection: its two headers, every block, every entry, and whether the footer says the same. Reads only.

import type { LossMark, Seq } from '../core/contract.ts'
import type { Range } from '../core/log-contract.ts'
import type { BlockHeader } from './block.ts'
import { BLOCK_HEADER_BYTES, crcSeed, lastSeq, readBlockHeader } from './block.ts'
import { MARK_CHANNEL } from './channel.ts'
import { wallUsOf } from './clock-mark.ts'
import { EntryDecoder } from './entry-decoder.ts'
import { parseLossMark } from './loss-mark.ts'
import type { FoundBlock, SegmentFile } from './segment-file.ts'
import { damagedHeaderCopies } from './segment-header.ts'
import type { BrokenBytes } from './segment-scan.ts'
import { scanSegment } from './segment-scan.ts'
import { markSteps } from './steps.ts'
import type { IndexPoint, Summary } from './summary.ts'
import { decodeTrailer, TRAILER_BYTES } from './summary.ts'

/** Something that is wrong with a file of the log. */
export interface SegmentDamage {
  /** Bytes of the file, `to` excluded; absent where it is about the file as a whole. */
  readonly from?: number
  readonly to?: number
  /** Seqs that are missing with it, where there are any. */
  readonly first?: Seq
  readonly last?: Seq
  readonly why: string
}

export interface SegmentInspection {
  readonly last: Seq
  readonly entries: number
  /** Arrivals, microseconds, corrected where that is called for; 0 when there is nothing. */
  readonly fromUs: number
  readonly toUs: number
  /** Some are from before the clock was set. */
  readonly unset: boolean
  readonly damages: readonly SegmentDamage[]
  /** Seqs that are left out although nothing is destroyed: a loss mark has to say why. */
  readonly holes: readonly Range[]
}

/** More of one file is no news: the list is for a person to read. */
const MAX_DAMAGES = 1_000

export const inspectSegmentFile = async (
  file: SegmentFile,
  until: Seq,
  onMark: (mark: LossMark) => void,
  correctionMs?: number,
): Promise<SegmentInspection> => {
  const tally = new SegmentTally(file, onMark, correctionMs)
  for (const copy of damagedHeaderCopies(await headerBytes(file)))
    tally.report({ ...copy, why: 'a copy of the header is destroyed' })
  const { end } = await scanSegment(file, until, {
    block: (block) => tally.block(block),
    broken: (bytes) => tally.broken(bytes),
  })
  if (file.summary === undefined) await tally.reportSeal(end)
  else tally.compare(file.summary, until)
  return tally
}

const headerBytes = async (file: SegmentFile): Promise<Buffer> => {
  const bytes = Buffer.alloc(file.start)
  return bytes.subarray(0, await file.read(bytes, bytes.length, 0))
}

class SegmentTally implements SegmentInspection {
  last: Seq
  entries = 0
  fromUs = 0
  toUs = 0
  unset = false
  readonly damages: SegmentDamage[] = []
  readonly holes: Range[] = []
  readonly #file: SegmentFile
  readonly #onMark: (mark: LossMark) => void
  readonly #correctionMs: number | undefined
  /** Arrivals as the wall clock said it, which is what a footer holds. */
  #minWallUs = 0
  #maxWallUs = 0
  readonly #channels = new Map<number, number>()
  #messages = 0
  #broken = false
  /** Index points of the footer that no block has begun yet, and those that blocks lie behind. */
  readonly #points: readonly IndexPoint[]
  #passed = 0
  /** Channels that are where the footer says they are not. */
  #misplaced = 0
  readonly #steps = new Map<number, Uint8Array>()

  constructor(file: SegmentFile, onMark: (mark: LossMark) => void, correctionMs: number | undefined) {
    this.#file = file
    this.#onMark = onMark
    this.#correctionMs = correctionMs
    this.last = file.first - 1
    this.#points = file.summary?.index ?? []
  }

  report(damage: SegmentDamage): void {
    if (this.damages.length < MAX_DAMAGES) this.damages.push(damage)
  }

  broken({ from, to, first, last, why }: BrokenBytes): void {
    this.#broken = true
    this.last = Math.max(this.last, last)
    this.report({ from, to, ...(last >= first ? { first, last } : {}), why })
  }

  block(block: FoundBlock): void {
    const { header } = block
    if (header.first > this.last + 1) this.holes.push({ first: this.last + 1, last: header.first - 1 })
    this.last = lastSeq(header)
    this.#atPoint(block)
    this.#file.learn(block)
    const fault = this.#decode(block)
    if (fault === undefined) return
    const [from, to] = [block.offset, block.offset + header.length]
    this.report({ from, to, first: fault.first, last: fault.last, why: fault.why })
  }

  /** A segment without a readable footer is one that is written to, unless half of what seals it is there. */
  async reportSeal(end: number): Promise<void> {
    const file = this.#file
    const { identity } = file.header
    const size = await file.end()
    const bytes = Buffer.alloc(Math.max(TRAILER_BYTES, BLOCK_HEADER_BYTES))
    const count = await file.read(bytes, TRAILER_BYTES, Math.max(0, size - TRAILER_BYTES))
    const trailer = decodeTrailer(bytes.subarray(0, count))
    if (trailer?.identity.equals(identity)) {
      const { footerAt, footerBytes } = trailer
      this.report({ from: footerAt, to: footerAt + footerBytes, why: 'the footer is destroyed' })
    } else if ((await file.read(bytes, BLOCK_HEADER_BYTES, end)) === BLOCK_HEADER_BYTES) {
      const footer = readBlockHeader(bytes, 0, crcSeed(identity))
      if (footer?.kind === 'footer')
        this.report({ from: size - TRAILER_BYTES, to: size, why: 'the trailer is destroyed' })
    }
  }

  /** What the footer counts against what is there. Where something is broken, the numbers have to differ. */
  compare(summary: Summary, until: Seq): void {
    if (this.#broken || summary.last >= until) return
    const wrong: string[] = []
    if (summary.last !== this.last) wrong.push(`last seq ${summary.last}, not ${this.last}`)
    if (summary.entries !== this.entries) wrong.push(`${summary.entries} entries, not ${this.entries}`)
    if (summary.messages !== this.#messages) wrong.push(`${summary.messages} messages, not ${this.#messages}`)
    if (this.entries > 0 && (summary.minWallUs > this.#minWallUs || summary.maxWallUs < this.#maxWallUs))
      wrong.push('other times')
    if (this.#passed !== this.#points.length) wrong.push('index points where no block begins')
    if (this.#misplaced > 0) wrong.push('channels where the index does not have them')
    for (const [id, { entries }] of summary.channels)
      if (entries !== (this.#channels.get(id) ?? 0)) wrong.push(`channel ${id}`)
    if (wrong.length > 0) this.report({ why: `the footer does not fit the content: ${wrong.slice(0, 5).join(', ')}` })
  }

  #atPoint({ header, offset }: FoundBlock): void {
    const next = this.#points[this.#passed]
    if (next?.offset === offset && next.seq === header.first) this.#passed++
  }

  /** What of it cannot be served. */
  #decode({ bytes, at, header }: FoundBlock): (Range & { readonly why: string }) | undefined {
    const decoder = new EntryDecoder(bytes, at, header, this.#file.dictionary, this.#file.header.bootId)
    let unknown: Range | undefined
    try {
      while (!decoder.done) {
        decoder.glance()
        if (!this.#count(decoder, header))
          unknown = { first: unknown?.first ?? decoder.entrySeq, last: decoder.entrySeq }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return { first: decoder.seq, last: lastSeq(header), why: 'entries cannot be parsed' }
    }
    return unknown === undefined ? undefined : { ...unknown, why: 'the definition of a channel is missing' }
  }

  /** False when its channel is not known. */
  #count(decoder: EntryDecoder, header: BlockHeader): boolean {
    const { channel, kind } = decoder
    const sinceUs = decoder.monotonicUs - header.monotonicUs
    const wallUs = header.wallUs + sinceUs
    const us = wallUsOf(header, this.#correctionMs) + sinceUs
    this.#minWallUs = this.entries === 0 ? wallUs : Math.min(this.#minWallUs, wallUs)
    this.#maxWallUs = Math.max(this.#maxWallUs, wallUs)
    this.fromUs = this.entries === 0 ? us : Math.min(this.fromUs, us)
    this.toUs = Math.max(this.toUs, us)
    this.unset ||= !header.synced
    this.entries++
    this.#channels.set(channel, (this.#channels.get(channel) ?? 0) + 1)
    if (kind === 'message') this.#messages++
    if (this.#stepsOf(channel)?.[this.#passed - 1] === 0) this.#misplaced++
    if (kind === 'loss') {
      const payload = decoder.take()?.payload
      const mark = payload === undefined ? undefined : parseLossMark(payload)
      if (mark !== undefined) this.#onMark(mark)
    }
    return channel === MARK_CHANNEL || this.#file.dictionary.has(channel)
  }

  /** The index points at which the footer has a channel; undefined without a footer. */
  #stepsOf(channel: number): Uint8Array | undefined {
    const { summary } = this.#file
    if (summary === undefined) return undefined
    let steps = this.#steps.get(channel)
    if (steps === undefined) {
      steps = new Uint8Array(this.#points.length)
      markSteps(channel === MARK_CHANNEL ? summary.markSteps : (summary.channels.get(channel)?.steps ?? []), steps)
      this.#steps.set(channel, steps)
    }
    return steps
  }
}
