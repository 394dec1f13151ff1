// What is in a data directory, without changing anything and without the lock: works while a gateway writes to it. Whatever
// looks damaged is looked at again, since a writer may just be at it; only what stays so is reported.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { LossMark, Seq, TimeQuality, UnixMs } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import type { Range } from '../core/log-contract.ts'
import { MAX_SHOWN_LOSSES } from '../core/loss.ts'
import { NO_CORRECTIONS } from './clock-mark.ts'
import type { CursorReport } from './cursor-report.ts'
import { cursorDamages, inspectCursors } from './cursor-report.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import { FollowedClocks } from './followed-clocks.ts'
import type { SegmentDamage } from './inspect-segment.ts'
import { inspectSegmentFile } from './inspect-segment.ts'
import { MAX_QUARANTINE_NOTES } from './limits.ts'
import type { Note } from './quarantine-note.ts'
import { readNotes } from './quarantine-note.ts'
import { addRange, without } from './ranges.ts'
import { openReader } from './reader.ts'
import { listSegments, SegmentFile } from './segment-file.ts'
import type { SegmentHeader } from './segment-header.ts'
import { segmentName } from './segment-header.ts'
import { SPARE_NAME } from './segment-store.ts'
import type { SealedBy, Summary } from './summary.ts'

export interface InspectOptions {
  readonly fileSystem?: FileSystem
  /** Reads every block, also those of sealed segments, whose footer is trusted otherwise. */
  readonly verify?: boolean
  /** False: nobody writes to it, so that what looks damaged need not be looked at again. True by default. */
  readonly live?: boolean
  /** Called after each segment. */
  readonly progress?: (done: number, total: number) => void
}

export interface LogReport {
  readonly directory: string
  /** Undefined for an empty log. */
  readonly logId?: string
  readonly gateway?: string
  readonly formatVersion?: number
  /** Oldest and newest seq that are there; 0 in an empty log. */
  readonly first: Seq
  readonly last: Seq
  readonly bytes: number
  readonly segments: readonly SegmentReport[]
  readonly spareBytes: number
  /** Everything that is wrong, in the order of the log; damageText() makes a line of each. Nothing: the log is sound. */
  readonly damages: readonly DamageReport[]
  /** Files and byte ranges that were set aside. */
  readonly quarantined: readonly string[]
  /** What is known about them. */
  readonly notes: readonly Note[]
  readonly cursors: readonly CursorReport[]
  /** Messages lost by reason, as the loss marks tell; only when everything was read. */
  readonly lost?: Readonly<Record<string, number>>
  /** The newest loss marks, newest last; only when everything was read. */
  readonly losses?: readonly LossMark[]
}

export interface DamageReport extends SegmentDamage {
  /** Below the data directory. */
  readonly file: string
}

export interface SegmentReport {
  readonly file: string
  readonly first: Seq
  /** One before the first when it is empty. */
  readonly last: Seq
  readonly entries: number
  readonly bytes: number
  /** 'open' for the one that is written to, and for one that was not closed. */
  readonly state: SealedBy | 'open'
  readonly fromMs?: UnixMs
  readonly toMs?: UnixMs
  /** Of these times, where some are from before the clock was set. */
  readonly timeQuality?: TimeQuality
  /** One line for each thing that is wrong. */
  readonly damage: readonly string[]
}

/** How often what looks damaged is looked at again, and after how long: more than a writer stays between two writes. */
const LOOKS = 4
const LOOKS_IF_SEALED = 2
const LOOK_AGAIN_MS = 250

/** Rejects with TG_DATA_UNUSABLE when there is no log to read, and with TG_LOG_NEWER. */
export const inspectLog = async (directory: string, options: InspectOptions = {}): Promise<LogReport> => {
  try {
    return await new Inspection(directory, options).report()
  } catch (error) {
    if (error instanceof TidegateError) throw error
    throw new TidegateError('TG_DATA_UNUSABLE', `the log in ${directory} cannot be read: ${describe(error)}`, {
      cause: error,
    })
  }
}

/** One line: which file, which bytes, which seqs, and what is wrong. */
export const damageText = ({ file, from, to, first, last, why }: DamageReport): string => {
  const bytes = from === undefined || to === undefined || to <= from ? '' : `, bytes ${from} to ${to - 1}`
  const seqs =
    first === undefined || last === undefined ? '' : `, seq ${first === last ? first : `${first} to ${last}`}`
  return `${file}${bytes}${seqs}: ${why}`
}

interface Inspected {
  readonly report: SegmentReport
  readonly header?: SegmentHeader
  readonly damages: readonly DamageReport[]
  readonly holes: readonly Range[]
  readonly marks: readonly LossMark[]
}

