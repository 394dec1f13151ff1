// Writes a segment anew from its whole blocks and seals it. What is damaged in between is kept in quarantine, and the seqs
// it held are reported. When the disk does not let it, the old file stays as it is: readers cope with it.

import { join } from 'node:path'
import type { Logger, Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import { crcSeed, lastSeq } from './block.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { writeFully } from './file-system.ts'
import type { FoundBlock, SegmentFile } from './segment-file.ts'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentName } from './segment-header.ts'
import { NEW_SUFFIX } from './segment-store.ts'
import type { Summary } from './summary.ts'
import { addBlock, emptySummary, encodeFooter, encodeTrailer, TRAILER_BYTES } from './summary.ts'

export interface Hole {
  readonly first: Seq
  readonly last: Seq
}

export interface Rewritten {
  readonly summary: Summary
  readonly bytes: number
  readonly lost: readonly Hole[]
}

export interface RewriteOptions {
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly logger: Logger
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
      copied = await copyBlocks(options, file, until, handle)
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
    return copyBlocks(options, file, until, undefined)
  }
}

/** Without a handle, only counts. */
const copyBlocks = async (
  options: RewriteOptions,
  file: SegmentFile,
  until: Seq,
  to: FileHandle | undefined,
): Promise<Rewritten> => {
  const summary = emptySummary(file.first)
  const lost: Hole[] = []
  const header = encodeSegmentHeader(file.header)
  if (to !== undefined) await writeFully(to, header, 0, header.length, 0)
  let at = SEGMENT_HEADER_BYTES
  let offset = file.start
  for (;;) {
    const block = await file.block(offset)
    if (block?.whole && block.header.first < until) {
      if (block.header.first > summary.last + 1) lost.push({ first: summary.last + 1, last: block.header.first - 1 })
      count(summary, file, block, at)
      if (to !== undefined) await writeFully(to, block.bytes, block.at, block.header.length, at)
      at += block.header.length
      offset += block.header.length
      continue
    }
    if (block?.whole) break
    const next = await file.find(offset + (block?.header.length ?? 0))
    if (next === undefined) break
    if (to !== undefined) await quarantine(options, file, offset, next)
    offset = next
  }
  if (to === undefined) return { summary, bytes: await file.end(), lost }
  return { summary, bytes: await seal(summary, file, to, at), lost }
}

const count = (summary: Summary, file: SegmentFile, block: FoundBlock, at: number): void => {
  file.learn(block)
  const { header } = block
  const decoder = new EntryDecoder(block.bytes, block.at, header, file.dictionary, file.header.bootId)
  let messages = 0
  let lastUs = header.monotonicUs
  try {
    while (!decoder.done) {
      const { channel, kind, monotonicUs } = decoder.glance()
      const known = summary.channels.get(channel)
      const name = known ?? file.dictionary.get(channel)
      if (name !== undefined) summary.channels.set(channel, { ...name, entries: (known?.entries ?? 0) + 1 })
      if (kind === 'message') messages++
      lastUs = monotonicUs
    }
  } catch (error) {
    // Readers report what they cannot parse; the copy keeps it as it is.
    if (!(error instanceof RangeError)) throw error
  }
  addBlock(summary, header, at, messages, lastUs)
  summary.last = lastSeq(header)
}

const seal = async (summary: Summary, file: SegmentFile, to: FileHandle, at: number): Promise<number> => {
  summary.sealedBy = 'recovered'
  const footer = encodeFooter(summary, crcSeed(file.header.identity))
  await writeFully(to, footer, 0, footer.length, at)
  const trailer = encodeTrailer({ ...file.header, footerAt: at, footerBytes: footer.length })
  await writeFully(to, trailer, 0, TRAILER_BYTES, at + footer.length)
  return at + footer.length + TRAILER_BYTES
}

/** Keeps damaged bytes for whoever wants to look; trouble with that is no reason not to start. */
const quarantine = async (options: RewriteOptions, file: SegmentFile, from: number, to: number): Promise<void> => {
  const { fileSystem, logger } = options
  const directory = join(options.directory, 'quarantine')
  const path = join(directory, `${segmentName(file.first)}.${from}-${to}`)
  try {
    const bytes = Buffer.allocUnsafe(to - from)
    const length = await file.read(bytes, bytes.length, from)
    await fileSystem.makeDirectory(directory)
    const handle = await fileSystem.open(path, 'replace')
    try {
      await writeFully(handle, bytes, 0, length, 0)
      await handle.sync()
    } finally {
      await handle.close()
    }
    logger.error({ segment: segmentName(file.first), offset: from, sizeBytes: length }, 'damaged bytes are set aside')
  } catch (error) {
    logger.error({ path, error: describe(error) }, 'damaged bytes cannot be set aside')
  }
}
