// The real disk behind the log's seam, with room for so many bytes: a write takes what fits, and ENOSPC when nothing does. As
// on a real one, a file that was unlinked takes its room until it is closed.

import type { FileHandle, FileSystem } from '../../src/log/file-system.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'

export interface SmallDisk extends FileSystem {
  /** Of all files that were opened for writing here. */
  usedBytes(): number
  setCapacity(bytes: number): void
}

interface Inode {
  size: number
  linked: boolean
  handles: number
}

export const smallDisk = (capacity = Number.POSITIVE_INFINITY): SmallDisk => {
  const real = nodeFileSystem()
  const inodes = new Set<Inode>()
  const names = new Map<string, Inode>()
  let limit = capacity

  const used = (): number => [...inodes].reduce((sum, { size }) => sum + size, 0)
  const free = (): number => Math.max(0, limit - used())
  const forget = (inode: Inode | undefined): void => {
    if (inode !== undefined && !inode.linked && inode.handles === 0) inodes.delete(inode)
  }
  const unlinkName = (path: string): void => {
    const inode = names.get(path)
    names.delete(path)
    if (inode !== undefined) inode.linked = false
    forget(inode)
  }
  const inodeOf = async (path: string): Promise<Inode> => {
    const known = names.get(path)
    if (known !== undefined) return known
    const inode = { size: await real.size(path).catch(() => 0), linked: true, handles: 0 }
    inodes.add(inode)
    names.set(path, inode)
    return inode
  }
  const noRoom = (path: string): Error => Object.assign(new Error(`ENOSPC: no room for ${path}`), { code: 'ENOSPC' })

  const wrap = (handle: FileHandle, inode: Inode, path: string): FileHandle => {
    inode.handles++
    let closed = false
    return {
      ...handle,
      async write(buffer, offset, length, position) {
        const grows = Math.max(0, position + length - inode.size)
        const takes = length - Math.max(0, grows - free())
        if (takes <= 0) throw noRoom(path)
        inode.size = Math.max(inode.size, position + takes)
        return handle.write(buffer, offset, takes, position)
      },
      async truncate(sizeBytes) {
        await handle.truncate(sizeBytes)
        inode.size = Math.min(inode.size, sizeBytes)
      },
      async close() {
        if (!closed) inode.handles--
        closed = true
        forget(inode)
        await handle.close()
      },
    }
  }

  return {
    ...real,
    usedBytes: used,
    setCapacity: (bytes) => {
      limit = bytes
    },
    freeBytes: async () => free(),
    async open(path, mode) {
      if (mode === 'read') return real.open(path, mode)
      const handle = await real.open(path, mode)
      const inode = await inodeOf(path)
      if (mode === 'replace') inode.size = 0
      return wrap(handle, inode, path)
    },
    async rename(from, to) {
      const inode = await inodeOf(from)
      await real.rename(from, to)
      unlinkName(to)
      names.delete(from)
      names.set(to, inode)
    },
    async unlink(path) {
      await inodeOf(path)
      await real.unlink(path)
      unlinkName(path)
    },
  }
}
