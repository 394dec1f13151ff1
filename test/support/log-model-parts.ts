// What goes into a history that is played, besides its steps, and what comes out of it.

import type { Log } from '../../src/core/log-contract.ts'
import type { openCursor } from '../../src/log/cursor.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import type { LogOptions } from '../../src/log/log.ts'

/** The parts that a test of the test breaks. */
export interface Parts {
  readonly openLog?: (options: LogOptions) => Promise<Log>
  readonly openCursor?: typeof openCursor
  /** Stands between the log and the disk. */
  readonly between?: (disk: FileSystem) => FileSystem
}

/** How much there was of everything. */
export interface Outcome {
  readonly calls: number
  readonly crashes: number
  readonly promised: number
  readonly refusals: number
  readonly refusedStarts: number
}
