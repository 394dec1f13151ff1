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
  /** Their marks are on the way. */
  #owed: readonly Loss[] = []
  /** What of that is in the file. */
  #saved: readonly Loss[] = []
  /** The file is written by one at a time. */
  #saving: Promise<void> = Promise.resolve()
  /** Up to here, marks became durable. */
  #markedUpTo: Seq = 0

  constructor(options: OwedLossesOptions) {
    this.#options = options
  }

  /** Appends the marks that an earlier run owes, and returns them. They come twice when it stopped between mark and file. */
  async open(): Promise<readonly Loss[]> {
    const { file, logger } = this.#options
    try {
      const saved = await file.open()
      this.#saved = saved
      // This run may owe something already.
      this.#owed = [...saved, ...this.#owed]
      for (const loss of saved) this.#redeem(loss, this.#options.recordLoss(loss))
      return saved
    } catch (error) {
      logger.warn({ error: describe(error) }, 'the file of owed losses cannot be used')
      return []
    }
  }

  /** What is lost up to here needs no other mark, whether it could be made durable yet or not. */
  get markedUpTo(): Seq {
    return this.#owed.reduce((seq, { last }) => Math.max(seq, last), this.#markedUpTo)
  }

  /**
   * Resolves once the loss is durable, as a mark or as one that is owed, and with it everything that is owed. Without a loss,
   * that is all. When it rejects, the mark may come nevertheless.
   */
  async record(loss: Loss | undefined): Promise<void> {
    if (loss !== undefined) {
      const marked = this.#options.recordLoss(loss)
      if (await this.#isMarked(marked)) {
        this.#markedUpTo = Math.max(this.#markedUpTo, loss.last)
        return
      }
      this.#owed = [...this.#owed, loss]
      this.#redeem(loss, marked)
    }
    await this.#save()
  }

  /** Resolves when the file is not being written any more; never rejects. */
  async close(): Promise<void> {
    await this.#saving.catch(() => undefined)
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
    const { logger } = this.#options
    const withoutIt = () => {
      this.#owed = this.#owed.filter((other) => other !== loss)
    }
    marked
      .then(
        () => {
          withoutIt()
          this.#markedUpTo = Math.max(this.#markedUpTo, loss.last)
          return this.#save()
        },
        async (error: unknown) => {
          await this.#saving.catch(() => undefined)
          // Neither here nor there: what it names is still in the log, and is told of when it goes.
          if (!this.#saved.includes(loss)) withoutIt()
          throw error
        },
      )
      .catch((error: unknown) =>
        logger.warn({ error: describe(error) }, 'a loss is still owed; the next start tells of it'),
      )
  }

  /** Writes the file, unless it says what is owed. */
  #save(): Promise<void> {
    this.#saving = this.#saving
      .catch(() => undefined)
      .then(async () => {
        const owed = this.#owed
        if (owed.length === this.#saved.length && owed.every((loss) => this.#saved.includes(loss))) return
        await this.#options.file.write(owed)
        this.#saved = owed
      })
    return this.#saving
  }
}
