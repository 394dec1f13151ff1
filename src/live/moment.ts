// When something happened, as the log tells it: its seq, and a time that may have to be corrected once the clock is set.

import type { Doubt, Entry, Seq, UnixMs } from '../core/contract.ts'

export interface Moment {
  readonly seq: Seq
  readonly timeMs: UnixMs
  /** Where the time was read from a clock that was not set. */
  readonly unsynced?: { readonly monotonicMs: number; readonly bootId: string }
}

export interface ShownMoment {
  readonly seq: Seq
  readonly time: string
}

/** Since when a value is in doubt, and why. */
export interface ValueDoubt {
  readonly quality: Doubt['reason']
  readonly since: Moment
}

export const momentOf = ({ seq, receivedAt, timeQuality, monotonicMs, bootId }: Entry): Moment =>
  timeQuality === 'unsynced'
    ? { seq, timeMs: receivedAt, unsynced: { monotonicMs, bootId } }
    : { seq, timeMs: receivedAt }

/** The same moment with its right time, now that one of its boot is known. */
export const correctedMoment = (moment: Moment, bootId: string, correctionMs: number): Moment =>
  moment.unsynced?.bootId === bootId ? { seq: moment.seq, timeMs: moment.unsynced.monotonicMs + correctionMs } : moment

export const shownMoment = ({ seq, timeMs }: Moment): ShownMoment => ({ seq, time: isoTime(timeMs) })

export const isoTime = (ms: UnixMs): string => new Date(ms).toISOString()
