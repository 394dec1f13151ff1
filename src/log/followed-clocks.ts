// The corrections of a log that somebody else writes, in another thread or process: read from its index when they are
// needed, and looked for again while they are not there. Trouble with the index never keeps anybody from reading.

import { readClockIndex } from './clock-index.ts'
import type { Corrections } from './clock-mark.ts'
import type { FileSystem } from './file-system.ts'

/** While a correction is missing, the index is looked at again at most this often. */
const LOOK_AGAIN_MS = 200

export class FollowedClocks implements Corrections {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  #index: ReadonlyMap<string, number | undefined> = new Map()
  #lookedMs = Number.NEGATIVE_INFINITY

  /** `directory`: where the segments are. */
  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem
    this.#directory = directory
  }

  correction(bootId: string): number | undefined {
    return this.#index.get(bootId)
  }

  /** Call it before correction() for a boot that needs one. */
  async look(bootId: string): Promise<void> {
    const nowMs = performance.now()
    if (this.#index.get(bootId) !== undefined || nowMs - this.#lookedMs < LOOK_AGAIN_MS) return
    this.#lookedMs = nowMs
    // What was known stays known: the file may be on its way.
    const found = await readClockIndex(this.#fileSystem, this.#directory).catch(() => this.#index)
    if (found.size > 0) this.#index = found
  }
}
