// A disk that takes so many calls that change something, and nothing from then on: what a kill leaves, at a call of choice.

import type { FileSystem } from '../../src/log/file-system.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'

export interface DyingDisk extends FileSystem {
  /** It took everything that was asked of it. */
  readonly alive: boolean
}

export const dyingDisk = (calls: number): DyingDisk => {
  const real = nodeFileSystem()
  let left = calls
  const taken = <T>(work: () => Promise<T>): Promise<T> => {
    if (left-- > 0) return work()
    return Promise.reject(Object.assign(new Error('EIO: killed'), { code: 'EIO' }))
  }
  return {
    ...real,
    get alive() {
      return left >= 0
    },
    open: async (path, mode) => {
      const open = () => real.open(path, mode)
      const handle = await (mode === 'read' ? open() : taken(open))
      return {
        ...handle,
        write: (...args) => taken(() => handle.write(...args)),
        sync: () => taken(() => handle.sync()),
        datasync: () => taken(() => handle.datasync()),
        truncate: (sizeBytes) => taken(() => handle.truncate(sizeBytes)),
      }
    },
    rename: (from, to) => taken(() => real.rename(from, to)),
    unlink: (path) => taken(() => real.unlink(path)),
    makeDirectory: (path) => taken(() => real.makeDirectory(path)),
    syncDirectory: (path) => taken(() => real.syncDirectory(path)),
  }
}
