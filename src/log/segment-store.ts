// The files of the log directory as the writer uses them: new segments in the order that survives a power cut, a spare
// file from what retention removed, and places for what is set aside.

import { join } from 'node:path'
import type { Clock, Logger, Seq } from '../core/contract.ts'
import { describe, systemCode } from '../core/errors.ts'
import { ActiveSegment } from './active-segment.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { writeFully } from './file-system.ts'
import type { SegmentHeader } from './segment-header.ts'
import {
  encodeSegmentHeader,
  FORMAT_VERSION,
  newIdentity,
  SEGMENT_HEADER_BYTES,
  segmentName,
} from './segment-header.ts'

/** A segment on its way to its name. Left over only by a stop in the middle; removed at open. */
export const NEW_SUFFIX = '.new'
/** A whole file of the right size, ready to be written over. */
export const SPARE_NAME = 'spare'
/** A file this much larger than a segment is not kept as a spare: sizes must not creep up. */
const MAX_SPARE_FACTOR = 1.5

export interface SegmentStoreOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly logId: string
  readonly gateway: string
  readonly segmentBytes: number
  readonly onWritten: (bytes: number) => void
}

export class SegmentStore {
  /** What a create() that failed made of the name: an empty segment, or nothing; undefined when it is as it was. */
  leftBehind: SegmentHeader | 'nothing' | undefined
  readonly #options: SegmentStoreOptions
  readonly #log: string
  #spareBytes = 0

  constructor(options: SegmentStoreOptions) {
    this.#options = options
    this.#log = join(options.directory, 'log')
  }

  get spareBytes(): number {
    return this.#spareBytes
  }

  /** Takes over the spare file of an earlier run, or removes it when it is of no use. */
  async adoptSpare(): Promise<void> {
    const { fileSystem } = this.#options
    const path = join(this.#log, SPARE_NAME)
    const size = await fileSystem.size(path)
    if (!this.#isSpareSize(size)) return fileSystem.unlink(path)
    // The run that put it here may have failed to make its removal durable: its old name must never come back with new content.
    await fileSystem.syncDirectory(this.#log)
    this.#spareBytes = size
  }

  /** A new segment under its name, empty and durable. */
  async create(first: Seq): Promise<ActiveSegment> {
    const { fileSystem, segmentBytes, onWritten } = this.#options
    const path = join(this.#log, segmentName(first))
    const header = this.#header(first)
    this.leftBehind = undefined
    const file = await this.#newFile(path + NEW_SUFFIX)
    let named = path + NEW_SUFFIX
    try {
      const bytes = encodeSegmentHeader(header)
      await writeFully(file.handle, bytes, 0, bytes.length, 0)
      onWritten(bytes.length)
      await file.handle.sync()
      await fileSystem.rename(path + NEW_SUFFIX, path)
      named = path
      await fileSystem.syncDirectory(this.#log)
    } catch (error) {
      await file.handle.close().catch(() => undefined)
      // Whatever stays behind is removed at the next open; a name must not, since nobody knows that nothing is behind it.
      const removed = await fileSystem.unlink(named).then(
        () => true,
        () => false,
      )
      if (named === path) this.leftBehind = removed ? 'nothing' : header
      throw error
    }
    return new ActiveSegment({
      handle: file.handle,
      header,
      allocatedBytes: Math.max(file.size, SEGMENT_HEADER_BYTES),
      targetBytes: segmentBytes,
      onWritten,
    })
  }

  /**
   * Puts a file of another making under the name of a segment: it is whole and durable before it has the name. Until the
   * directory is durable too, either of the two may come back, never half of one.
   */
  async replace<T>(first: Seq, write: (handle: FileHandle) => Promise<T>): Promise<T> {
    const { fileSystem } = this.#options
    const path = join(this.#log, segmentName(first))
    try {
      const handle = await fileSystem.open(path + NEW_SUFFIX, 'replace')
      let written: T
      try {
        written = await write(handle)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await fileSystem.rename(path + NEW_SUFFIX, path)
      await fileSystem.syncDirectory(this.#log)
      return written
    } catch (error) {
      await fileSystem.unlink(path + NEW_SUFFIX).catch(() => undefined)
      throw error
    }
  }

  /** Gives the spare file back to the file system. */
  async dropSpare(): Promise<void> {
    if (this.#spareBytes === 0) return
    this.#spareBytes = 0
    await this.#options.fileSystem.unlink(join(this.#log, SPARE_NAME))
  }

  /** Removes a segment for good, keeping its blocks as the spare file when one is wanted. */
  async remove(first: Seq, { asSpare = true } = {}): Promise<void> {
    const { fileSystem } = this.#options
    const path = join(this.#log, segmentName(first))
    try {
      const size = asSpare && this.#spareBytes === 0 ? await fileSystem.size(path) : 0
      const spare = this.#isSpareSize(size)
      if (spare) await fileSystem.rename(path, join(this.#log, SPARE_NAME))
      else await fileSystem.unlink(path)
      // Durable before the spare is written over: its old name must never come back with new content.
      await fileSystem.syncDirectory(this.#log)
      if (spare) this.#spareBytes = size
    } catch (error) {
      // Somebody else removed it.
      if (systemCode(error) !== 'ENOENT') throw error
    }
  }

  #isSpareSize(size: number): boolean {
    const { segmentBytes } = this.#options
    return size >= segmentBytes && size <= segmentBytes * MAX_SPARE_FACTOR
  }

  #header(first: Seq): SegmentHeader {
    const { clock, logId, gateway } = this.#options
    return {
      version: FORMAT_VERSION,
      logId,
      identity: newIdentity(),
      first,
      createdMs: clock.wallMs(),
      monotonicMs: clock.monotonicMs(),
      synced: clock.synced(),
      bootId: clock.bootId,
      gateway,
    }
  }

  /** The spare file under a new name, else an empty one. Trouble with the spare must never hurt: it is left behind. */
  async #newFile(path: string): Promise<{ readonly handle: FileHandle; readonly size: number }> {
    const { fileSystem, logger } = this.#options
    const size = this.#spareBytes
    if (size > 0) {
      this.#spareBytes = 0
      try {
        await fileSystem.rename(join(this.#log, SPARE_NAME), path)
        return { handle: await fileSystem.open(path, 'update'), size }
      } catch (error) {
        logger.warn({ path, error: describe(error) }, 'the spare segment cannot be used')
      }
    }
    return { handle: await fileSystem.open(path, 'replace'), size: 0 }
  }
}
