// A file system that reckons up what the disk under it writes: whole pages, and what ext4 adds to keep its own records. The
// figures are measured (npm run bench -- wear, which compares them with the block device's own counters).

import type { FileHandle, FileSystem } from './file-system.ts'
import { PAGE_BYTES } from './limits.ts'

/** A commit of ext4's journal: its descriptor, the block of the inode, the commit record. */
const JOURNAL_BYTES = 12 * 1024
/** A name that is made, changed or removed: directory, both bitmaps, group descriptors, inodes, each by way of the journal. */
const NAME_BYTES = 40 * 1024
/** The journal is written this often while anything changes, be it the time of the last write. */
const JOURNAL_INTERVAL_MS = 5_000

export const meteredFileSystem = (
  real: FileSystem,
  monotonicMs: () => number,
  onPhysical: (bytes: number) => void,
): FileSystem => {
  let journalMs = monotonicMs()
  let renamed = false

  const synced = (pages: number, changed: boolean): void => {
    if (pages === 0 && !changed) return
    const nowMs = monotonicMs()
    const journal = changed || nowMs - journalMs >= JOURNAL_INTERVAL_MS
    if (journal) journalMs = nowMs
    onPhysical(pages * PAGE_BYTES + (journal ? JOURNAL_BYTES : 0))
  }

  /** `sizeBytes`: of the file, as it is. */
  const meter = (handle: FileHandle, sizeBytes: number): FileHandle => {
    let size = sizeBytes
    let changed = false
    let pages = 0
    let lastPage = -1
    const settle = (): void => {
      synced(pages, changed)
      changed = false
      pages = 0
      lastPage = -1
    }
    return {
      fd: handle.fd,
      read: (buffer, offset, length, position) => handle.read(buffer, offset, length, position),
      async write(buffer, offset, length, position) {
        const count = await handle.write(buffer, offset, length, position)
        const first = Math.floor(position / PAGE_BYTES)
        const last = Math.floor((position + Math.max(count, 1) - 1) / PAGE_BYTES)
        // Blocks of one commit follow each other: the page in which one ends and the next begins is written once.
        pages += last - first + (first === lastPage ? 0 : 1)
        lastPage = last
        if (position + count > size) {
          size = position + count
          changed = true
        }
        return count
      },
      datasync() {
        settle()
        return handle.datasync()
      },
      sync() {
        settle()
        return handle.sync()
      },
      truncate(bytes) {
        changed ||= bytes !== size
        size = bytes
        return handle.truncate(bytes)
      },
      size: () => handle.size(),
      close: () => handle.close(),
    }
  }

  return {
    async open(path, mode) {
      const handle = await real.open(path, mode)
      if (mode === 'read') return handle
      if (mode === 'replace') return meter(handle, 0)
      try {
        return meter(handle, await handle.size())
      } catch (error) {
        await handle.close()
        throw error
      }
    },
    async rename(from, to) {
      await real.rename(from, to)
      renamed = true
    },
    async unlink(path) {
      await real.unlink(path)
      renamed = true
    },
    async syncDirectory(path) {
      if (renamed) onPhysical(NAME_BYTES)
      renamed = false
      await real.syncDirectory(path)
    },
    list: (directory) => real.list(directory),
    makeDirectory: (path) => real.makeDirectory(path),
    size: (path) => real.size(path),
    freeBytes: (path) => real.freeBytes(path),
  }
}
