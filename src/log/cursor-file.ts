// A cursor on disk, format 1: two slots of 4 KiB in one preallocated file, rewritten in place by turns, so that moving a
// cursor costs one block of the disk and no file system records. A torn slot is found by its CRC; the other one is whole.
//
// A slot, little endian: 0 magic 'TGcu' · 4 CRC-32 of everything behind it · 8 u16 format version · 10 u16 number of ranges ·
// 12 u32 zero · 16 u64 generation · 24 the unsettled ranges, each u64 first and u64 last, where a last of 0 means open.

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Seq } from '../core/contract.ts'
import { describe, systemCode } from '../core/errors.ts'
import type { Range } from '../core/log-contract.ts'
import { readUint53, writeUint53 } from './bytes.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { readFully } from './file-system.ts'
import { MAX_PLAUSIBLE_SEQ } from './limits.ts'
import { MAX_RANGES } from './ranges.ts'

const SLOT_BYTES = 4_096
const SLOTS = 2
export const CURSOR_FILE_BYTES = SLOTS * SLOT_BYTES
const CURSOR_SUFFIX = '.cursor'
const MAGIC = 0x75634754
const VERSION = 1
const FIXED_BYTES = 24
const RANGE_BYTES = 16

export interface CursorState {
  readonly generation: number
  readonly unsettled: readonly Range[]
}

/** File of a cursor; any name makes a file name of its own. */
export const cursorPath = (directory: string, name: string): string =>
  join(directory, `${encodeURIComponent(name).replaceAll('.', '%2E')}${CURSOR_SUFFIX}`)

/** The name that cursorPath made this file's name of; the file's own when it made none. */
export const cursorName = (file: string): string => {
  try {
    return decodeURIComponent(file.slice(0, -CURSOR_SUFFIX.length))
  } catch (error) {
    if (error instanceof URIError) return file
    throw error
  }
}

/** Where a generation is written. */
export const slotOffset = (generation: number): number => (generation % SLOTS) * SLOT_BYTES

export const encodeSlot = ({ generation, unsettled }: CursorState): Buffer => {
  const bytes = Buffer.alloc(FIXED_BYTES + unsettled.length * RANGE_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt16LE(VERSION, 8)
  bytes.writeUInt16LE(unsettled.length, 10)
  writeUint53(bytes, 16, generation)
  for (const [index, { first, last }] of unsettled.entries()) {
    const at = FIXED_BYTES + index * RANGE_BYTES
    writeUint53(bytes, at, first)
    writeUint53(bytes, at + 8, Number.isFinite(last) ? last : 0)
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

/** The newest whole slot; undefined when there is none. */
export const readCursor = async (handle: FileHandle): Promise<CursorState | undefined> => {
  const bytes = Buffer.alloc(CURSOR_FILE_BYTES)
  const length = await readFully(handle, bytes, 0, bytes.length, 0)
  let newest: CursorState | undefined
  for (let slot = 0; slot < SLOTS; slot++) {
    const state = decodeSlot(bytes.subarray(slot * SLOT_BYTES, Math.min(length, (slot + 1) * SLOT_BYTES)))
    if (state !== undefined && state.generation > (newest?.generation ?? -1)) newest = state
  }
  return newest
}

const decodeSlot = (bytes: Buffer): CursorState | undefined => {
  if (bytes.length < FIXED_BYTES || bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt16LE(8) !== VERSION)
    return undefined
  const count = bytes.readUInt16LE(10)
  const end = FIXED_BYTES + count * RANGE_BYTES
  if (count === 0 || count > MAX_RANGES || end > bytes.length) return undefined
  if (crc32(bytes.subarray(8, end)) !== bytes.readUInt32LE(4)) return undefined
  const unsettled: Range[] = []
  for (let at = FIXED_BYTES; at < end; at += RANGE_BYTES) {
    const last = readUint53(bytes, at + 8)
    unsettled.push({ first: readUint53(bytes, at), last: last === 0 ? Number.POSITIVE_INFINITY : last })
  }
  // A seq that no log can have come to is garbage, whatever its CRC says: the log would skip to the end of all seqs.
  return unsettled.at(-1)?.last === Number.POSITIVE_INFINITY && (unsettled.at(-1)?.first ?? 0) <= MAX_PLAUSIBLE_SEQ
    ? { generation: readUint53(bytes, 16), unsettled }
    : undefined
}

/** Highest seq that any cursor of the data directory has passed: those seqs were given, whatever the log says. */
export const highestCursor = async (options: {
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly logger: { warn(fields: object, message: string): void }
}): Promise<Seq> => {
  const { fileSystem, logger } = options
  const directory = join(options.directory, 'cursors')
  let highest = 0
  for (const name of await cursorFiles(fileSystem, directory, logger)) {
    try {
      const state = await readCursorFile(fileSystem, join(directory, name))
      if (state === undefined) logger.warn({ file: name }, 'a cursor is damaged')
      highest = Math.max(highest, passedBy(state))
    } catch (error) {
      // One that cannot be read says nothing; the others still do.
      logger.warn({ file: name, error: describe(error) }, 'a cursor cannot be read')
    }
  }
  return highest
}

/** Undefined when neither of its slots is whole. */
export const readCursorFile = async (fileSystem: FileSystem, path: string): Promise<CursorState | undefined> => {
  const handle = await fileSystem.open(path, 'read')
  try {
    return await readCursor(handle)
  } finally {
    await handle.close()
  }
}

/** Newest seq that it has passed. */
export const passedBy = (state: CursorState | undefined): Seq => (state?.unsettled.at(-1)?.first ?? 1) - 1

/** Names of the cursor files; none when the directory is not there, or cannot be read. */
export const cursorFiles = async (
  fileSystem: FileSystem,
  directory: string,
  logger?: { warn(fields: object, message: string): void },
): Promise<string[]> => {
  try {
    return (await fileSystem.list(directory)).filter((name) => name.endsWith(CURSOR_SUFFIX)).sort()
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') logger?.warn({ directory, error: describe(error) }, 'cursors cannot be read')
    return []
  }
}