class Inspection {
  readonly #directory: string
  readonly #log: string
  readonly #fileSystem: FileSystem
  readonly #clocks: FollowedClocks
  readonly #verify: boolean
  readonly #live: boolean
  readonly #progress: (done: number, total: number) => void
  readonly #damages: DamageReport[] = []
  readonly #lost: Record<string, number> = {}
  #losses: LossMark[] = []
  /** Seqs that a loss mark or a note tells of. */
  #told: readonly Range[] = []
  readonly #holes: { readonly range: Range; readonly file: string }[] = []

  constructor(directory: string, options: InspectOptions) {
    this.#directory = directory
    this.#log = join(directory, 'log')
    this.#fileSystem = options.fileSystem ?? nodeFileSystem()
    this.#clocks = new FollowedClocks(this.#fileSystem, this.#log)
    this.#verify = options.verify ?? false
    this.#live = options.live ?? true
    this.#progress = options.progress ?? (() => undefined)
  }

  async report(): Promise<LogReport> {
    const fileSystem = this.#fileSystem
    // Before the log: what a cursor has passed by then is in the log that is read after it.
    const cursors = await inspectCursors(fileSystem, join(this.#directory, 'cursors'), this.#live)
    const { others } = await listSegments(fileSystem, this.#log)
    const inspected = await this.#segments()
    const segments = inspected.map(({ report }) => report)
    const header = inspected.findLast((one) => one.header !== undefined && one.header.logId !== '')?.header
    const spareBytes = others.includes(SPARE_NAME) ? await sizeOf(fileSystem, join(this.#log, SPARE_NAME)) : 0
    const quarantine = join(this.#directory, 'quarantine')
    const { files, notes } = await readNotes(fileSystem, quarantine)
    const last = segments.findLast((segment) => segment.last >= segment.first)?.last ?? 0
    if (this.#verify) await this.#reportHoles(notes)
    this.#damages.push(...cursorDamages(cursors, segments.length === 0 ? undefined : last))
    return {
      directory: this.#directory,
      ...(header === undefined ? {} : { logId: header.logId, gateway: header.gateway, formatVersion: header.version }),
      first: segments[0]?.first ?? 0,
      last,
      bytes: segments.reduce((sum, segment) => sum + segment.bytes, spareBytes),
      segments,
      spareBytes,
      damages: this.#damages,
      quarantined: files,
      notes,
      cursors,
      ...(this.#verify ? { lost: this.#lost, losses: this.#losses } : {}),
    }
  }

  async #segments(): Promise<Inspected[]> {
    const { segments: names } = await listSegments(this.#fileSystem, this.#log)
    const inspected: Inspected[] = []
    for (const [index, first] of names.entries()) {
      const one = await this.#segment(first, names[index + 1] ?? Number.POSITIVE_INFINITY)
      this.#progress(index + 1, names.length)
      // Retention took it meanwhile.
      if (one === undefined) continue
      const { report } = one
      const before = inspected.at(-1)?.report
      if (before !== undefined && before.last < report.first - 1)
        this.#holes.push({ file: `log/${report.file}`, range: { first: before.last + 1, last: report.first - 1 } })
      for (const range of one.holes) this.#holes.push({ file: `log/${report.file}`, range })
      for (const mark of one.marks) this.#lose(mark)
      this.#damages.push(...one.damages)
      inspected.push({ ...one, damages: [], holes: [], marks: [] })
    }
    return inspected
  }

  /** What is sealed does not change, but it may go while it is read; what is not may be half written. */
  async #segment(first: Seq, until: Seq): Promise<Inspected | undefined> {
    for (let look = 1; ; look++) {
      const file = await this.#open(first)
      if (file === 'gone') return undefined
      const sealed = file?.summary !== undefined
      const one = await this.#look(first, until, file)
      const looks = this.#live ? (sealed ? LOOKS_IF_SEALED : LOOKS) : 1
      if (one.damages.length === 0 || look === looks) return one
      if (!sealed) await pause(LOOK_AGAIN_MS)
    }
  }

  async #look(first: Seq, until: Seq, file: SegmentFile | undefined): Promise<Inspected> {
    const name = segmentName(first)
    const bytes = await sizeOf(this.#fileSystem, join(this.#log, name))
    const nothing = { holes: [], marks: [] }
    if (file === undefined) {
      const last = Number.isFinite(until) ? until - 1 : first - 1
      const damage = { file: `log/${name}`, from: 0, to: bytes, why: 'it is no segment: its header cannot be read' }
      const damages = [last < first ? damage : { ...damage, first, last }]
      return { ...nothing, damages, report: reportOf(name, first, bytes, damages, { last, entries: 0 }) }
    }
    try {
      const { header, summary } = file
      const correctionMs = await this.#correctionOf(header)
      if (summary !== undefined && !this.#verify) {
        const content = { ...summary, ...arrivalsIn(summary, correctionMs) }
        return { ...nothing, header, damages: [], report: reportOf(name, first, bytes, [], content, summary) }
      }
      const marks: LossMark[] = []
      const found = await inspectSegmentFile(file, until, (mark) => marks.push(mark), correctionMs)
      const damages = found.damages.map((damage) => ({ file: `log/${name}`, ...damage }))
      const { holes, unset } = found
      const content =
        summary === undefined
          ? { ...found, quality: unset ? qualityBy(correctionMs) : undefined }
          : { ...summary, ...arrivalsIn(summary, correctionMs) }
      return { header, damages, holes, marks, report: reportOf(name, first, bytes, damages, content, summary) }
    } finally {
      await file.close()
    }
  }

  async #correctionOf({ synced, bootId }: SegmentHeader): Promise<number | undefined> {
    if (synced) return undefined
    await this.#clocks.look(bootId)
    return this.#clocks.correction(bootId)
  }

  #lose(mark: LossMark): void {
    const { first, last, reason, count } = mark
    if (last >= first) this.#told = addRange(this.#told, mark).slice(-MAX_QUARANTINE_NOTES)
    if (count > 0) this.#lost[reason] = (this.#lost[reason] ?? 0) + count
    this.#losses = [...this.#losses, mark].slice(-MAX_SHOWN_LOSSES)
  }

  /** Seqs that are missing and that nothing tells of. A reader says whether that still is so. */
  async #reportHoles(notes: readonly Note[]): Promise<void> {
    let told = this.#told
    for (const note of notes) if (note.last >= note.first) told = addRange(told, note)
    const reader = openReader({
      directory: this.#directory,
      fileSystem: this.#fileSystem,
      durable: () => Number.POSITIVE_INFINITY,
      clocks: NO_CORRECTIONS,
    })
    try {
      for (const { file, range } of this.#holes) {
        for (const { first, last } of without(told, range.first, range.last)) {
          const { gaps } = await reader.read(first - 1, { entries: 1, bytes: 1 })
          if (gaps.some((gap) => gap.first <= first && gap.last >= last && gap.reason === 'corrupt'))
            this.#damages.push({ file, first, last, why: 'these seqs are missing before it, and nothing says why' })
        }
      }
    } finally {
      await reader.close()
    }
  }

  async #open(first: Seq): Promise<SegmentFile | undefined | 'gone'> {
    try {
      return await SegmentFile.open(this.#fileSystem, this.#log, first)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return 'gone'
      if (systemCode(error) === 'EIO') return undefined
      throw error
    }
  }
}

interface Arrivals {
  readonly fromUs: number
  readonly toUs: number
  readonly quality: TimeQuality | undefined
}

/** What was corrected goes by the monotonic clock from end to end. */
const arrivalsIn = (
  { index, minWallUs, maxWallUs, lastMonotonicUs }: Summary,
  correctionMs: number | undefined,
): Arrivals => {
  const quality = index.some(({ unsynced }) => unsynced) ? qualityBy(correctionMs) : undefined
  if (quality !== 'corrected') return { fromUs: minWallUs, toUs: maxWallUs, quality }
  const addUs = (correctionMs ?? 0) * 1_000
  return { fromUs: (index[0]?.monotonicUs ?? 0) + addUs, toUs: lastMonotonicUs + addUs, quality }
}

const qualityBy = (correctionMs: number | undefined): TimeQuality =>
  correctionMs === undefined ? 'unsynced' : 'corrected'

const reportOf = (
  file: string,
  first: Seq,
  bytes: number,
  damages: readonly DamageReport[],
  content: { readonly last: Seq; readonly entries: number } & Partial<Arrivals>,
  summary?: Summary,
): SegmentReport => {
  const { last, entries, fromUs = 0, toUs = 0, quality } = content
  return {
    ...{ file, first, last, entries, bytes, state: summary?.sealedBy ?? 'open' },
    ...(toUs === 0 ? {} : { fromMs: fromUs / 1_000, toMs: toUs / 1_000 }),
    ...(quality === undefined ? {} : { timeQuality: quality }),
    damage: damages.map(damageText),
  }
}

const sizeOf = async (fileSystem: FileSystem, path: string): Promise<number> => {
  try {
    return await fileSystem.size(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0
    throw error
  }
}
