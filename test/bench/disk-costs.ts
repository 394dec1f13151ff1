// What a disk writes for one small commit, by the ways to lay it out: the figures behind the design of the log and the cursors.
// Counted by the block device itself, on ext4 in an image of its own.

import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { LoopDisk } from '../support/loop-disk.ts'
import { endAll, line, quick, scope, whole } from './report.ts'

const COMMITS = quick ? 200 : 1_000
const PAGE = 4_096
const FILL_BYTES = 256 * 1024
/** A block with one message of 120 B, and with the ten that a second brings at 10 messages/s. */
const LONE_BYTES = 182
const TEN_BYTES = 1_310
const ROOM_BYTES = 8 * 2 ** 20

interface Layout {
  readonly title: string
  /** Called with each commit; `at` is the end of the file. Returns the new one. */
  readonly commit: (file: FileHandle, at: number, bytes: Buffer, disk: LoopDisk) => Promise<number>
  /** The file is there already, full of something else. */
  readonly room?: boolean
}

const put = async (file: FileHandle, at: number, bytes: Buffer): Promise<number> => {
  await file.write(bytes, 0, bytes.length, at)
  await file.datasync()
  return at + bytes.length
}

const nextPage = (at: number): number => Math.ceil(at / PAGE) * PAGE

const LOG_LAYOUTS: readonly Layout[] = [
  {
    title: 'growing file, fsync',
    commit: async (file, at, bytes) => {
      await file.write(bytes, 0, bytes.length, at)
      await file.sync()
      return at + bytes.length
    },
  },
  { title: 'growing file, fdatasync', commit: put },
  {
    title: 'filled with zeros 256 KiB ahead',
    commit: async (file, at, bytes) => {
      const filledTo = Math.ceil(at / FILL_BYTES) * FILL_BYTES
      if (at + bytes.length > filledTo) await put(file, filledTo, Buffer.alloc(FILL_BYTES))
      return put(file, at, bytes)
    },
  },
  { title: 'written over (recycled)', room: true, commit: put },
  {
    title: 'the same, no commit across two pages',
    room: true,
    commit: (file, at, bytes) => put(file, (at % PAGE) + bytes.length > PAGE ? nextPage(at) : at, bytes),
  },
  {
    title: 'the same, a page for each commit',
    room: true,
    commit: (file, at, bytes) => put(file, nextPage(at), bytes),
  },
]

let slot = 0
const CURSOR_LAYOUTS: readonly Layout[] = [
  {
    title: 'two slots written in place by turns',
    room: true,
    commit: (file, _at, bytes) => put(file, (slot++ % 2) * PAGE, bytes),
  },
  {
    title: 'a new file, renamed',
    commit: async (_file, at, bytes, disk) => {
      const fresh = join(disk.path, 'cursor.new')
      const file = await open(fresh, 'w')
      await file.write(bytes)
      await file.sync()
      await file.close()
      await rename(fresh, join(disk.path, 'cursor'))
      const directory = await open(disk.path, 'r')
      await directory.sync()
      await directory.close()
      return at
    },
  },
]

const measure = async ({ title, commit, room = false }: Layout, commitBytes: number): Promise<void> => {
  const disk = await LoopDisk.make(scope)
  const file = await open(join(disk.path, 'file'), 'w+')
  if (room) await file.write(Buffer.alloc(ROOM_BYTES, 'y'))
  await file.sync()
  const before = await disk.writtenBytes()
  const bytes = Buffer.alloc(commitBytes, 'x')
  let at = 0
  for (let count = 0; count < COMMITS; count++) at = await commit(file, at, bytes, disk)
  const written = (await disk.writtenBytes()) - before
  await file.close()
  await endAll()
  line(`  ${title}`, `${whole(written / COMMITS)} B, file ${whole(at / COMMITS)} B`)
}

export const benchDiskCosts = async (): Promise<void> => {
  for (const bytes of [LONE_BYTES, TEN_BYTES]) {
    console.log(`\nWritten by the disk (ext4) for each of ${whole(COMMITS)} commits of ${whole(bytes)} B`)
    for (const layout of LOG_LAYOUTS) await measure(layout, bytes)
  }
  console.log('\nWritten by the disk for each move of a cursor')
  for (const layout of CURSOR_LAYOUTS) await measure(layout, 40)
}
