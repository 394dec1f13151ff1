// A disk of the test's own, whose power can be cut: an image file mounted through a loop device. What a program wrote and did
// not fsync before the cut is gone afterwards, directory entries included. Needs root and the tools of the file system.

import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from './directory.ts'
import { until } from './until.ts'

const run = promisify(execFile)

export type DiskType = 'ext4' | 'xfs'

/** xfs makes none smaller than 300 MiB. The image is sparse: what is never written takes no room. */
const SIZE_BYTES = 512 * 2 ** 20
/** Nothing is left for the kernel to do in the background: it would count as written. */
const MAKE = {
  xfs: ['-q', '-f'],
  ext4: ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
} as const satisfies Record<DiskType, readonly string[]>
/** Of /sys/block/NAME/stat, and how many bytes a sector has there, whatever the disk's own have. */
const SECTORS_WRITTEN = 6
const SECTOR_BYTES = 512
const PROGRAMS = {
  '/usr/sbin/xfs_io': 'xfsprogs',
  '/usr/sbin/mkfs.xfs': 'xfsprogs',
  '/usr/sbin/mkfs.ext4': 'e2fsprogs',
} as const

/** Why disks cannot be made here, for a test's `skip`; false when they can. A missing package is no excuse in CI. */
export const loopDiskMissing = (): string | false => {
  const missing = Object.entries(PROGRAMS).filter(([program]) => !existsSync(program))
  if (missing.length > 0 && process.env['CI'] !== 'true')
    return `needs ${[...new Set(missing.map(([, name]) => name))].join(', ')}, not installed`
  if (process.getuid?.() !== 0) return 'needs root, for mounting'
  try {
    execFileSync('/usr/sbin/losetup', ['--find'], { stdio: 'ignore' })
    return false
  } catch {
    return 'needs loop devices, and this machine has none to give'
  }
}

export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #image: string

  /** Made, mounted, and gone with the test. */
  static async make(
    t: { teardown: (work: () => Promise<void>) => void },
    options: { readonly type?: DiskType; readonly path?: string; readonly sizeBytes?: number } = {},
  ): Promise<LoopDisk> {
    const { type = 'ext4', sizeBytes = SIZE_BYTES } = options
    const directory = await temporaryDirectory(t)
    const disk = new LoopDisk(join(directory, 'image'), options.path ?? join(directory, 'disk'))
    const image = await open(disk.#image, 'w')
    await image.truncate(sizeBytes)
    await image.close()
    await run(`mkfs.${type}`, [...MAKE[type], disk.#image])
    await mkdir(disk.path, { recursive: true })
    await disk.#mount()
    // Before the directory is removed, which is the teardown that was asked for first.
    t.teardown(() => disk.#unmount())
    return disk
  }

  private constructor(image: string, path: string) {
    this.#image = image
    this.path = path
  }

  /** From now on nothing reaches the disk; whoever tries gets EIO. */
  async cutPower(): Promise<void> {
    await run('xfs_io', ['-x', '-c', 'shutdown', this.path])
  }

  /** After the cut, once no process has a file on it any more: what the next start finds. */
  async powerUp(): Promise<void> {
    await this.#unmount()
    await this.#mount()
  }

  /** By the device's own counter, since it was mounted; what waits in memory is written first. */
  async writtenBytes(): Promise<number> {
    await run('sync', ['--file-system', this.path])
    const { stdout } = await run('findmnt', ['--noheadings', '--output', 'SOURCE', this.path])
    const counters = await readFile(`/sys/block/${basename(stdout.trim())}/stat`, 'utf8')
    return Number(counters.trim().split(/\s+/)[SECTORS_WRITTEN]) * SECTOR_BYTES
  }

  #mount(): Promise<unknown> {
    return run('mount', ['-o', 'loop', this.#image, this.path])
  }

  async #unmount(): Promise<void> {
    const mounted = async () => (await run('findmnt', ['-n', this.path]).catch(() => undefined)) !== undefined
    if (!(await mounted())) return
    // A process that was killed lets go of its files a moment after its parent heard of its end.
    await until(`${this.path} is unmounted`, () =>
      run('umount', [this.path]).then(
        () => true,
        () => undefined,
      ),
    )
  }
}
