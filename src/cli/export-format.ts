// What `log export` writes: one text for each message, and what stands before and behind all of them. A format that cannot
// hold loss marks or gaps leaves them to standard error.

import type { Decoding, Entry, Gap } from '../core/contract.ts'
import type { LiveReading } from '../live/reading.ts'

export interface Exported {
  readonly entry: Entry
  readonly decoding: Decoding
  /** Those of the devices that were asked for. */
  readonly readings: readonly LiveReading[]
}

export interface ExportFormat {
  readonly head: string
  readonly tail: string
  /** '' where the format has no place for it. */
  message(exported: Exported): string
  /** A loss mark or a clock mark. */
  mark?(entry: Entry): string
  gap?(gap: Gap): string
}
