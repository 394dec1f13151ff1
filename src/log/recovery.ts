// What open() does with what it finds. Sealed segments are trusted by their footer; one without a footer is read once, cut
// at its last whole block, written anew (after a crash in the same boot, what the page cache shows may not be on the disk)
// and sealed. Unreadable files are set aside, never deleted. Nothing here keeps the log from starting but a newer format.

import { join } from 'node:path'
import type { Logger, LossMark, Seq } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { CLOCKS_NAME } from './clock-index.ts'
import { highestCursor } from './cursor-file.ts'
import type { FileSystem } from './file-system.ts'
import { GIVEN_NAME, NOTHING_GIVEN, readGiven } from './given-file.ts'
import { PEEKS_AT_ONCE, UNCLEAN_SKIP, UNKNOWN_SKIP } from './limits.ts'
import { OWED_NAME } from './owed-file.ts'
import type { Quarantine } from './quarantine.ts'
import { markOf } from './quarantine.ts'
import type { Damage, Note } from './quarantine-note.ts'
import type { SegmentFacts } from './retention.ts'
import { rewriteSegment } from './rewrite.ts'
import { listSegments, SegmentFile } from './segment-file.ts'
import type { SegmentHeader } from './segment-header.ts'
import { segmentName } from './segment-header.ts'
import { NEW_SUFFIX, SPARE_NAME } from './segment-store.ts'
import { setAside } from './set-aside.ts'
import type { Summary } from './summary.ts'
import { emptySummary } from './summary.ts'

const PEEK_ATTEMPTS = 3
/** What says nothing about the file: trouble of the machine, after which a start is to be tried again. */
const NOT_OF_THE_FILE = ['EMFILE', 'ENFILE', 'ENOMEM']

const REFUSED_DETAIL = 'the count may lack the last seconds before the stop'

export interface RecoveryOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly quarantine: Quarantine
  readonly wallMs: () => number
}

export interface Recovered {
  readonly logId: string | undefined
  readonly segments: SegmentFacts[]
  /** Newest seq that is there. */
  readonly last: Seq
  /** First seq to give. */
  readonly next: Seq
  /** To be appended before anything else. */
  readonly marks: readonly LossMark[]
  /** Damage whose loss marks are to be appended next. */
  readonly owed: readonly Note[]
  readonly quarantine: Quarantine
  readonly hasSpare: boolean
}

export const recoverLog = async (options: RecoveryOptions): Promise<Recovered> => {
  const { fileSystem, logger, wallMs } = options
  const directory = join(options.directory, 'log')
  const { segments: names, others } = await listSegments(fileSystem, directory)
  // Everything is looked at before anything is changed: a newer format must find its files as they were.
  const peeks = await peekAll(options, directory, names)
  const ends = endsOf(names, peeks)
  const hasSpare = await sweep(options, directory, others)
  const segments: SegmentFacts[] = []
  const damages: Damage[] = []
  let logId: string | undefined
  // What lay before the oldest segment is retention's, and nobody's loss.
  let last: Seq = (names[0] ?? 1) - 1
  /** Newest seq that an earlier start may have given or passed over. */
  let given: Seq = last
  let clean = true
  let uncut = false
  for (const [index, first] of names.entries()) {
    const peek = peeks[index]
    const until = ends[index] ?? Number.POSITIVE_INFINITY
    const found = peek === undefined ? undefined : await repaired(options, directory, first, until, peek)
    if (found === undefined) {
      const next = names[index + 1] ?? Number.POSITIVE_INFINITY
      const damage = await setAside(options, directory, { first, from: Math.max(first, last + 1), until: next })
      if (damage !== undefined) damages.push(damage)
      last = Math.max(last, damage?.last ?? 0)
      given = Math.max(given, first - 1, last)
      clean = false
      continue
    }
    logId ??= found.header.logId === '' ? undefined : found.header.logId
    damages.push(...found.damages)
    segments.push(found.facts)
    // A start that was killed before its first commit leaves nothing but the name: the mark for what it skipped is still owed.
    if (found.facts.last >= first) last = Math.max(last, found.facts.last)
    given = Math.max(given, first - 1, last)
    clean = found.sealedBy === 'closed'
    uncut ||= found.uncut === true
  }
  // A segment that was set aside may have been the newest, in a start that was killed before it made another.
  const newest = await options.quarantine.newest()
  if (newest !== undefined && newest.segment > (names.at(-1) ?? 0)) {
    given = Math.max(given, newest.segment - 1, newest.last)
    clean = false
  }
  const unkept = await givenBefore(options, directory, given)
  // A clean end takes back what was reserved; a start that could make no segment leaves only this word.
  if (unkept.upTo > given) clean = false
  if (!clean) given = Math.max(given, unkept.upTo)
  const settled = await highestCursor(options)
  const skipped = Math.max(clean ? given : given + UNCLEAN_SKIP, settled)
  const marks = await unnoted(options, damages)
  // The mark of a stretch follows it in the log: with anything of the log behind its first seq, it is there.
  for (const { first, last: to, count } of unkept.stretches)
    if (first > last) marks.push({ first, last: to, count, reason: 'refused', time: wallMs(), detail: REFUSED_DETAIL })
  // First of all marks: readers look for the reason of a hole in the entry behind it.
  if (skipped > given) marks.unshift(skipMark(last + 1, skipped, clean, wallMs()))
  if (skipped > given) logger.warn({ lastSeq: last, nextSeq: skipped + 1, clean }, 'seqs are skipped')
  const kept = uncut ? segments : await dropEmpty(options, directory, segments)
  const { quarantine } = options
  return {
    ...{ logId, segments: kept, last, next: skipped + 1, marks, hasSpare },
    ...{ owed: await quarantine.owed(), quarantine },
  }
}

