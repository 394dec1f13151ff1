// Looks for clock marks in the log itself: for boots whose correction is not in the index, because it was lost, or because
// the gateway was killed between the mark and the index. Reads only segments of these boots that can hold a mark.

import type { ClockMark, Seq } from '../core/contract.ts'
import { lastSeq } from './block.ts'
import { parseClockMark } from './clock-mark.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileSystem } from './file-system.ts'
import type { SegmentFacts } from './retention.ts'
import type { FoundBlock } from './segment-file.ts'
import { SegmentFile } from './segment-file.ts'

export interface ClockScanOptions {
  readonly fileSystem: FileSystem
  /** Where the segments are. */
  readonly directory: string
  /** Oldest first. */
  readonly segments: readonly SegmentFacts[]
  readonly signal: AbortSignal
}

/** The first mark of a boot that says that the clock was set; undefined when there is none. Rejects when a file cannot be read. */
export const findClockMark = async (options: ClockScanOptions, bootId: string): Promise<ClockMark | undefined> => {
  const { segments, signal } = options
  for (const [index, facts] of segments.entries()) {
    signal.throwIfAborted()
    if (facts.bootId !== bootId || !mayHoldMark(facts)) continue
    const mark = await scanSegment(options, facts.first, segments[index + 1]?.first ?? Number.POSITIVE_INFINITY)
    if (mark !== undefined) return mark
  }
  return undefined
}

const mayHoldMark = ({ first, last, messages }: SegmentFacts): boolean => last - first + 1 > messages

const scanSegment = async (options: ClockScanOptions, first: Seq, until: Seq): Promise<ClockMark | undefined> => {
  const { fileSystem, directory, signal } = options
  const file = await SegmentFile.open(fileSystem, directory, first)
  if (file === undefined) return undefined
  try {
    let offset: number | undefined = file.start
    while (offset !== undefined) {
      signal.throwIfAborted()
      const block = await file.block(offset)
      if (block?.whole) {
        if (block.header.first >= until) return undefined
        const mark = markIn(block, file, until)
        if (mark !== undefined) return mark
        offset += block.header.length
      } else offset = await file.find(offset + (block?.header.length ?? 0))
    }
    return undefined
  } finally {
    await file.close().catch(() => undefined)
  }
}

const markIn = ({ bytes, at, header }: FoundBlock, file: SegmentFile, until: Seq): ClockMark | undefined => {
  const decoder = new EntryDecoder(bytes, at, header, file.dictionary, file.header.bootId)
  const last = Math.min(lastSeq(header), until - 1)
  try {
    while (decoder.seq <= last) {
      decoder.glance()
      if (decoder.kind !== 'clock') continue
      const mark = parseClockMark(decoder.take()?.payload ?? Buffer.alloc(0))
      if (mark?.reason === 'set' && mark.bootId === file.header.bootId) return mark
    }
  } catch (error) {
    // What does not parse holds no mark.
    if (!(error instanceof RangeError)) throw error
    return undefined
  }
  return undefined
}
