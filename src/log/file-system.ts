// The only door to node:fs: everything the log does to a disk goes through these calls, so that tests can put a faulty or
// a simulated disk here. All calls are asynchronous; nothing in the log blocks the event loop for a flush.

import { close, constants, fdatasync, fstat, fsync, ftruncate, open, read, write } from 'node:fs'
import { mkdir, readdir, rename, stat, statfs, unlink } from 'node:fs/promises'

/** read: must exist. update: must exist, writable. create: made when missing. replace: made, or emptied. */
export type OpenMode = 'read' | 'update' | 'create' | 'replace'

export interface FileHandle {
  /** For flock(2). */
  readonly fd: number
  /** May read less than asked for; 0 at the end of the file. */
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<number>
  /** May write less than asked for, without an error: use writeFully. */
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<number>
  datasync(): Promise<void>
  sync(): Promise<void>
  truncate(sizeBytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<FileHandle>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Names in a directory, in no particular order. */
  list(directory: string): Promise<string[]>
  /** With its parents; succeeds when it exists. */
  makeDirectory(path: string): Promise<void>
  size(path: string): Promise<number>
  /** Bytes of the file system that this user may still write. */
  freeBytes(path: string): Promise<number>
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(path: string): Promise<void>
}

/** Writes everything or throws: a full disk returns a short count without an error. */
export const writeFully = async (handle: FileHandle, buffer: Buffer, offset: number, length: number, at: number) => {
  let done = 0
  while (done < length) {
    const count = await handle.write(buffer, offset + done, length - done, at + done)
    if (count <= 0) throw new Error(`the disk took ${done} of ${length} bytes`)
    done += count
  }
}

/** Reads up to `length` bytes; less only at the end of the file. Returns how many. */
export const readFully = async (handle: FileHandle, buffer: Buffer, offset: number, length: number, at: number) => {
  let done = 0
  while (done < length) {
    const count = await handle.read(buffer, offset + done, length - done, at + done)
    if (count === 0) break
    done += count
  }
  return done
}

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  update: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT,
  replace: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
}
/** What the log holds is for the gateway and its group. */
const FILE_PERMISSIONS = 0o640
const DIRECTORY_PERMISSIONS = 0o750

type Callback<T> = (error: NodeJS.ErrnoException | null, value: T) => void

const call = <T>(start: (callback: Callback<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    start((error, value) => (error === null ? resolve(value) : reject(error)))
  })

const finish = (start: (callback: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)))
  })

// Plain descriptors: fs.promises.FileHandle costs more per call, and closes itself when it is garbage.
const handleOf = (fd: number): FileHandle => ({
  fd,
  read: (buffer, offset, length, position) => call((done) => read(fd, buffer, offset, length, position, done)),
  write: (buffer, offset, length, position) => call((done) => write(fd, buffer, offset, length, position, done)),
  datasync: () => finish((done) => fdatasync(fd, done)),
  sync: () => finish((done) => fsync(fd, done)),
  truncate: (sizeBytes) => finish((done) => ftruncate(fd, sizeBytes, done)),
  size: () => call<number>((done) => fstat(fd, (error, stats) => done(error, stats?.size))),
  close: () => finish((done) => close(fd, done)),
})

const openFile = async (path: string, flags: number): Promise<FileHandle> =>
  handleOf(await call<number>((done) => open(path, flags, FILE_PERMISSIONS, done)))

const NODE: FileSystem = {
  open: (path, mode) => openFile(path, FLAGS[mode]),
  rename,
  unlink,
  list: (directory) => readdir(directory),
  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: DIRECTORY_PERMISSIONS })
  },
  async size(path) {
    return (await stat(path)).size
  },
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
  async syncDirectory(path) {
    const handle = await openFile(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

/** The real disk. */
export const nodeFileSystem = (): FileSystem => NODE
