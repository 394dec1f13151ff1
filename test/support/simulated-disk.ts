// A disk in memory behind the log's file system seam. It promises what POSIX promises and nothing more: bytes and sizes are
// durable after a sync of the file, names after a sync of the directory. A kill keeps everything that was called; a power
// cut keeps any subset of what was not synced, torn at any byte. Everything that happens follows from a seed: also the order
// in which calls end that are under way together.

import type { FileHandle, FileSystem } from '../../src/log/file-system.ts'
import type { Stale, Survival } from './simulated-disk-file.ts'
import { SimulatedFile } from './simulated-disk-file.ts'
import type { NameOrder } from './simulated-disk-names.ts'
import { SimulatedNames } from './simulated-disk-names.ts'
import type { Random } from './simulated-disk-random.ts'
import { randomOf } from './simulated-disk-random.ts'

export type DiskCall =
  | 'open'
  | 'read'
  | 'write'
  | 'datasync'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'unlink'
  | 'list'
  | 'makeDirectory'
  | 'size'
  | 'syncDirectory'

export type Crash = 'kill' | 'power-cut'

export interface SimulatedDiskOptions {
  readonly seed: number
  /** What a crash does to names that were not synced. */
  readonly order?: NameOrder
  /** Whether fdatasync also makes a smaller size durable, as Linux does and POSIX does not promise. */
  readonly shrinks?: boolean
  /** Share of the reads and writes that do less than they were asked to. */
  readonly short?: number
}

interface Fault {
  readonly call: DiskCall
  readonly part: string
  readonly code: string
  /** So many calls pass first. */
  after: number
  times: number
}

/** What one process is doing. */
interface Waiting {
  readonly run: () => void
  /** Does what the call does, and tells nobody. */
  readonly effect: () => unknown
  readonly path: string
}

/** Old contents that may show up where a file grew and its data did not arrive. */
const MAX_STALE = 4
/** Calls that take a turn of the event loop. */
const SLOW_SHARE = 0.1
const FIRST_FD = 1_000

export class SimulatedDisk {
  /** Calls that were carried out. */
  done = 0
  readonly names = new SimulatedNames()
  /** Carried out so far, by call. */
  readonly counts = new Map<DiskCall, number>()
  /** Calls that failed on purpose. */
  readonly failed = new Set<DiskCall>()
  /** How the process or the machine ended; undefined while it runs. */
  crashed: Crash | undefined
  capacityBytes = Number.POSITIVE_INFINITY
  readonly #random: Random
  readonly #options: SimulatedDiskOptions
  #process = 0
  #waiting: Waiting[] = []
  #pumping = false
  #faults: Fault[] = []
  #crashAfter: { calls: number; readonly how: Crash } | undefined
  #stale: Buffer[] = []
  #lastFd = FIRST_FD

  constructor(options: SimulatedDiskOptions) {
    this.#options = options
    this.#random = randomOf(options.seed)
  }

  /** Calls are under way. */
  get busy(): boolean {
    return this.#waiting.length > 0
  }

  get usedBytes(): number {
    let bytes = 0
    for (const file of this.names.files.values()) bytes += file.size
    return bytes
  }

  /** The next `times` calls of this kind on a path that contains `part` fail, after `after` that do not; until heal(). */
  fail(
    call: DiskCall,
    code: string,
    options: { readonly part?: string; readonly times?: number; readonly after?: number } = {},
  ) {
    const { part = '', times = 1, after = 0 } = options
    this.#faults.push({ call, part, code, times, after })
  }

  heal(): void {
    this.#faults = []
    this.capacityBytes = Number.POSITIVE_INFINITY
  }

  /** So many calls from now, in the middle of whatever is going on. */
  crashAfter(calls: number, how: Crash): void {
    this.#crashAfter = { calls, how }
  }