/** After a clean close, only cursors that are ahead make the log skip: it was taken away, or put back from a copy. */
const skipMark = (first: Seq, last: Seq, clean: boolean, time: number): LossMark =>
  clean
    ? { first, last, count: 0, reason: 'corrupt', time, detail: 'the log is older than its cursors' }
    : { first, last, count: 0, reason: 'unclean-stop', time }

/** What was given beyond the log. Where the file is there and says nothing any more, it may have been very many seqs. */
const givenBefore = async ({ fileSystem, logger }: RecoveryOptions, directory: string, last: Seq) => {
  const given = await readGiven(fileSystem, directory)
  if (given !== 'damaged') return given
  logger.warn({ file: GIVEN_NAME }, 'it is not known which seqs were given beyond the log; many are skipped')
  return { ...NOTHING_GIVEN, upTo: last + UNKNOWN_SKIP }
}

/** Marks for damage of which quarantine could keep no note; it is told of again should it be met after the next start. */
const unnoted = async ({ quarantine, wallMs }: RecoveryOptions, damages: readonly Damage[]): Promise<LossMark[]> => {
  const marks: LossMark[] = []
  for (const damage of damages) {
    const { first, last } = damage
    if (last < first || (await quarantine.knows(first, last))) continue
    await quarantine.remember(first, last)
    marks.push({ ...markOf(damage), time: wallMs() })
  }
  return marks
}

/** Only a segment ends the one before it: what merely has the name of one must not cut anything off. */
const endsOf = (names: readonly Seq[], peeks: readonly (Found | undefined)[]): Seq[] => {
  const ends: Seq[] = []
  let next: Seq = Number.POSITIVE_INFINITY
  for (let index = names.length - 1; index >= 0; index--) {
    ends[index] = next
    if (peeks[index] !== undefined) next = names[index] ?? next
  }
  return ends
}

interface Found {
  readonly header: SegmentHeader
  readonly facts: SegmentFacts
  readonly sealedBy: Summary['sealedBy'] | undefined
  readonly damages: readonly Damage[]
  /** It could not be written anew: it may hold more than counts. */
  readonly uncut?: boolean
}

/** What the files say of themselves; undefined for one that is not readable as a segment at all. */
const peekAll = async (
  options: RecoveryOptions,
  directory: string,
  names: readonly Seq[],
): Promise<(Found | undefined)[]> => {
  const peeks: (Found | undefined)[] = []
  for (let from = 0; from < names.length; from += PEEKS_AT_ONCE) {
    const some = names.slice(from, from + PEEKS_AT_ONCE)
    peeks.push(...(await Promise.all(some.map((first) => peek(options, directory, first)))))
  }
  return peeks
}

