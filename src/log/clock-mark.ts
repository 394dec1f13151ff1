// Clock marks as they stand in the log, JSON in the payload of an entry of kind 'clock', and what follows from them: the
// times of messages that arrived before the clock of their boot was set. The monotonic clock had been right all along, so
// the corrected time is the monotonic one plus what the wall clock turned out to be ahead of it, whatever it had said before.

import type { ClockMark } from '../core/contract.ts'
import type { BlockHeader } from './block.ts'

/** Readers ask here for the boots whose times can be corrected. */
export interface Corrections {
  /**
   * Milliseconds to add to a monotonic time of this boot to get its Unix time; undefined while that is not known. It is only
   * for blocks whose flag says that the wall clock had not been set.
   */
  correction(bootId: string): number | undefined
  /** To be awaited before correction() is asked for this boot; absent where everything is known already. Never rejects. */
  look?(bootId: string): Promise<void>
}

/** For whoever looks at seqs only. */
export const NO_CORRECTIONS: Corrections = { correction: () => undefined }

export const correctionOf = ({ time, monotonicMs }: ClockMark): number => time - monotonicMs

/**
 * Wall clock of a block's first entry, in microseconds: what a filter on arrival compares. Where the clock had not been set,
 * the monotonic one was right, and `correctionMs` makes it a Unix time. The wall clocks in footers and index points are as the
 * clock said it: of a segment whose header says that the clock was not set, they are right only from the set clock on.
 */
export const wallUsOf = (
  header: Pick<BlockHeader, 'synced' | 'wallUs' | 'monotonicUs'>,
  correctionMs: number | undefined,
): number =>
  header.synced || correctionMs === undefined ? header.wallUs : header.monotonicUs + Math.round(correctionMs * 1_000)

export const encodeClockMark = (mark: ClockMark): Buffer => Buffer.from(JSON.stringify(mark))

/** The clock mark in the payload of a 'clock' entry; undefined when it is not one. */
export const parseClockMark = (payload: Buffer): ClockMark | undefined => {
  try {
    const mark: unknown = JSON.parse(payload.toString())
    return isClockMark(mark) ? mark : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const isClockMark = (value: unknown): value is ClockMark =>
  typeof value === 'object' &&
  value !== null &&
  'reason' in value &&
  (value.reason === 'set' || value.reason === 'step') &&
  'bootId' in value &&
  typeof value.bootId === 'string' &&
  'monotonicMs' in value &&
  Number.isFinite(value.monotonicMs) &&
  'offsetMs' in value &&
  Number.isFinite(value.offsetMs) &&
  'time' in value &&
  Number.isFinite(value.time)
