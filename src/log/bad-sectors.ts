// Reading from a card with bad sectors: a page of a file that the disk does not give back reads as zeros, and so becomes damage
// like any other, with a CRC that is wrong, instead of an error that keeps everything behind it from being read. Only where
// the same file can be read otherwise: a disk that gives nothing back at all is an error, and may come back.

import { systemCode } from '../core/errors.ts'
import type { FileHandle } from './file-system.ts'
import { readFully } from './file-system.ts'

/** What a file system gives and loses at once. */
const PAGE_BYTES = 4_096
/** A sector that fails so often will not come back; a bus that hiccups does. */
const ATTEMPTS = 3
/** These come with one file that cannot be read, and will not go away; EIO may be the whole disk, and trouble of the moment. */
const UNREADABLE = ['EUCLEAN', 'EBADMSG', 'EISDIR', 'ELOOP', 'EACCES', 'EPERM']

/** Whether the error says that this one file cannot be read, now or later. */
export const isUnreadable = (error: unknown): boolean => UNREADABLE.includes(systemCode(error) ?? '')

/** Like readFully; pages that the disk does not give back are zeros. */
export const readSalvaging = async (
  handle: FileHandle,
  buffer: Buffer,
  length: number,
  position: number,
): Promise<number> => {
  try {
    return await readFully(handle, buffer, 0, length, position)
  } catch (error) {
    if (systemCode(error) !== 'EIO') throw error
  }
  const end = Math.min(length, (await handle.size()) - position)
  let lost = 0
  let done = 0
  while (done < end) {
    const step = Math.min(PAGE_BYTES - ((position + done) % PAGE_BYTES), end - done)
    if (!(await readPage(handle, buffer, done, step, position + done))) {
      buffer.fill(0, done, done + step)
      lost++
    }
    done += step
  }
  // The first page holds the header that the file was opened by: if that fails too, it is not a sector that is bad.
  if (lost > 0) await readFully(handle, Buffer.alloc(1), 0, 1, 0)
  return Math.max(0, end)
}

const readPage = async (handle: FileHandle, buffer: Buffer, offset: number, length: number, at: number) => {
  for (let attempt = 1; ; attempt++) {
    try {
      await readFully(handle, buffer, offset, length, at)
      return true
    } catch (error) {
      if (systemCode(error) !== 'EIO') throw error
      if (attempt === ATTEMPTS) return false
    }
  }
}
