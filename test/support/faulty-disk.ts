// The real disk behind the log's seam, with faults on demand and a record of what was asked of it, in order.

import type { FileHandle, FileSystem } from '../../src/log/file-system.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'

export type DiskCall =
  | 'open'
  | 'read'
  | 'write'
  | 'datasync'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'unlink'
  | 'syncDirectory'

export interface FaultyDisk extends FileSystem {
  /** What was done, as `call name-of-the-file`, oldest first; a call that failed is not there. */
  readonly done: string[]
  /** Files that were synced again through the same descriptor after a sync had failed: the kernel may have lied then. */
  readonly resynced: string[]
  /** The next `times` calls of this kind on a path that contains `part` fail, after `spared` ones; Infinity until heal(). */
  fail(
    call: DiskCall,
    code: string,
    options?: { readonly part?: string; readonly times?: number; readonly spared?: number },
  ): void
  heal(): void
  /** The next calls of this kind wait until the returned function is called. */
  hold(call: DiskCall): () => void
  /** Lets what is under way end and nothing else begin: the directory stands still until the returned function is called. */
  freeze(): Promise<() => void>
  /** From now on a write takes at most so many bytes. */
  limitWrites(bytes: number): void
  /** What the file system says is free. */
  setFree(bytes: number): void
}

interface Fault {
  readonly call: DiskCall
  readonly part: string
  readonly code: string
  times: number
  spared: number
}

export const faultyDisk = (): FaultyDisk => {
  const real = nodeFileSystem()
  const done: string[] = []
  const resynced: string[] = []
  let faults: Fault[] = []
  const gates = new Map<DiskCall, Promise<void>>()
  let frozen: Promise<void> | undefined
  const busy = new Set<Promise<unknown>>()
  let writeLimit = Number.POSITIVE_INFINITY
  let free = Number.POSITIVE_INFINITY

  const through = async <T>(call: DiskCall, path: string, work: () => Promise<T>): Promise<T> => {
    await gates.get(call)
    while (frozen !== undefined) await frozen
    const fault = faults.find((one) => one.call === call && one.times > 0 && path.includes(one.part))
    if (fault !== undefined && fault.spared > 0) fault.spared--
    else if (fault !== undefined) {
      fault.times--
      throw Object.assign(new Error(`${fault.code}: injected, ${call} ${path}`), { code: fault.code })
    }
    const working = work()
    busy.add(working)
    const result = await working.finally(() => busy.delete(working))
    if (call !== 'read') done.push(`${call} ${path.slice(path.lastIndexOf('/') + 1)}`)
    return result
  }
  const wrap = (handle: FileHandle, path: string): FileHandle => {
    let hasFailed = false
    const sync = async (call: 'datasync' | 'sync'): Promise<void> => {
      try {
        await through(call, path, () => handle[call]())
      } catch (error) {
        hasFailed = true
        throw error
      }
      if (hasFailed) resynced.push(path)
    }
    return {
      fd: handle.fd,
      read: (...args) => through('read', path, () => handle.read(...args)),
      write: (buffer, offset, length, position) =>
        through('write', path, () => handle.write(buffer, offset, Math.min(length, writeLimit), position)),
      datasync: () => sync('datasync'),
      sync: () => sync('sync'),
      truncate: (sizeBytes) => through('truncate', path, () => handle.truncate(sizeBytes)),
      size: () => handle.size(),
      close: () => handle.close(),
    }
  }

  return {
    ...real,
    done,
    resynced,
    open: (path, mode) => through('open', path, async () => wrap(await real.open(path, mode), path)),
    rename: (from, to) => through('rename', to, () => real.rename(from, to)),
    unlink: (path) => through('unlink', path, () => real.unlink(path)),
    syncDirectory: (path) => through('syncDirectory', path, () => real.syncDirectory(path)),
    freeBytes: async () => free,
    fail: (call, code, { part = '', times = 1, spared = 0 } = {}) =>
      void faults.push({ call, code, part, times, spared }),
    heal: () => {
      faults = []
    },
    hold: (call) => {
      const { promise, resolve } = deferred()
      gates.set(call, promise)
      return () => {
        gates.delete(call)
        resolve()
      }
    },
    freeze: async () => {
      const { promise, resolve } = deferred()
      frozen = promise
      await Promise.allSettled([...busy])
      return () => {
        frozen = undefined
        resolve()
      }
    },
    limitWrites: (bytes) => {
      writeLimit = bytes
    },
    setFree: (bytes) => {
      free = bytes
    },
  }
}

const deferred = () => {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
