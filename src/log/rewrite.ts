// Writes a segment anew from its whole blocks and seals it. What is damaged in between goes to quarantine first, bytes and a
// note of the seqs it held. When the disk does not let it, the old file stays as it is, and nothing of it is removed:
// readers cope with it.

import { join } from 'node:path'
import type { Logger, Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import type { Range } from '../core/log-contract.ts'
import { BLOCK_HEADER_BYTES, crcSeed, lastSeq } from './block.ts'
import { MARK_CHANNEL } from './channel.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { writeFully } from './file-system.ts'
import { MAX_BLOCK_BYTES } from './limits.ts'
import type { Quarantine } from './quarantine.ts'
import type { Damage } from './quarantine-note.ts'
import type { FoundBlock, SegmentFile } from './segment-file.ts'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentName } from './segment-header.ts'
import { scanSegment } from './segment-scan.ts'
import { NEW_SUFFIX } from './segment-store.ts'
import type { Summary } from './summary.ts'
import {
  addBlock,
  countEntries,
  emptySummary,
  encodeFooter,
  encodeTrailer,
  leaveOut,
  TRAILER_BYTES,
  widenArrivals,
} from './summary.ts'

/** What is kept of an end that cannot be told from damage: more than one destroyed block. */
const MAX_TAIL_BYTES = 2 * MAX_BLOCK_BYTES

export interface Rewritten {
  readonly summary: Summary
  readonly bytes: number
  /** What is destroyed in it. Quarantine knows of it when `sealed`. */
  readonly damages: readonly Damage[]
  /** False: the old file had to stay. */
  readonly sealed: boolean
}

export interface RewriteOptions {
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly quarantine: Quarantine
}

