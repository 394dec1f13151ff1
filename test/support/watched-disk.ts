// The real disk behind the log's seam; a function is awaited before anything is changed on it, and may look, wait or throw.

import type { FileSystem } from '../../src/log/file-system.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'

/** `call` is the name of the call and the paths that it is about. */
export const watchedDisk = (before: (call: string) => Promise<void> | void): FileSystem => {
  const real = nodeFileSystem()
  const watched =
    <A extends unknown[], R>(call: string, work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await before([call, ...args.filter((arg) => typeof arg === 'string')].join(' '))
      return work(...args)
    }
  return {
    ...real,
    open: async (path, mode) => {
      if (mode !== 'read') await before(`open ${path}`)
      const handle = await real.open(path, mode)
      return {
        ...handle,
        write: watched(`write ${path}`, handle.write),
        sync: watched(`sync ${path}`, handle.sync),
        datasync: watched(`datasync ${path}`, handle.datasync),
        truncate: watched(`truncate ${path}`, handle.truncate),
      }
    },
    rename: watched('rename', real.rename),
    unlink: watched('unlink', real.unlink),
    syncDirectory: watched('syncDirectory', real.syncDirectory),
  }
}