  /** The process ends here. Of the calls that are under way, some are carried out. */
  crash(how: Crash): void {
    this.crashed = how
    this.#crashAfter = undefined
    this.#process++
    for (const { effect } of this.#waiting.splice(0)) if (this.#random.chance(0.5)) this.#quietly(effect)
    if (how === 'power-cut') this.#cut()
  }

  #cut(): void {
    const survival = this.#random.pick<Survival>(['nothing', 'everything', 'anything', 'anything', 'anything'])
    this.names.cut(survival, this.#options.order ?? 'ordered', this.#random)
    for (const file of this.names.files.values()) file.cut(survival, this.#random, this.#staleBytes)
  }

  readonly #staleBytes: Stale = (length) => {
    const old = this.#stale[this.#random.below(this.#stale.length + 2)]
    const bytes = Buffer.alloc(length)
    for (let at = 0; old !== undefined && old.length > 0 && at < length; ) at += old.copy(bytes, at)
    return bytes
  }

  /** The file system as the next process sees it. */
  start(): FileSystem {
    this.crashed = undefined
    const process = ++this.#process
    const call = <T>(kind: DiskCall, path: string, effect: () => T): Promise<T> =>
      this.#call(process, kind, path, effect)
    return {
      open: (path, mode) =>
        call('open', path, () => {
          const { names } = this
          if (names.get(path) === undefined && (mode === 'create' || mode === 'replace'))
            names.create(path, new SimulatedFile())
          const file = names.file(path)
          if (mode === 'replace' && file.size > 0) file.truncate(0)
          return this.#handle(process, path, file)
        }),
      rename: (from, to) =>
        call('rename', to, () => {
          this.#forget(to)
          this.names.rename(from, to)
        }),
      unlink: (path) =>
        call('unlink', path, () => {
          this.#forget(path)
          this.names.remove(path)
        }),
      list: (directory) => call('list', directory, () => this.names.list(directory)),
      makeDirectory: (path) => call('makeDirectory', path, () => this.names.makeDirectory(path)),
      size: (path) => call('size', path, () => this.names.file(path).size),
      freeBytes: (path) =>
        call('size', path, () => Math.max(0, Math.min(2 ** 40, this.capacityBytes - this.usedBytes))),
      syncDirectory: (path) => call('syncDirectory', path, () => this.names.sync(path)),
    }
  }

  /** What the file held may show up again in another. */
  #forget(path: string): void {
    const named = this.names.get(path)
    if (named === undefined || named === 'directory') return
    this.#stale.push(Buffer.from(named.durableBytes))
    if (this.#stale.length > MAX_STALE) this.#stale.shift()
  }

  #handle(process: number, path: string, file: SimulatedFile): FileHandle {
    const call = <T>(kind: DiskCall, effect: () => T): Promise<T> => this.#call(process, kind, path, effect, file)
    const { short = 0, shrinks = true } = this.#options
    const some = (length: number): number =>
      length > 1 && this.#random.chance(short) ? 1 + this.#random.below(length - 1) : length
    return {
      fd: ++this.#lastFd,
      read: (buffer, offset, length, position) => call('read', () => file.read(buffer, offset, some(length), position)),
      write: (buffer, offset, length, position) =>
        call('write', () => {
          const room = Math.max(file.size, this.capacityBytes - this.usedBytes + file.size) - position
          const count = Math.min(some(length), Math.floor(room))
          if (count <= 0 && length > 0) throw Object.assign(new Error(`ENOSPC: simulated, ${path}`), { code: 'ENOSPC' })
          file.write(buffer.subarray(offset, offset + count), position)
          return count
        }),
      datasync: () => call('datasync', () => file.datasync(shrinks)),
      sync: () => call('sync', () => file.sync()),
      truncate: (sizeBytes) => call('truncate', () => file.truncate(sizeBytes)),
      size: () => call('size', () => file.size),
      close: () => Promise.resolve(),
    }
  }

  #call<T>(process: number, kind: DiskCall, path: string, effect: () => T, file?: SimulatedFile): Promise<T> {
    return new Promise((resolve, reject) => {
      // Whoever calls after its own death is not heard.
      if (process !== this.#process) return
      const run = () => {
        try {
          const code = this.#fault(kind, path)
          if (code !== undefined) {
            if (kind === 'datasync' || kind === 'sync') file?.failSync(this.#random)
            throw Object.assign(new Error(`${code}: injected, ${kind} ${path}`), { code })
          }
          const result = effect()
          this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
          resolve(result)
        } catch (error) {
          reject(error)
        }
      }
      this.#waiting.push({ run, effect, path })
      this.#pump()
    })
  }

  #fault(kind: DiskCall, path: string): string | undefined {
    const fault = this.#faults.find((one) => one.call === kind && one.times > 0 && path.includes(one.part))
    if (fault === undefined) return undefined
    if (fault.after-- > 0) return undefined
    fault.times--
    this.failed.add(kind)
    return fault.code
  }

  /** One call a turn, any of those that are under way, but those on one file in their order. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    // Mostly at once, which is fast; at times only when everybody else had a turn.
    const soon = this.#random.chance(SLOW_SHARE) ? setImmediate : queueMicrotask
    soon(() => {
      this.#pumping = false
      const chosen = this.#waiting[this.#random.below(this.#waiting.length)]
      if (chosen === undefined) return
      const first = this.#waiting.findIndex(({ path }) => path === chosen.path)
      const [next] = this.#waiting.splice(first, 1)
      next?.run()
      this.done++
      if (this.#crashAfter !== undefined && --this.#crashAfter.calls <= 0) this.crash(this.#crashAfter.how)
      if (this.busy) this.#pump()
    })
  }

  #quietly(effect: () => unknown): void {
    try {
      effect()
    } catch {
      // Nobody is left to be told.
    }
  }
}
