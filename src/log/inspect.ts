// What is in a data directory's log, without changing anything and without the lock: works while a gateway writes to it.

import { join } from 'node:path'
import type { Seq, UnixMs } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { lastSeq } from './block.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import { listSegments, SegmentFile } from './segment-file.ts'
import { segmentName } from './segment-header.ts'
import { SPARE_NAME } from './segment-store.ts'
import type { SealedBy } from './summary.ts'

export interface InspectOptions {
  readonly fileSystem?: FileSystem
  /** Reads every block, also those of sealed segments, whose footer is trusted otherwise. */
  readonly verify?: boolean
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
  /** Files and byte ranges that recovery set aside. */
  readonly quarantined: readonly string[]
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
  /** One line for each thing that is wrong. */
  readonly damage: readonly string[]
}

/** Rejects with TG_DATA_UNUSABLE when there is no log to read, and with TG_LOG_NEWER. */
export const inspectLog = async (directory: string, options: InspectOptions = {}): Promise<LogReport> => {
  const { fileSystem = nodeFileSystem(), verify = false } = options
  const log = join(directory, 'log')
  try {
    const { segments: names, others } = await listSegments(fileSystem, log)
    const segments: SegmentReport[] = []
    let header: SegmentFile['header'] | undefined
    for (const [index, first] of names.entries()) {
      const until = names[index + 1] ?? Number.POSITIVE_INFINITY
      const file = await openOrGone(fileSystem, log, first)
      if (file === 'gone') continue
      const bytes = await sizeOf(fileSystem, join(log, segmentName(first)))
      if (file === undefined) segments.push(unreadable(first, until, bytes))
      else {
        header = file.header
        segments.push(await inspectSegment(file, until, bytes, verify).finally(() => file.close()))
      }
    }
    const spareBytes = others.includes(SPARE_NAME) ? await sizeOf(fileSystem, join(log, SPARE_NAME)) : 0
    return {
      directory,
      ...(header === undefined ? {} : { logId: header.logId, gateway: header.gateway, formatVersion: header.version }),
      first: segments[0]?.first ?? 0,
      last: segments.findLast((segment) => segment.last >= segment.first)?.last ?? 0,
      bytes: segments.reduce((sum, segment) => sum + segment.bytes, spareBytes),
      segments,
      spareBytes,
      quarantined: await listOrNothing(fileSystem, join(directory, 'quarantine')),
    }
  } catch (error) {
    if (error instanceof TidegateError) throw error
    throw new TidegateError('TG_DATA_UNUSABLE', `the log in ${directory} cannot be read: ${describe(error)}`, {
      cause: error,
    })
  }
}

const inspectSegment = async (
  file: SegmentFile,
  until: Seq,
  bytes: number,
  verify: boolean,
): Promise<SegmentReport> => {
  const { summary, first } = file
  const report = summary === undefined || verify ? await scan(file, until) : undefined
  const name = segmentName(first)
  const damage = report?.damage ?? []
  if (summary !== undefined) {
    const { last, entries, minWallUs, maxWallUs, sealedBy } = summary
    return { file: name, first, last, entries, bytes, state: sealedBy, ...times(minWallUs, maxWallUs), damage }
  }
  const { last = first - 1, entries = 0, fromUs = 0, toUs = 0 } = report ?? {}
  return { file: name, first, last, entries, bytes, state: 'open', ...times(fromUs, toUs), damage }
}

const times = (fromUs: number, toUs: number) => (toUs === 0 ? {} : { fromMs: fromUs / 1_000, toMs: toUs / 1_000 })

interface Scan {
  last: Seq
  entries: number
  fromUs: number
  toUs: number
  readonly damage: string[]
}

/** Reads every block. What follows the last whole one is no damage: half a block, zeros, an earlier use of the file. */
const scan = async (file: SegmentFile, until: Seq): Promise<Scan> => {
  const result: Scan = { last: file.first - 1, entries: 0, fromUs: 0, toUs: 0, damage: [] }
  let offset = file.start
  for (;;) {
    const block = await file.block(offset)
    if (block?.whole) {
      const { header } = block
      if (header.first >= until) break
      result.last = lastSeq(header)
      result.entries += header.count
      result.fromUs = result.fromUs === 0 ? header.wallUs : Math.min(result.fromUs, header.wallUs)
      result.toUs = Math.max(result.toUs, header.wallUs)
      offset += header.length
      continue
    }
    const next = await file.find(offset + (block?.header.length ?? 0))
    const end = next ?? (file.summary === undefined ? undefined : await file.end())
    if (end !== undefined && end > offset)
      result.damage.push(`bytes ${offset} to ${end - 1} are damaged, behind seq ${result.last}`)
    if (next === undefined) break
    offset = next
  }
  return result
}

const unreadable = (first: Seq, until: Seq, bytes: number): SegmentReport => ({
  file: segmentName(first),
  first,
  last: Number.isFinite(until) ? until - 1 : first - 1,
  entries: 0,
  bytes,
  state: 'open',
  damage: ['the header cannot be read'],
})

const openOrGone = async (fileSystem: FileSystem, directory: string, first: Seq) => {
  try {
    return await SegmentFile.open(fileSystem, directory, first)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'gone'
    throw error
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

const listOrNothing = async (fileSystem: FileSystem, directory: string): Promise<string[]> => {
  try {
    return (await fileSystem.list(directory)).sort()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}
