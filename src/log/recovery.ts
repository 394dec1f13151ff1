// What open() does with what it finds. Sealed segments are trusted by their footer; one without a footer is read once, cut
// at its last whole block, written anew (after a crash in the same boot, what the page cache shows may not be on the disk)
// and sealed. Unreadable files are set aside, never deleted. Nothing here keeps the log from starting but a newer format.

import { join } from 'node:path'
import type { Logger, LossMark, Seq } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import { highestCursor } from './cursor-file.ts'
import type { FileSystem } from './file-system.ts'
import { UNCLEAN_SKIP } from './limits.ts'
import type { SegmentFacts } from './retention.ts'
import { rewriteSegment } from './rewrite.ts'
import { listSegments, SegmentFile } from './segment-file.ts'
import type { SegmentHeader } from './segment-header.ts'
import { segmentName } from './segment-header.ts'
import { NEW_SUFFIX, SPARE_NAME } from './segment-store.ts'
import type { Summary } from './summary.ts'

/** Channel, flags, time and length of an entry without payload, a byte each. */
const MIN_ENTRY_BYTES = 4

export interface RecoveryOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly logger: Logger
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
  readonly hasSpare: boolean
}

export const recoverLog = async (options: RecoveryOptions): Promise<Recovered> => {
  const { fileSystem, logger, wallMs } = options
  const directory = join(options.directory, 'log')
  const { segments: names, others } = await listSegments(fileSystem, directory)
  const hasSpare = await sweep(options, directory, others)
  const segments: SegmentFacts[] = []
  const marks: LossMark[] = []
  let logId: string | undefined
  // What lay before the oldest segment is retention's, and nobody's loss.
  let last: Seq = (names[0] ?? 1) - 1
  /** Newest seq that an earlier start may have given or passed over. */
  let given: Seq = last
  let clean = true
  for (const [index, first] of names.entries()) {
    const until = names[index + 1] ?? Number.POSITIVE_INFINITY
    const found = await inspectSegment(options, directory, first, until)
    if (found === undefined) {
      const hidden = await setAside(options, directory, first, until)
      if (hidden > 0) marks.push(unreadableMark(first, first + hidden - 1, wallMs()))
      last = Math.max(last, first + hidden - 1)
      given = Math.max(given, last)
      clean = false
      continue
    }
    logId ??= found.header.logId === '' ? undefined : found.header.logId
    for (const { first: from, last: to } of found.lost)
      marks.push({ first: from, last: to, count: to - from + 1, reason: 'corrupt', time: wallMs() })
    segments.push(found.facts)
    // A start that was killed before its first commit leaves nothing but the name: the mark for what it skipped is still owed.
    if (found.facts.last >= first) last = Math.max(last, found.facts.last)
    given = Math.max(given, first - 1, last)
    clean = found.sealedBy === 'closed'
  }
  const settled = await highestCursor(options)
  const skipped = Math.max(clean ? given : given + UNCLEAN_SKIP, settled)
  // First of all marks: readers look for the reason of a hole in the entry behind it.
  if (skipped > given) marks.unshift(skipMark(last + 1, skipped, clean, wallMs()))
  if (skipped > given) logger.warn({ lastSeq: last, nextSeq: skipped + 1, clean }, 'seqs are skipped')
  return { logId, segments, last, next: skipped + 1, marks, hasSpare }
}

/** After a clean close, only cursors that are ahead make the log skip: it was taken away, or put back from a copy. */
const skipMark = (first: Seq, last: Seq, clean: boolean, time: number): LossMark =>
  clean
    ? { first, last, count: 0, reason: 'corrupt', time, detail: 'the log is older than its cursors' }
    : { first, last, count: 0, reason: 'unclean-stop', time }

interface Found {
  readonly header: SegmentHeader
  readonly facts: SegmentFacts
  readonly sealedBy: Summary['sealedBy'] | undefined
  readonly lost: readonly { readonly first: Seq; readonly last: Seq }[]
}

const inspectSegment = async (
  options: RecoveryOptions,
  directory: string,
  first: Seq,
  until: Seq,
): Promise<Found | undefined> => {
  const file = await openSegment(options, directory, first)
  if (file === undefined) return undefined
  try {
    const { header, summary } = file
    const bytes = await options.fileSystem.size(join(directory, segmentName(first)))
    if (summary !== undefined)
      return { header, facts: factsOf(header, summary, bytes), sealedBy: summary.sealedBy, lost: [] }
    const rewritten = await rewriteSegment(options, directory, file, until)
    const facts = factsOf(header, rewritten.summary, rewritten.bytes)
    return { header, facts, sealedBy: undefined, lost: rewritten.lost }
  } finally {
    await file.close().catch(() => undefined)
  }
}

/** Undefined when it is not readable as a segment at all. */
const openSegment = async (
  { fileSystem, logger }: RecoveryOptions,
  directory: string,
  first: Seq,
): Promise<SegmentFile | undefined> => {
  try {
    return await SegmentFile.open(fileSystem, directory, first)
  } catch (error) {
    if (error instanceof TidegateError) throw error
    logger.warn({ segment: segmentName(first), error: describe(error) }, 'a segment cannot be read')
    return undefined
  }
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
})

/** Removes what a stop in the middle left behind; true when there is a spare file. */
const sweep = async (options: RecoveryOptions, directory: string, others: readonly string[]): Promise<boolean> => {
  const { fileSystem, logger } = options
  for (const name of others) {
    if (name === SPARE_NAME || name === 'lock') continue
    if (name.endsWith(NEW_SUFFIX)) await fileSystem.unlink(join(directory, name)).catch(() => undefined)
    else logger.warn({ file: name }, 'a file in the log directory is not of the log; it is left alone')
  }
  return others.includes(SPARE_NAME)
}

/** Moves an unreadable segment to quarantine; returns how many seqs it may have held. */
const setAside = async (options: RecoveryOptions, directory: string, first: Seq, until: Seq): Promise<number> => {
  const { fileSystem, logger } = options
  const quarantine = join(options.directory, 'quarantine')
  const name = segmentName(first)
  let size = 0
  try {
    size = await fileSystem.size(join(directory, name))
    await fileSystem.makeDirectory(quarantine)
    await fileSystem.rename(join(directory, name), join(quarantine, `${name}.${Math.round(options.wallMs())}`))
    await fileSystem.syncDirectory(quarantine)
    await fileSystem.syncDirectory(directory)
    logger.error({ segment: name, sizeBytes: size }, 'a segment without a readable header is set aside in quarantine')
  } catch (error) {
    logger.error({ segment: name, error: describe(error) }, 'an unreadable segment cannot be set aside')
  }
  return Math.min(until - first, Math.floor(size / MIN_ENTRY_BYTES))
}

const unreadableMark = (first: Seq, last: Seq, time: number): LossMark => ({
  first,
  last,
  count: last - first + 1,
  reason: 'corrupt',
  time,
  detail: 'a segment without a readable header; the count is the most that it may have held',
})