/** Only entries below `until` count: the segment behind has the rest. */
export const rewriteSegment = async (
  options: RewriteOptions,
  directory: string,
  file: SegmentFile,
  until: Seq,
): Promise<Rewritten> => {
  const { fileSystem, logger } = options
  const path = join(directory, segmentName(file.first))
  try {
    const handle = await fileSystem.open(path + NEW_SUFFIX, 'replace')
    let copied: Rewritten
    try {
      copied = await new SegmentCopy(file, until, options.quarantine, handle).make()
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fileSystem.rename(path + NEW_SUFFIX, path)
    await fileSystem.syncDirectory(directory)
    logger.info({ segment: segmentName(file.first), lastSeq: copied.summary.last }, 'a segment was repaired')
    return copied
  } catch (error) {
    logger.warn({ segment: segmentName(file.first), error: describe(error) }, 'a segment cannot be repaired')
    await fileSystem.unlink(path + NEW_SUFFIX).catch(() => undefined)
    return new SegmentCopy(file, until, options.quarantine, undefined).make()
  }
}

class SegmentCopy {
  readonly #summary: Summary
  readonly #damages: Damage[] = []
  readonly #file: SegmentFile
  readonly #until: Seq
  readonly #quarantine: Quarantine
  readonly #to: FileHandle | undefined
  #at = SEGMENT_HEADER_BYTES
  #learnt = false

  /** Without a file to write to, only counts. */
  constructor(file: SegmentFile, until: Seq, quarantine: Quarantine, to: FileHandle | undefined) {
    this.#summary = emptySummary(file.first)
    this.#file = file
    this.#until = until
    this.#quarantine = quarantine
    this.#to = to
  }

  async make(): Promise<Rewritten> {
    const file = this.#file
    const header = encodeSegmentHeader(file.header)
    if (this.#to !== undefined) await writeFully(this.#to, header, 0, header.length, 0)
    const { end } = await scanSegment(file, this.#until, {
      block: (block) => this.#block(block),
      broken: async ({ from, to, first, last, why }) => {
        await this.#destroyed({ segment: file.first, from, to, first, last, count: last - first + 1, why })
      },
    })
    await this.#tail(end)
    const damages = this.#damages
    if (this.#to === undefined) return { summary: this.#summary, bytes: await file.end(), damages, sealed: false }
    return { summary: this.#summary, bytes: await seal(this.#summary, file, this.#to, this.#at), damages, sealed: true }
  }

  async #block(block: FoundBlock): Promise<void> {
    const { header } = block
    const file = this.#file
    const lost = count(this.#summary, file, block, this.#at)
    if (this.#to !== undefined) await writeFully(this.#to, block.bytes, block.at, header.length, this.#at)
    this.#at += header.length
    for (const { first, last } of lost)
      await this.#destroyed({
        ...{ segment: file.first, from: block.offset, to: block.offset, first, last, count: last - first + 1 },
        why: 'the definition of a channel is destroyed',
      })
  }

  async #destroyed(damage: Damage): Promise<void> {
    if (damage.to > damage.from) await this.#learnAhead()
    this.#damages.push(damage)
    if (this.#to === undefined) return
    await this.#quarantine.keep(damage, (buffer, length, position) => this.#file.read(buffer, length, position))
  }

  /** What follows the last whole block of a segment that others follow: damage, when seqs are missing there. Nobody knows how many. */
  async #tail(end: number): Promise<void> {
    const file = this.#file
    const { last } = this.#summary
    if (file.summary !== undefined || !Number.isFinite(this.#until) || last >= this.#until - 1) return
    const to = Math.min(await file.end(), end + MAX_TAIL_BYTES)
    if (to <= end || !(await this.#isWritten(end))) return
    const why = 'the end of a segment is destroyed, or was never written'
    await this.#destroyed({ segment: file.first, from: end, to, first: last + 1, last, count: 0, why })
  }

  /** Zeros are what a file is filled with ahead. */
  async #isWritten(offset: number): Promise<boolean> {
    const bytes = Buffer.alloc(BLOCK_HEADER_BYTES)
    await this.#file.read(bytes, bytes.length, offset)
    return bytes.some((byte) => byte !== 0)
  }

  /** Definitions that were destroyed stand again in later blocks. */
  async #learnAhead(): Promise<void> {
    if (this.#learnt) return
    this.#learnt = true
    await scanSegment(this.#file, this.#until, { block: (block) => this.#file.learn(block) })
  }
}

/** Counts a block in; returns the seqs whose channel nobody knows. */
const count = (summary: Summary, file: SegmentFile, block: FoundBlock, at: number): Range[] => {
  file.learn(block)
  const { header } = block
  const decoder = new EntryDecoder(block.bytes, block.at, header, file.dictionary, file.header.bootId)
  const unknown: Range[] = []
  const miss = (first: Seq, last: Seq) => {
    const before = unknown.at(-1)
    if (before?.last === first - 1) unknown[unknown.length - 1] = { first: before.first, last }
    else unknown.push({ first, last })
  }
  let messages = 0
  let lastUs = header.monotonicUs
  let minWallUs = header.wallUs
  let maxWallUs = header.wallUs
  try {
    while (!decoder.done) {
      decoder.glance()
      const { channel, kind } = decoder
      const name = file.dictionary.get(channel)
      if (name !== undefined) countEntries(summary, channel, name, at, 1, decoder.lists)
      else if (channel !== MARK_CHANNEL) miss(decoder.entrySeq, decoder.entrySeq)
      if (kind === 'message') messages++
      lastUs = decoder.monotonicUs
      minWallUs = Math.min(minWallUs, decoder.wallUs)
      maxWallUs = Math.max(maxWallUs, decoder.wallUs)
    }
  } catch (error) {
    // Readers report what they cannot parse; the copy keeps it as it is.
    if (!(error instanceof RangeError)) throw error
    miss(decoder.seq, lastSeq(header))
  }
  addBlock(summary, header, at, messages, lastUs)
  widenArrivals(summary, minWallUs, maxWallUs)
  for (const { first, last } of unknown) leaveOut(summary, last - first + 1)
  summary.last = lastSeq(header)
  return unknown
}

const seal = async (summary: Summary, file: SegmentFile, to: FileHandle, at: number): Promise<number> => {
  summary.sealedBy = 'recovered'
  const footer = encodeFooter(summary, crcSeed(file.header.identity))
  await writeFully(to, footer, 0, footer.length, at)
  const trailer = encodeTrailer({ ...file.header, footerAt: at, footerBytes: footer.length })
  await writeFully(to, trailer, 0, TRAILER_BYTES, at + footer.length)
  return at + footer.length + TRAILER_BYTES
}