const peek = async (
  options: RecoveryOptions,
  directory: string,
  first: Seq,
  attempts = PEEK_ATTEMPTS,
): Promise<Found | undefined> => {
  const { fileSystem, logger } = options
  try {
    const file = await SegmentFile.open(fileSystem, directory, first)
    if (file === undefined) return undefined
    await file.close()
    const { header, summary = emptySummary(first) } = file
    const bytes = await fileSystem.size(join(directory, segmentName(first)))
    return { header, facts: factsOf(header, summary, bytes), sealedBy: file.summary?.sealedBy, damages: [] }
  } catch (error) {
    if (error instanceof TidegateError || NOT_OF_THE_FILE.includes(systemCode(error) ?? '')) throw error
    // A bus that hiccups must not cost a segment.
    if (attempts > 1) return peek(options, directory, first, attempts - 1)
    logger.warn({ segment: segmentName(first), error: describe(error) }, 'a segment cannot be read')
    return undefined
  }
}

/** A segment that nobody sealed is written anew. One that goes on into the segment behind it stays: readers end it there. */
const repaired = async (
  options: RecoveryOptions,
  directory: string,
  first: Seq,
  until: Seq,
  peeked: Found,
): Promise<Found | undefined> => {
  const { facts } = peeked
  // A process that was killed may have sealed the newest one without coming to sync it: what is shown may not be on the disk.
  const isUnsure = peeked.sealedBy === 'rolled' && until === Number.POSITIVE_INFINITY
  if (peeked.sealedBy !== undefined && !isUnsure)
    return facts.last < until ? peeked : { ...peeked, facts: { ...facts, last: until - 1 }, uncut: true }
  const file = await SegmentFile.open(options.fileSystem, directory, first)
  if (file === undefined) return undefined
  try {
    const { header } = file
    const { summary, bytes, damages, sealed } = await rewriteSegment(options, directory, file, until)
    summary.last = Math.min(summary.last, until - 1)
    return { header, facts: factsOf(header, summary, bytes), sealedBy: undefined, damages, uncut: !sealed }
  } finally {
    await file.close().catch(() => undefined)
  }
}

/**
 * Starts that were killed before their first commit leave empty segments behind: their names did their work as soon as there
 * is a newer one. The one before must end by itself, not at the name that goes. Trouble with it is no reason not to start.
 */
const dropEmpty = async (
  { fileSystem, logger }: RecoveryOptions,
  directory: string,
  segments: readonly SegmentFacts[],
): Promise<SegmentFacts[]> => {
  const isEmpty = ({ first, last }: SegmentFacts, index: number) =>
    last < first && index > 0 && index < segments.length - 1
  const empty = segments.filter(isEmpty)
  if (empty.length === 0) return [...segments]
  // One that stays must be known: what it seems to hold ends where the next one begins, and retention may take that one.
  const removed = new Set<SegmentFacts>()
  try {
    for (const segment of empty) {
      await fileSystem.unlink(join(directory, segmentName(segment.first)))
      removed.add(segment)
    }
    await fileSystem.syncDirectory(directory)
  } catch (error) {
    logger.warn({ error: describe(error) }, 'an empty segment cannot be removed')
  }
  return segments.filter((segment) => !removed.has(segment))
}

export const factsOf = (header: SegmentHeader, summary: Summary, bytes: number): SegmentFacts => ({
  first: header.first,
  last: summary.last,
  messages: summary.messages,
  bytes,
  bootId: header.bootId,
  synced: header.synced,
  createdMs: header.createdMs,
  createdMonotonicMs: header.monotonicMs,
  endedMs: Math.max(header.createdMs, summary.maxWallUs / 1_000),
  endedMonotonicMs: Math.max(header.monotonicMs, summary.lastMonotonicUs / 1_000),
  thinnedBy: summary.thinnedBy,
})

/** Removes what a stop in the middle left behind; true when there is a spare file. */
const sweep = async (options: RecoveryOptions, directory: string, others: readonly string[]): Promise<boolean> => {
  const { fileSystem, logger } = options
  for (const name of others) {
    if (name === SPARE_NAME || name === CLOCKS_NAME || name === GIVEN_NAME || name === OWED_NAME || name === 'lock')
      continue
    if (name.endsWith(NEW_SUFFIX)) await fileSystem.unlink(join(directory, name)).catch(() => undefined)
    else logger.warn({ file: name }, 'a file in the log directory is not of the log; it is left alone')
  }
  return others.includes(SPARE_NAME)
}
