// What is known about one kind of sentence.

import type { Report } from './report.ts'

/** A nautical mile (1852 m) an hour, in metres a second. */
export const KNOT = 1852 / 3600

export interface NmeaOptions {
  readonly checksum: 'verified' | 'required'
  readonly satellites: boolean
}

export interface SentenceType {
  /** As many the oldest version of the sentence has; one with fewer was cut off. */
  readonly fields: number
  /** The field with the time of day. */
  readonly time?: number
  /** Whether it says itself that it has no fix: its time is then no better. */
  invalid?(report: Report): boolean
  read(report: Report, options: NmeaOptions): void
}
