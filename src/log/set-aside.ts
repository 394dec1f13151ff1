// A segment that cannot be read as one: a file without a readable header, a directory or a broken link with the name of a
// segment, a file that the disk does not give back. It is moved to quarantine as it is, under a note of the seqs that its name
// and the name behind it leave to it. One that is only not permitted stays where it is: it may be whole.

import { join } from 'node:path'
import type { Logger, Seq } from '../core/contract.ts'
import { describe, systemCode } from '../core/errors.ts'
import type { FileSystem } from './file-system.ts'
import type { Quarantine } from './quarantine.ts'
import type { Damage } from './quarantine-note.ts'
import { segmentName } from './segment-header.ts'

/** Channel, flags, time and length of an entry without payload, a byte each. */
const MIN_ENTRY_BYTES = 4
const FORBIDDEN = ['EACCES', 'EPERM']

export interface SetAsideOptions {
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly quarantine: Quarantine
}

export interface Unreadable {
  /** First seq in its name. */
  readonly first: Seq
  /** First seq that no segment before it has. */
  readonly from: Seq
  /** First seq in the name behind it; Infinity behind the last. */
  readonly until: Seq
}

/** Never throws. What is lost with it; quarantine knows of it unless the disk did not let it. */
export const setAside = async (
  options: SetAsideOptions,
  directory: string,
  { first, from, until }: Unreadable,
): Promise<Damage | undefined> => {
  const { fileSystem, logger, quarantine } = options
  const path = join(directory, segmentName(first))
  const fault = await faultOf(fileSystem, path)
  const to = await fileSystem.size(path).catch(() => 0)
  // Behind the newest segment there is nothing to bound it but its size.
  const most = fault === 'EISDIR' ? 0 : Math.floor(to / MIN_ENTRY_BYTES)
  const end = Number.isFinite(until) ? until - 1 : first + most - 1
  // A name among the seqs of another segment is no segment's.
  const last = from > first ? Math.min(end, from - 1) : end
  const count = Math.min(Math.max(0, last - from + 1), most === 0 ? Number.POSITIVE_INFINITY : most)
  const what = fault === undefined ? 'a segment without a readable header' : `a segment that cannot be read (${fault})`
  const why = `${what}; the count is the most that it may have held`
  const damage = { segment: first, from: 0, to, first: from, last, count, why }
  try {
    if (fault !== undefined && FORBIDDEN.includes(fault)) await quarantine.keep(damage)
    else {
      await quarantine.keepFile(path, damage)
      await fileSystem.syncDirectory(directory)
    }
    logger.error({ segment: segmentName(first), sizeBytes: to, fault }, 'a segment cannot be read')
  } catch (error) {
    logger.error({ segment: segmentName(first), error: describe(error) }, 'an unreadable segment cannot be set aside')
  }
  return last >= from ? damage : undefined
}

/** Why it cannot be read; undefined when it can, and is no segment. */
const faultOf = async (fileSystem: FileSystem, path: string): Promise<string | undefined> => {
  try {
    const handle = await fileSystem.open(path, 'read')
    try {
      await handle.read(Buffer.alloc(1), 0, 1, 0)
    } finally {
      await handle.close()
    }
    return undefined
  } catch (error) {
    return systemCode(error) ?? 'unknown'
  }
}
