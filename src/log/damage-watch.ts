// Looks into holes that readers meet, behind their backs and one at a time: reads them again, sets aside what is destroyed, and
// writes the loss mark. A hint may be wrong, late, partial or given twice; what counts is what is on the disk, and what no
// note tells of yet.

import { join } from 'node:path'
import type { Logger, LossMark, Seq } from '../core/contract.ts'
import { describe, systemCode } from '../core/errors.ts'
import type { LogReader, Range } from '../core/log-contract.ts'
import { NO_CORRECTIONS } from './clock-mark.ts'
import { examineSegment } from './damaged-segment.ts'
import type { FileSystem } from './file-system.ts'
import { readFully } from './file-system.ts'
import { MAX_WAITING_DAMAGE } from './limits.ts'
import { parseLossMark } from './loss-mark.ts'
import type { Quarantine, ReadBytes } from './quarantine.ts'
import { markOf } from './quarantine.ts'
import type { Damage, Note } from './quarantine-note.ts'
import { without } from './ranges.ts'
import { openReader } from './reader.ts'
import { listSegments, SegmentFile } from './segment-file.ts'
import { segmentName } from './segment-header.ts'

export interface DamageWatchOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly quarantine: Quarantine
  readonly durable: () => Seq
  readonly recordLoss: (loss: Omit<LossMark, 'time'>) => Promise<Seq>
}

export class DamageWatch {
  readonly #options: DamageWatchOptions
  readonly #directory: string
  #waiting: Range[] = []
  #working: Promise<void> | undefined
  #closed = false

  constructor(options: DamageWatchOptions) {
    this.#options = options
    this.#directory = join(options.directory, 'log')
  }

  /** A reader met nothing readable from first to last. Cheap; may be called for the same hole again and again. */
  found(first: Seq, last: Seq): void {
    if (this.#closed || this.#waiting.length >= MAX_WAITING_DAMAGE) return
    if (this.#waiting.some((range) => range.first <= first && range.last >= last)) return
    this.#waiting.push({ first, last })
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
  }

  /** A reader that tells of the holes it meets. */
  watched(reader: LogReader): LogReader {
    return {
      read: async (after, limit, filter) => {
        const result = await reader.read(after, limit, filter)
        for (const { first, last, reason } of result.gaps) if (reason === 'corrupt') this.found(first, last)
        return result
      },
      close: () => reader.close(),
    }
  }

  /** Writes the loss mark that a note owes. Resolves when that is done, or put off to the next start. */
  async tell(note: Note): Promise<void> {
    const { recordLoss, quarantine, logger } = this.#options
    try {
      await recordLoss(markOf(note))
      await quarantine.settle(note)
    } catch (error) {
      logger.warn({ error: describe(error) }, 'a loss mark could not be written; its note is kept for the next start')
    }
  }

  /** Resolves when what is being done is done. Call when the writer is closed: then nothing waits for the disk any more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#waiting = []
    await this.#working
  }

  async #work(): Promise<void> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      try {
        const known = await this.#options.quarantine.known()
        for (const hole of without(known, next.first, next.last))
          for (const loss of await this.#confirmed(hole)) await this.#record(loss)
      } catch (error) {
        this.#options.logger.warn(
          { error: describe(error) },
          'damage could not be looked into; it is when it is met again',
        )
      }
      this.#waiting.shift()
    }
  }

  /** What of it is destroyed, as a reader of its own sees it, without what a mark behind it explains. */
  async #confirmed({ first, last }: Range): Promise<Range[]> {
    const { directory, fileSystem, durable } = this.#options
    const reader = openReader({ directory, fileSystem, durable, clocks: NO_CORRECTIONS })
    const holes: Range[] = []
    try {
      for (let after = first - 1; after < last; ) {
        const { entries, gaps, next } = await reader.read(after, { entries: 1, bytes: 1 })
        if (next === after) break
        const [entry] = entries
        const mark = entry?.kind === 'loss' ? parseLossMark(entry.payload) : undefined
        for (const gap of gaps) {
          const explained = mark !== undefined && mark.first <= gap.first && mark.last >= gap.last
          const hole = { first: Math.max(first, gap.first), last: Math.min(last, gap.last) }
          if (gap.reason === 'corrupt' && !explained && hole.first <= hole.last) holes.push(hole)
        }
        after = next
      }
    } finally {
      await reader.close()
    }
    return holes
  }

  /** The bytes that are destroyed there, with all the seqs that go with them; then what is missing without a trace. */
  async #record(hole: Range): Promise<void> {
    const { fileSystem, quarantine } = this.#options
    const { segments } = await listSegments(fileSystem, this.#directory)
    const before = segments.findLast((first) => first <= hole.first) ?? hole.first
    for (const [index, first] of segments.entries()) {
      const until = segments[index + 1] ?? Number.POSITIVE_INFINITY
      if (until > hole.first && first <= hole.last)
        await this.#examine(first, Math.min(until, this.#options.durable() + 1))
    }
    for (const { first, last } of without(await quarantine.known(), hole.first, hole.last)) {
      const why = 'nothing is left of it; the count is the most that it may have been'
      await this.#keep({ segment: before, from: 0, to: 0, first, last, count: last - first + 1, why }, undefined)
    }
  }

  async #examine(first: Seq, until: Seq): Promise<void> {
    const { fileSystem } = this.#options
    const path = join(this.#directory, segmentName(first))
    try {
      const file = await SegmentFile.open(fileSystem, this.#directory, first)
      if (file === undefined) {
        const why = 'a segment without a readable header; the count is the most that it may have held'
        const to = await fileSystem.size(path)
        const damage = { segment: first, from: 0, to, first, last: until - 1, count: until - first, why }
        await this.#keep(damage, readerOf(fileSystem, path))
        return
      }
      try {
        const read: ReadBytes = (buffer, length, position) => file.read(buffer, length, position)
        for (const damage of await examineSegment(file, until)) await this.#keep(damage, read)
      } finally {
        await file.close()
      }
    } catch (error) {
      // Retention took it meanwhile.
      if (systemCode(error) !== 'ENOENT') throw error
    }
  }

  async #keep(damage: Damage, read: ReadBytes | undefined): Promise<void> {
    const { quarantine, logger, recordLoss } = this.#options
    try {
      const note = await quarantine.keep(damage, read).catch((error: unknown) => {
        // Where the bytes cannot be kept or read, the note still may.
        logger.warn({ error: describe(error) }, 'damaged bytes cannot be set aside')
        return quarantine.keep(damage)
      })
      if (note !== undefined) await this.tell(note)
    } catch (error) {
      logger.error(
        { error: describe(error) },
        'no note of the damage can be kept; it is told again after the next start',
      )
      await quarantine.remember(damage.first, damage.last)
      await recordLoss(markOf(damage))
    }
  }
}

const readerOf =
  (fileSystem: FileSystem, path: string): ReadBytes =>
  async (buffer, length, position) => {
    const handle = await fileSystem.open(path, 'read')
    try {
      return await readFully(handle, buffer, 0, length, position)
    } finally {
      await handle.close()
    }
  }
