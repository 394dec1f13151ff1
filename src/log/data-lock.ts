// One gateway per data directory: an advisory lock on {data}/log/lock, held as long as the log is open. The kernel drops it
// with the process, however that ends. The file holds the process id, for the message of the one who comes second. A disk that
// is read-only for now does not keep the log from opening: what is there can be read, and the disk may come back.

import { dirname, join } from 'node:path'
import { pid } from 'node:process'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { readFully, writeFully } from './file-system.ts'
import { listSegments } from './segment-file.ts'

const MAX_PID_BYTES = 20

/** The open lock file; closing it releases the lock. Throws TG_DATA_LOCKED, TG_DATA_UNUSABLE. */
export const lockData = async (
  fileSystem: FileSystem,
  directory: string,
  tryLock: (fd: number) => boolean,
): Promise<FileHandle> => {
  const handle = await openLockFile(fileSystem, directory)
  try {
    if (!tryLock(handle.fd)) {
      const holder = await holderOf(handle)
      throw new TidegateError('TG_DATA_LOCKED', `${directory} is in use by ${holder}`)
    }
    await sign(handle).catch((error: unknown) => {
      // Opened for reading only.
      if (systemCode(error) === undefined) throw error
    })
    return handle
  } catch (error) {
    await handle.close().catch(() => undefined)
    if (error instanceof TidegateError) throw error
    throw new TidegateError('TG_DATA_UNUSABLE', `${directory}: ${describe(error)}`, { cause: error })
  }
}

const openLockFile = async (fileSystem: FileSystem, directory: string): Promise<FileHandle> => {
  try {
    const isNew = await isWithoutSegments(fileSystem, join(directory, 'log'))
    await fileSystem.makeDirectory(join(directory, 'log'))
    // A segment is only as durable as the directories on the way to it. Where there is one, an earlier start saw to that.
    await fileSystem.syncDirectory(directory).catch((error: unknown) => {
      if (isNew) throw error
    })
    await fileSystem.syncDirectory(dirname(directory)).catch(() => undefined)
    return await fileSystem.open(join(directory, 'log', 'lock'), 'create')
  } catch (error) {
    const handle = await fileSystem.open(join(directory, 'log', 'lock'), 'read').catch(() => undefined)
    if (handle !== undefined) return handle
    throw new TidegateError('TG_DATA_UNUSABLE', `${directory}: ${describe(error)}`, { cause: error })
  }
}

const isWithoutSegments = async (fileSystem: FileSystem, directory: string): Promise<boolean> => {
  try {
    return (await listSegments(fileSystem, directory)).segments.length === 0
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return true
    throw error
  }
}

// In place, since a full disk may have no block for it again. The lock holds without it: then nobody is named, for no wrong one.
const sign = async (handle: FileHandle): Promise<void> => {
  const text = Buffer.from(`${pid}\n`.padEnd(MAX_PID_BYTES))
  try {
    await writeFully(handle, text, 0, text.length, 0)
  } catch {
    await handle.truncate(0)
  }
}

const holderOf = async (handle: FileHandle): Promise<string> => {
  const bytes = Buffer.alloc(MAX_PID_BYTES)
  const length = await readFully(handle, bytes, 0, bytes.length, 0).catch(() => 0)
  const digits = bytes.toString('latin1', 0, length).trim()
  return /^\d+$/.test(digits) ? `process ${digits}` : 'another process'
}
