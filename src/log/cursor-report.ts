// Cursors under inspection: where they stand, and whether that can be. Reads only; one that is being written is looked at twice.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Seq } from '../core/contract.ts'
import { describe, systemCode } from '../core/errors.ts'
import { cursorFiles, cursorName, passedBy, readCursorFile } from './cursor-file.ts'
import type { FileSystem } from './file-system.ts'

export interface CursorReport {
  /** Name of the sink; the file's name when it is none that a cursor would be given. */
  readonly name: string
  /** Below the data directory. */
  readonly file: string
  /** Everything up to here is settled; absent when the file is damaged. */
  readonly position?: Seq
  /** Newest seq that it has passed. */
  readonly passed?: Seq
  /** Ranges of seqs that are not settled, the open one included. */
  readonly ranges?: number
  /** Why it cannot be read. Everything is then delivered again. */
  readonly fault?: string
}

const LOOK_AGAIN_MS = 250

export const inspectCursors = async (
  fileSystem: FileSystem,
  directory: string,
  live: boolean,
): Promise<CursorReport[]> => {
  const reports: CursorReport[] = []
  for (const name of await cursorFiles(fileSystem, directory)) {
    const file = { name: cursorName(name), file: `cursors/${name}` }
    let report = await inspectCursor(fileSystem, join(directory, name))
    if (report?.fault !== undefined && live) {
      await pause(LOOK_AGAIN_MS)
      report = await inspectCursor(fileSystem, join(directory, name))
    }
    if (report !== undefined) reports.push({ ...file, ...report })
  }
  return reports
}

/** Undefined when it has gone. */
const inspectCursor = async (
  fileSystem: FileSystem,
  path: string,
): Promise<Pick<CursorReport, 'position' | 'passed' | 'ranges' | 'fault'> | undefined> => {
  try {
    const state = await readCursorFile(fileSystem, path)
    if (state === undefined) return { fault: 'neither of its two slots is whole' }
    const position = (state.unsettled[0]?.first ?? 1) - 1
    return { position, passed: passedBy(state), ranges: state.unsettled.length }
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? undefined : { fault: describe(error) }
  }
}

/** `last`: newest seq of the log; undefined when it has no segment. */
export const cursorDamages = (reports: readonly CursorReport[], last: Seq | undefined) => {
  const damages: { readonly file: string; readonly why: string }[] = []
  for (const { file, fault, passed = 0 } of reports) {
    if (fault !== undefined) damages.push({ file, why: `${fault}; everything is delivered again` })
    else if (last !== undefined && passed > last)
      damages.push({ file, why: `it is ahead of the log: it has passed seq ${passed}, and the newest is ${last}` })
  }
  return damages
}
