// The directories of the simulated disk: which names are seen, which are on the disk, and the changes in between. A change
// (creation, rename, removal) is durable once its directory was synced; before, a crash may keep it or not.

import { dirname } from 'node:path'
import type { SimulatedFile, Survival } from './simulated-disk-file.ts'
import type { Random } from './simulated-disk-random.ts'

export type Named = SimulatedFile | 'directory'

/** What names mean after the change, undefined for one that is gone: a rename changes two names, both or none. */
type NameChange = ReadonlyMap<string, Named | undefined>

/** ordered: as a journal does it, a crash keeps the oldest changes up to some point. any: any of them. */
export type NameOrder = 'ordered' | 'any'

const systemError = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: simulated, ${path}`), { code })

export class SimulatedNames {
  #shown = new Map<string, Named>([['/', 'directory']])
  #kept = new Map(this.#shown)
  #changes: NameChange[] = []

  /** Paths of the files that programs see. */
  get files(): ReadonlyMap<string, SimulatedFile> {
    const files = new Map<string, SimulatedFile>()
    for (const [path, named] of this.#shown) if (named !== 'directory') files.set(path, named)
    return files
  }

  get(path: string): Named | undefined {
    return this.#shown.get(path)
  }

  file(path: string): SimulatedFile {
    const named = this.#shown.get(path)
    if (named === undefined) throw systemError('ENOENT', path)
    if (named === 'directory') throw systemError('EISDIR', path)
    return named
  }

  list(directory: string): string[] {
    if (this.#shown.get(directory) !== 'directory') throw systemError('ENOENT', directory)
    const prefix = directory === '/' ? '/' : `${directory}/`
    const names: string[] = []
    for (const path of this.#shown.keys())
      if (path !== '/' && path.startsWith(prefix) && !path.includes('/', prefix.length))
        names.push(path.slice(prefix.length))
    return names
  }

  create(path: string, named: Named): void {
    this.#mustBeDirectory(path)
    this.#change(new Map([[path, named]]))
  }

  remove(path: string): void {
    this.file(path)
    this.#change(new Map([[path, undefined]]))
  }

  rename(from: string, to: string): void {
    const file = this.file(from)
    this.#mustBeDirectory(to)
    this.#change(
      new Map([
        [from, undefined],
        [to, file],
      ]),
    )
  }

  makeDirectory(path: string): void {
    if (this.#shown.get(path) === 'directory') return
    this.makeDirectory(dirname(path))
    this.create(path, 'directory')
  }

  /** fsync of a directory. */
  sync(directory: string): void {
    if (this.#shown.get(directory) !== 'directory') throw systemError('ENOENT', directory)
    this.#changes = this.#changes.filter((change) => {
      const concerned = [...change.keys()].some((path) => dirname(path) === directory)
      if (concerned) apply(this.#kept, change)
      return !concerned
    })
  }

  /** Names a file as it is, at once and durably: damage that no program did. */
  put(path: string, file: SimulatedFile | undefined): void {
    const change = new Map([[path, file]])
    apply(this.#shown, change)
    apply(this.#kept, change)
  }

  /** The power went: from now on programs see what the disk holds. */
  cut(survival: Survival, order: NameOrder, random: Random): void {
    const end = order === 'ordered' ? random.below(this.#changes.length + 1) : this.#changes.length
    for (const [index, change] of this.#changes.entries()) {
      const kept = survival === 'anything' ? index < end && (order === 'ordered' || random.chance(0.5)) : false
      if (kept || survival === 'everything') apply(this.#kept, change)
    }
    this.#changes = []
    this.#repair()
    this.#shown = new Map(this.#kept)
  }

  /** What fsck does: what no directory leads to is gone, and no file has two names. */
  #repair(): void {
    const named = new Map<SimulatedFile, string>()
    for (const [path, node] of this.#kept) {
      for (let up = dirname(path); up !== '/'; up = dirname(up)) if (!this.#kept.has(up)) this.#kept.delete(path)
      if (node === 'directory' || !this.#kept.has(path)) continue
      const earlier = named.get(node)
      if (earlier !== undefined) this.#kept.delete(earlier)
      named.set(node, path)
    }
  }

  #mustBeDirectory(path: string): void {
    if (this.#shown.get(dirname(path)) !== 'directory') throw systemError('ENOENT', path)
  }

  #change(change: NameChange): void {
    apply(this.#shown, change)
    this.#changes.push(change)
  }
}

const apply = (names: Map<string, Named>, change: NameChange): void => {
  for (const [path, named] of change) {
    names.delete(path)
    if (named !== undefined) names.set(path, named)
  }
}
