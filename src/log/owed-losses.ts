// Sees to it that a loss is on the disk before what it names goes: as a mark in the log, or, while the log takes nothing, in
// the file of owed losses, until the mark is durable after all. So a full disk cannot keep the log from making room.

import type { Logger, Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import { delay } from '../core/time.ts'
import type { Loss, OwedFile } from './owed-file.ts'

/** How often it is looked whether the log has begun to refuse what waits. */
const CHECK_MS = 100

export interface OwedLossesOptions {
  readonly file: OwedFile
  readonly logger: Logger
  /** Appends a mark; resolves once it is durable. */
  readonly recordLoss: (loss: Loss) => Promise<Seq>
  /** The log takes nothing now. */
  readonly refusing: () => boolean
}

export class OwedLosses {
  readonly #options: OwedLossesOptions
  /** In the file: their marks are on the way. */
  #owed: readonly Loss[] = []

  constructor(options: OwedLossesOptions) {
    this.#options = options
  }

  /** Appends the marks that an earlier run owes, and returns them. They come twice when it stopped between mark and file. */
  async open(): Promise<readonly Loss[]> {
    const { file, logger } = this.#options
    try {
      this.#owed = await file.open()
      for (const loss of this.#owed) this.#redeem(loss, this.#options.recordLoss(loss))
      return this.#owed
    } catch (error) {
      logger.warn({ error: describe(error) }, 'the file of owed losses cannot be used')
      return []
    }
  }

  /** Resolves once the loss is durable, as a mark or as one that is owed. */
  async record(loss: Loss): Promise<void> {
    const marked = this.#options.recordLoss(loss)
    if (await this.#isMarked(marked)) return
    this.#redeem(loss, marked)
    this.#owed = [...this.#owed, loss]
    await this.#options.file.write(this.#owed)
  }

  /** Resolves once the mark is in the log; rejects when the log refuses, and the mark comes later. */
  async markOnly(loss: Loss): Promise<void> {
    if (!(await this.#isMarked(this.#options.recordLoss(loss)))) throw new Error('the log takes no mark now')
  }

  /** False when the log refuses before the mark is durable. */
  async #isMarked(marked: Promise<Seq>): Promise<boolean> {
    const over = new AbortController()
    return Promise.race([marked.then(() => true), this.#refused(over.signal)]).finally(() => over.abort())
  }

  async #refused(signal: AbortSignal): Promise<false> {
    while (!this.#options.refusing()) await delay(CHECK_MS, signal)
    return false
  }

  #redeem(loss: Loss, marked: Promise<Seq>): void {
    const { file, logger } = this.#options
    marked
      .then(() => {
        this.#owed = this.#owed.filter((other) => other !== loss)
        return file.write(this.#owed)
      })
      .catch((error: unknown) =>
        logger.warn({ error: describe(error) }, 'a loss is still owed; the next start tells of it'),
      )
  }
}
