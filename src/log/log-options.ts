// What the log is opened with. Types and the sizes that follow from them.

import type { Clock, Logger, Meter } from '../core/contract.ts'
import type { FileSystem } from './file-system.ts'
import type { KeepPolicy, OfDevice } from './keep.ts'
import {
  BLOCK_TARGET_BYTES,
  BLOCK_TARGET_MIN_BYTES,
  MAX_QUARANTINE_BYTES,
  MAX_SEGMENT_BYTES,
  MIN_SEGMENT_BYTES,
  SEGMENTS_PER_LOG,
} from './limits.ts'

export interface LogOptions {
  /** The data directory; the log makes `log`, `quarantine` and `cursors` in it. */
  readonly directory: string
  /** Name of the gateway, written into every segment. */
  readonly gateway: string
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
  readonly fileSystem: FileSystem
  /** Takes an exclusive lock on an open file; false when somebody else holds it. */
  readonly tryLock: (fd: number) => boolean
  /** How long a message may wait for company before the fsync; 0 commits in the next turn. */
  readonly commitDelayMs: number
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** Of the file system; with less, nothing is acknowledged. */
  readonly minFreeBytes: number
  /** What happens to messages that no sink has settled yet when the log is full. */
  readonly whenFull: 'dropOldest' | 'refuse'
  /** What of old segments stays when there is no room for all; none by default. */
  readonly keep?: readonly KeepPolicy[]
  /** For policies by device; by default the topic is the device. */
  readonly ofDevice?: OfDevice
  /** How long retention waits for the first settledUpTo(), which says what needs no loss mark; 0 by default. */
  readonly settledWithinMs?: number
  /** Size of a segment; follows from maxBytes by default. */
  readonly segmentBytes?: number
}

export const segmentBytesFor = (options: Pick<LogOptions, 'maxBytes' | 'segmentBytes'>): number =>
  options.segmentBytes ??
  Math.floor(Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, options.maxBytes / SEGMENTS_PER_LOG)))

export const blockBytesFor = (segmentBytes: number): number =>
  Math.floor(Math.min(BLOCK_TARGET_BYTES, Math.max(BLOCK_TARGET_MIN_BYTES, segmentBytes / 4)))

export const quarantineBytesFor = ({ maxBytes }: Pick<LogOptions, 'maxBytes'>): number =>
  Math.floor(Math.min(MAX_QUARANTINE_BYTES, Math.max(MIN_SEGMENT_BYTES, maxBytes / SEGMENTS_PER_LOG)))
