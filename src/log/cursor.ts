// Where a sink stands, durable and cheap to move: settle() is arithmetic in memory, flush() rewrites one slot of a small file
// in place. Whatever goes wrong, seqs become unsettled again (delivered twice), never the other way round.

import { dirname } from 'node:path'
import type { Logger, Seq } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import type { Cursor, Range } from '../core/log-contract.ts'
import type { CursorState } from './cursor-file.ts'
import { CURSOR_FILE_BYTES, cursorPath, encodeSlot, readCursor, slotOffset } from './cursor-file.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { writeFully } from './file-system.ts'
import { ALL_UNSETTLED, settleRange } from './ranges.ts'

export interface CursorOptions {
  /** Directory of the cursors, `{data}/cursors`; created when missing. */
  readonly directory: string
  readonly name: string
  readonly fileSystem: FileSystem
  readonly logger?: Logger
}

/** The cursor with this name, made when missing. Rejects with TG_DATA_UNUSABLE when the directory cannot be used. */
export const openCursor = async (options: CursorOptions): Promise<Cursor> => {
  const { directory, name, fileSystem, logger } = options
  try {
    await fileSystem.makeDirectory(directory)
    const file = new CursorFile(fileSystem, directory, cursorPath(directory, name))
    const state = await file.open()
    if (state === 'damaged') logger?.warn({ cursor: name }, 'a cursor is damaged; everything is delivered again')
    return new FileCursor(file, name, typeof state === 'object' ? state : undefined)
  } catch (error) {
    const message = `the cursor ${name} cannot be opened in ${directory}: ${describe(error)}`
    throw new TidegateError('TG_DATA_UNUSABLE', message, { cause: error })
  }
}

class FileCursor implements Cursor {
  readonly #file: CursorFile
  readonly #name: string
  #unsettled: readonly Range[]
  #generation: number
  /** What is on the disk. */
  #durable: readonly Range[]
  #flushing: Promise<void> | undefined
  #closed = false

  constructor(file: CursorFile, name: string, state: CursorState | undefined) {
    this.#file = file
    this.#name = name
    this.#unsettled = state?.unsettled ?? ALL_UNSETTLED
    this.#durable = this.#unsettled
    this.#generation = state?.generation ?? 0
  }

  get unsettled(): readonly Range[] {
    return this.#unsettled
  }

  get position(): Seq {
    return (this.#unsettled[0]?.first ?? 1) - 1
  }

  settle(first: Seq, last: Seq): void {
    this.#unsettled = settleRange(this.#unsettled, first, last)
  }

  async flush(): Promise<void> {
    // The write that is under way may have begun before the last settle().
    if (this.#flushing !== undefined) await this.#flushing.catch(() => undefined)
    if (this.#durable === this.#unsettled || this.#closed) return
    this.#flushing ??= this.#write().finally(() => {
      this.#flushing = undefined
    })
    await this.#flushing
  }

  async close(): Promise<void> {
    await this.flush().catch(() => undefined)
    this.#closed = true
    await this.#file.close()
  }

  async #write(): Promise<void> {
    const unsettled = this.#unsettled
    const generation = this.#generation + 1
    try {
      await this.#file.write({ generation, unsettled })
    } catch (error) {
      const message = `the cursor ${this.#name} cannot be written: ${describe(error)}`
      throw new TidegateError('TG_LOG_WRITE', message, { cause: error })
    }
    this.#generation = generation
    this.#durable = unsettled
  }
}

class CursorFile {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #path: string
  /** Undefined while there is no file to trust: the next write makes a new one. */
  #handle: FileHandle | undefined

  constructor(fileSystem: FileSystem, directory: string, path: string) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#path = path
  }

  async open(): Promise<CursorState | 'missing' | 'damaged'> {
    let handle: FileHandle
    try {
      handle = await this.#fileSystem.open(this.#path, 'update')
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return 'missing'
      throw error
    }
    // An unreadable file is a damaged one.
    const state = await readCursor(handle).catch(() => undefined)
    if (state === undefined) await handle.close()
    else this.#handle = handle
    return state ?? 'damaged'
  }

  async write(state: CursorState): Promise<void> {
    const handle = this.#handle
    if (handle === undefined) return this.#replace(state)
    try {
      const slot = encodeSlot(state)
      await writeFully(handle, slot, 0, slot.length, slotOffset(state.generation))
      await handle.datasync()
    } catch {
      // A failed sync is final for the file; a new one may work, and if not, its error is the one to report.
      this.#handle = undefined
      await handle.close().catch(() => undefined)
      await this.#replace(state)
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close().catch(() => undefined)
  }

  async #replace(state: CursorState): Promise<void> {
    const fresh = `${this.#path}.new`
    const bytes = Buffer.alloc(CURSOR_FILE_BYTES)
    encodeSlot(state).copy(bytes, slotOffset(state.generation))
    const handle = await this.#fileSystem.open(fresh, 'replace')
    try {
      await writeFully(handle, bytes, 0, bytes.length, 0)
      await handle.sync()
      await this.#fileSystem.rename(fresh, this.#path)
      await this.#fileSystem.syncDirectory(this.#directory)
      // The directory may be as new as the file.
      await this.#fileSystem.syncDirectory(dirname(this.#directory))
    } catch (error) {
      await handle.close().catch(() => undefined)
      throw error
    }
    this.#handle = handle
  }
}
