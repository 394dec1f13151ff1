// Finds the loss marks of earlier runs, so that what was lost is shown after a restart too. Newest segments first, only the
// stretches in which a footer says that marks stand, a block at a time with the event loop in between, and never more than a
// bound: it runs behind the back of ingest.

import { setImmediate as turn } from 'node:timers/promises'
import type { LossMark, Seq } from '../core/contract.ts'
import { systemCode } from '../core/errors.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileSystem } from './file-system.ts'
import type { UnsetArrival } from './loss-mark.ts'
import { parseLossMark } from './loss-mark.ts'
import type { SegmentFacts } from './retention.ts'
import type { FoundBlock } from './segment-file.ts'
import { SegmentFile } from './segment-file.ts'
import { markSteps } from './steps.ts'

/** A mark, and when it was written if the clock had not been set. */
export interface FoundLoss {
  readonly mark: LossMark
  readonly unset: UnsetArrival | undefined
}

export interface LossScanOptions {
  readonly fileSystem: FileSystem
  /** Where the segments are. */
  readonly directory: string
  /** Oldest first. */
  readonly segments: readonly SegmentFacts[]
  /** Marks behind it are the present run's own. */
  readonly last: Seq
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/**
 * Gives the marks of one segment after the other, newest segment first, each segment's oldest first. Resolves with false
 * when there is more than the bound lets it read.
 */
export const scanLosses = async (
  options: LossScanOptions,
  found: (losses: readonly FoundLoss[]) => void,
): Promise<boolean> => {
  let bytes = 0
  for (const { first, last, messages } of [...options.segments].reverse()) {
    if (last - first + 1 === messages) continue
    if (bytes >= options.maxBytes) return false
    options.signal.throwIfAborted()
    const file = await openOrNothing(options, first)
    if (file === undefined) continue
    try {
      found(await marksIn(file, options))
      bytes += file.readBytes
    } finally {
      await file.close()
    }
  }
  return true
}

/** Undefined for a segment that went meanwhile, or cannot be read. */
const openOrNothing = async ({ fileSystem, directory }: LossScanOptions, first: Seq) => {
  try {
    return await SegmentFile.open(fileSystem, directory, first)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

const marksIn = async (file: SegmentFile, options: LossScanOptions): Promise<FoundLoss[]> => {
  const marks: FoundLoss[] = []
  for (const { from, to } of await stretches(file)) {
    let offset: number | undefined = from
    while (offset !== undefined && offset < to) {
      options.signal.throwIfAborted()
      const block = await file.block(offset, to - offset)
      if (block?.whole && block.header.first <= options.last) collect(file, block, options.last, marks)
      offset = block?.whole ? offset + block.header.length : await file.find(offset + (block?.header.length ?? 0))
      await turn()
    }
  }
  return marks
}

/** Where marks can be: all of a segment without a footer, else from index point to index point. */
const stretches = async (file: SegmentFile): Promise<{ from: number; to: number }[]> => {
  const { summary } = file
  const end = await file.end()
  if (summary === undefined) return [{ from: file.start, to: end }]
  if (summary.entries === summary.messages) return []
  const { index } = summary
  const marked = new Uint8Array(index.length)
  markSteps(summary.markSteps, marked)
  const found: { from: number; to: number }[] = []
  for (const [step, point] of index.entries())
    if (marked[step] === 1) found.push({ from: point.offset, to: index[step + 1]?.offset ?? end })
  return found
}

const collect = (file: SegmentFile, { bytes, at, header }: FoundBlock, last: Seq, into: FoundLoss[]): void => {
  const { bootId } = file.header
  const decoder = new EntryDecoder(bytes, at, header, file.dictionary, bootId)
  try {
    while (!decoder.done) {
      decoder.glance()
      if (decoder.kind !== 'loss' || decoder.entrySeq > last) continue
      const payload = decoder.take()?.payload
      const mark = payload === undefined ? undefined : parseLossMark(payload)
      if (mark === undefined) continue
      into.push({ mark, unset: header.synced ? undefined : { bootId, monotonicMs: decoder.monotonicUs / 1_000 } })
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
}
