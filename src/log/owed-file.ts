// Losses that are decided while the log can take no mark, format 1: the disk is full, and what is over the bounds has to go
// before there is room to say so. Two slots of 4 KiB in one file that is made while there is room, rewritten in place by turns;
// a torn slot is found by its CRC, the other one is whole.
//
// A slot, little endian: 0 magic 'TGow' · 4 CRC-32 of everything behind it · 8 u16 format version · 10 u16 zero ·
// 12 u32 length of the text · 16 u64 generation · 24 the losses, JSON: a list of loss marks without their time.

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { LossMark } from '../core/contract.ts'
import { readUint53, writeUint53 } from './bytes.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { readFully, writeFully } from './file-system.ts'

/** In the directory of the segments. */
export const OWED_NAME = 'owed'
const SLOT_BYTES = 4_096
const SLOTS = 2
const MAGIC = 0x776f4754
const VERSION = 1
const FIXED_BYTES = 24

export type Loss = Omit<LossMark, 'time'>

export class OwedFile {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #onWritten: (bytes: number) => void
  #generation = 0
  #usable = false

  constructor(fileSystem: FileSystem, directory: string, onWritten: (bytes: number) => void) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#onWritten = onWritten
  }

  /** Makes the file when it is missing; returns what an earlier run has left in it. */
  async open(): Promise<readonly Loss[]> {
    const handle = await this.#fileSystem.open(this.#path, 'create')
    try {
      const bytes = Buffer.alloc(SLOTS * SLOT_BYTES)
      const length = await readFully(handle, bytes, 0, bytes.length, 0)
      if (length < bytes.length) await this.#allocate(handle)
      this.#usable = true
      let newest: readonly Loss[] = []
      for (let slot = 0; slot < SLOTS; slot++) {
        const found = decode(bytes.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES))
        if (found === undefined || found.generation < this.#generation) continue
        this.#generation = found.generation
        newest = found.losses
      }
      return newest
    } finally {
      await handle.close()
    }
  }

  /** In place of what it held; resolves once durable. Topics are left out where they do not fit, then neighbours are joined. */
  async write(losses: readonly Loss[]): Promise<void> {
    if (!this.#usable) throw new Error(`${this.#path} could not be made`)
    const generation = this.#generation + 1
    const bytes = encode(losses, generation)
    const handle = await this.#fileSystem.open(this.#path, 'update')
    try {
      await writeFully(handle, bytes, 0, bytes.length, (generation % SLOTS) * SLOT_BYTES)
      this.#onWritten(bytes.length)
      await handle.datasync()
      // After a failure the next one goes to the same slot: the other one is whole.
      this.#generation = generation
    } finally {
      await handle.close()
    }
  }

  get #path(): string {
    return join(this.#directory, OWED_NAME)
  }

  async #allocate(handle: FileHandle): Promise<void> {
    const zeros = Buffer.alloc(SLOTS * SLOT_BYTES)
    await writeFully(handle, zeros, 0, zeros.length, 0)
    this.#onWritten(zeros.length)
    await handle.sync()
    await this.#fileSystem.syncDirectory(this.#directory)
  }
}

const encode = (losses: readonly Loss[], generation: number): Buffer => {
  let text = Buffer.from(JSON.stringify(losses))
  if (text.length > SLOT_BYTES - FIXED_BYTES)
    text = Buffer.from(JSON.stringify(losses.map(({ topics, devices, detail, ...rest }) => rest)))
  if (text.length > SLOT_BYTES - FIXED_BYTES) text = Buffer.from(JSON.stringify(joined(losses)))
  if (text.length > SLOT_BYTES - FIXED_BYTES)
    throw new RangeError(`${losses.length} losses are too many for ${OWED_NAME}`)
  const bytes = Buffer.alloc(SLOT_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt16LE(VERSION, 8)
  bytes.writeUInt32LE(text.length, 12)
  writeUint53(bytes, 16, generation)
  text.copy(bytes, FIXED_BYTES)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

/** One for each stretch of losses with the same reason. */
const joined = (losses: readonly Loss[]): Loss[] => {
  const all: Loss[] = []
  for (const { first, last, count, reason } of losses) {
    const before = all.at(-1)
    if (before === undefined || before.reason !== reason) all.push({ first, last, count, reason })
    else all[all.length - 1] = { first: before.first, last, count: before.count + count, reason }
  }
  return all
}

const decode = (bytes: Buffer): { readonly generation: number; readonly losses: readonly Loss[] } | undefined => {
  if (bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt16LE(8) !== VERSION) return undefined
  const length = bytes.readUInt32LE(12)
  if (length > SLOT_BYTES - FIXED_BYTES || crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return undefined
  const losses: unknown = JSON.parse(bytes.toString('utf8', FIXED_BYTES, FIXED_BYTES + length))
  return Array.isArray(losses) ? { generation: readUint53(bytes, 16), losses } : undefined
}
