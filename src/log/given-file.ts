// Which seqs may have been given beyond what the log holds, on disk, format 1: while the disk takes no new data, messages
// get seqs, are shown, and are not kept; after a power cut this file says which seqs must not be given again, and how many
// messages were lost. Two slots of 4 KiB in one file that exists before the disk is full, rewritten in place by turns.
//
// A slot, little endian: 0 magic 'TGgv' · 4 CRC-32 of everything behind it · 8 u16 format version · 10 u16 number of
// stretches · 12 u32 zero · 16 u64 generation · 24 u64 seqs up to here may have been given · 32 stretches of messages that
// were not kept, each u64 first seq, u64 last seq, u64 number of messages.

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Seq } from '../core/contract.ts'
import { systemCode } from '../core/errors.ts'
import { readUint53, writeUint53 } from './bytes.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { readFully, writeFully } from './file-system.ts'
import { MAX_UNKEPT_STRETCHES } from './limits.ts'

/** In the directory of the segments. */
export const GIVEN_NAME = 'given'
const SLOT_BYTES = 4_096
const SLOTS = 2
const MAGIC = 0x76674754
const VERSION = 1
const FIXED_BYTES = 32
const STRETCH_BYTES = 24

/** Messages that were not kept. The mark that tells of them follows the last one in the log. */
export interface Stretch {
  readonly first: Seq
  /** One before the first when none of them got a seq. */
  readonly last: Seq
  readonly count: number
}

export interface Given {
  readonly generation: number
  readonly upTo: Seq
  /** Ascending. */
  readonly stretches: readonly Stretch[]
}

export const NOTHING_GIVEN: Given = { generation: 0, upTo: 0, stretches: [] }

const encode = ({ generation, upTo, stretches }: Given): Buffer => {
  const bytes = Buffer.alloc(FIXED_BYTES + stretches.length * STRETCH_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt16LE(VERSION, 8)
  bytes.writeUInt16LE(stretches.length, 10)
  writeUint53(bytes, 16, generation)
  writeUint53(bytes, 24, upTo)
  for (const [index, { first, last, count }] of stretches.entries()) {
    const at = FIXED_BYTES + index * STRETCH_BYTES
    writeUint53(bytes, at, first)
    writeUint53(bytes, at + 8, last)
    writeUint53(bytes, at + 16, count)
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

const decode = (bytes: Buffer): Given | undefined => {
  if (bytes.length < FIXED_BYTES || bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt16LE(8) !== VERSION)
    return undefined
  const count = bytes.readUInt16LE(10)
  const end = FIXED_BYTES + count * STRETCH_BYTES
  if (count > MAX_UNKEPT_STRETCHES || end > bytes.length) return undefined
  if (crc32(bytes.subarray(8, end)) !== bytes.readUInt32LE(4)) return undefined
  const stretches: Stretch[] = []
  for (let at = FIXED_BYTES; at < end; at += STRETCH_BYTES)
    stretches.push({
      first: readUint53(bytes, at),
      last: readUint53(bytes, at + 8),
      count: readUint53(bytes, at + 16),
    })
  return { generation: readUint53(bytes, 16), upTo: readUint53(bytes, 24), stretches }
}

const readSlots = async (handle: FileHandle): Promise<Given | undefined> => {
  const bytes = Buffer.alloc(SLOTS * SLOT_BYTES)
  const length = await readFully(handle, bytes, 0, bytes.length, 0)
  let newest: Given | undefined
  for (let slot = 0; slot < SLOTS; slot++) {
    const given = decode(bytes.subarray(slot * SLOT_BYTES, Math.min(length, (slot + 1) * SLOT_BYTES)))
    if (given !== undefined && given.generation > (newest?.generation ?? -1)) newest = given
  }
  return newest
}

/** What the file says; nothing when it is missing. */
export const readGiven = async (fileSystem: FileSystem, directory: string): Promise<Given | 'damaged'> => {
  let handle: FileHandle
  try {
    handle = await fileSystem.open(join(directory, GIVEN_NAME), 'read')
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? NOTHING_GIVEN : 'damaged'
  }
  const given = await readSlots(handle).catch(() => undefined)
  await handle.close().catch(() => undefined)
  return given ?? 'damaged'
}

/** The file for writing. Calls take turns; a failed sync is final for the file, and a new one is made. */
export class GivenFile {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #onWritten: (bytes: number) => void
  #handle: FileHandle | undefined
  #last: Given = NOTHING_GIVEN

  /** `directory` holds the segments. */
  constructor(fileSystem: FileSystem, directory: string, onWritten: (bytes: number) => void) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#onWritten = onWritten
  }

  /**
   * Takes over the file, or makes it, so that it has its place before the disk is full. `upTo` stands in a new one. Returns
   * what it says.
   */
  async open(upTo: Seq): Promise<Given> {
    const path = join(this.#directory, GIVEN_NAME)
    try {
      const handle = await this.#fileSystem.open(path, 'update')
      const given = await readSlots(handle).catch(() => undefined)
      if (given !== undefined && (await handle.size()) >= SLOTS * SLOT_BYTES) {
        this.#handle = handle
        this.#last = given
        return given
      }
      await handle.close()
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
    }
    this.#last = { ...NOTHING_GIVEN, upTo }
    await this.#replace(this.#last)
    return this.#last
  }

  /** Durable when it resolves. */
  async write(given: Omit<Given, 'generation'>): Promise<void> {
    const next = { ...given, generation: this.#last.generation + 1 }
    const handle = this.#handle
    if (handle === undefined) await this.#replace(next)
    else {
      try {
        const slot = encode(next)
        await writeFully(handle, slot, 0, slot.length, (next.generation % SLOTS) * SLOT_BYTES)
        this.#onWritten(slot.length)
        await handle.datasync()
      } catch {
        // A new file may work, and if not, its error is the one to report.
        this.#handle = undefined
        await handle.close().catch(() => undefined)
        await this.#replace(next)
      }
    }
    this.#last = next
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close().catch(() => undefined)
  }

  async #replace(given: Given): Promise<void> {
    const path = join(this.#directory, GIVEN_NAME)
    const fresh = `${path}.new`
    const bytes = Buffer.alloc(SLOTS * SLOT_BYTES)
    encode(given).copy(bytes, (given.generation % SLOTS) * SLOT_BYTES)
    const handle = await this.#fileSystem.open(fresh, 'replace')
    try {
      await writeFully(handle, bytes, 0, bytes.length, 0)
      this.#onWritten(bytes.length)
      await handle.sync()
      await this.#fileSystem.rename(fresh, path)
      await this.#fileSystem.syncDirectory(this.#directory)
    } catch (error) {
      await handle.close().catch(() => undefined)
      await this.#fileSystem.unlink(fresh).catch(() => undefined)
      throw error
    }
    this.#handle = handle
  }
}
