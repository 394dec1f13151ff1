// The writer's side of clock marks: appends them, knows by what the times of each boot are to be corrected, keeps the index
// for everybody else, and finds what is missing in it. The mark is durable before the index says so; a stop between the two
// is made good at the next start. Nothing here keeps the log from starting, or from taking messages.

import { join } from 'node:path'
import type { Clock, ClockMark, EntryKind, Logger, Message, Meter, Seq, Settled } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import { delay, retryDelayMs } from '../core/time.ts'
import { readClockIndex, writeClockIndex } from './clock-index.ts'
import { type Corrections, correctionOf, encodeClockMark } from './clock-mark.ts'
import { findClockMark } from './clock-scan.ts'
import type { FileSystem } from './file-system.ts'
import type { SegmentFacts } from './retention.ts'

/** Of the index, while the disk does not take it. */
const RETRY = { baseMs: 500, capMs: 60_000 }

export interface ClockMarksOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
  readonly append: (kind: EntryKind, message: Message, settled: Settled) => void
  /** Segments that take no more, oldest first. */
  readonly segments: () => readonly SegmentFacts[]
  readonly onWritten: (bytes: number) => void
}

export class ClockMarks implements Corrections {
  readonly #options: ClockMarksOptions
  readonly #directory: string
  readonly #listeners = new Set<(bootId: string, correctionMs: number) => void>()
  readonly #abort = new AbortController()
  /** Undefined for boots whose clock was never set. */
  #index = new Map<string, number | undefined>()
  #searching: Promise<void> | undefined
  #writing: Promise<void> | undefined
  #stale = false

  constructor(options: ClockMarksOptions) {
    this.#options = options
    this.#directory = join(options.directory, 'log')
  }

  correction(bootId: string): number | undefined {
    return this.#index.get(bootId)
  }

  /** Called when a correction is known that was not. Returns the listener's removal. */
  onCorrection(listener: (bootId: string, correctionMs: number) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Called once, when the log can be appended to. What is not in the index is looked for in the background. */
  async start(): Promise<void> {
    const { fileSystem, clock, logger, segments } = this.#options
    try {
      this.#index = await readClockIndex(fileSystem, this.#directory)
    } catch (error) {
      logger.warn({ error: describe(error) }, 'the index of clock marks cannot be read; it is made anew')
    }
    const unset = segments().filter(({ bootId, synced }) => bootId !== '' && !synced && !this.#index.has(bootId))
    const own = unset.find(({ bootId }) => bootId === clock.bootId)
    if (own !== undefined && clock.synced()) this.#recordLate(own)
    const missing = new Set(unset.map(({ bootId }) => bootId))
    if (own !== undefined && clock.synced()) missing.delete(clock.bootId)
    if (missing.size > 0) this.#searching = this.#search([...missing])
  }

  /** Appends a mark; resolves once it is durable. What it says holds from now on. */
  record(mark: ClockMark): Promise<Seq> {
    this.#options.meter.add('clock_marks_total', { reason: mark.reason })
    // Later steps change nothing about times that the clock had been set for.
    if (mark.reason === 'set' && this.correction(mark.bootId) === undefined)
      this.#learn(mark.bootId, correctionOf(mark))
    const message: Message = { topic: '', source: '', payload: encodeClockMark(mark), qos: 0, retain: false }
    return new Promise((resolve, reject) => {
      this.#options.append('clock', message, (error, seq) => {
        if (error !== undefined) {
          reject(error)
          return
        }
        if (mark.reason === 'set') this.#save()
        resolve(seq)
      })
    })
  }

  /** Idempotent, never throws. */
  async close(): Promise<void> {
    this.#abort.abort()
    this.#listeners.clear()
    await Promise.all([this.#searching, this.#writing])
  }

  /** An earlier run in this boot ended before the clock was set, or before it could say so. */
  #recordLate({ createdMs, createdMonotonicMs }: SegmentFacts): void {
    const { clock, logger } = this.#options
    const monotonicMs = clock.monotonicMs()
    const time = clock.wallMs()
    const offsetMs = time - monotonicMs - (createdMs - createdMonotonicMs)
    this.record({ reason: 'set', bootId: clock.bootId, monotonicMs, offsetMs, time }).catch((error: unknown) => {
      // The next start in this boot finds the same.
      logger.warn({ error: describe(error) }, 'a clock mark could not be written')
    })
  }

  #learn(bootId: string, correctionMs: number): void {
    this.#index.delete(bootId)
    this.#index.set(bootId, correctionMs)
    for (const listener of this.#listeners) listener(bootId, correctionMs)
  }

  async #search(bootIds: readonly string[]): Promise<void> {
    const { fileSystem, clock, logger, segments } = this.#options
    const { signal } = this.#abort
    const options = { fileSystem, directory: this.#directory, segments: segments(), signal }
    for (const bootId of bootIds) {
      try {
        const mark = await findClockMark(options, bootId)
        if (mark !== undefined) {
          logger.info({ bootId }, 'a clock mark was found in the log')
          this.#learn(bootId, correctionOf(mark))
        } else if (bootId !== clock.bootId) this.#index.set(bootId, undefined)
        else continue
        this.#save()
      } catch (error) {
        // Retention may take a segment away meanwhile; the next start looks again.
        if (signal.aborted) return
        logger.debug({ bootId, error: describe(error) }, 'the log cannot be searched for clock marks')
      }
    }
  }

  /** Writes the index, in the background, until the disk has taken it. */
  #save(): void {
    this.#stale = true
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  async #write(): Promise<void> {
    const { fileSystem, logger, onWritten } = this.#options
    for (let attempt = 0; this.#stale; ) {
      this.#stale = false
      try {
        onWritten(await writeClockIndex(fileSystem, this.#directory, this.#current()))
      } catch (error) {
        this.#stale = true
        if (attempt === 0)
          logger.warn({ error: describe(error) }, 'the index of clock marks cannot be written; it is tried again')
        if (this.#abort.signal.aborted) return
        // The abort ends the pause, and the loop after one more attempt.
        await delay(retryDelayMs(attempt++, RETRY), this.#abort.signal).catch(() => undefined)
      }
    }
  }

  /** Without the boots that retention took. */
  #current(): ReadonlyMap<string, number | undefined> {
    const { segments, clock } = this.#options
    const boots = new Set(segments().map(({ bootId }) => bootId)).add(clock.bootId)
    this.#index = new Map([...this.#index].filter(([bootId]) => boots.has(bootId)))
    return this.#index
  }
}
