// What is damaged is kept and remembered, in {data}/quarantine/: the bytes, and a note in JSON beside them. The note stands
// before anything else happens to the damage; its name ends in `.owed.json` until a loss mark about it is durable, so that a
// stop at any moment neither forgets the loss nor tells it for ever. Bounded: the bytes of the oldest damage go first.

import { join } from 'node:path'
import type { Logger, LossMark, Meter, Seq } from '../core/contract.ts'
import { describe, systemCode } from '../core/errors.ts'
import type { Range } from '../core/log-contract.ts'
import type { FileSystem } from './file-system.ts'
import { writeFully } from './file-system.ts'
import { CHUNK_BYTES, MAX_QUARANTINE_NOTES } from './limits.ts'
import type { Damage, Note } from './quarantine-note.ts'
import { baseOf, damageName, encodeNote, isNote, NOTE_SUFFIX, OWED_SUFFIX, readNote } from './quarantine-note.ts'
import { addRange, covers } from './ranges.ts'

export interface QuarantineOptions {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly meter: Meter
  readonly wallMs: () => number
  /** Bound of the bytes that are kept. */
  readonly maxBytes: number
}

/** Reads damaged bytes where they are. */
export type ReadBytes = (buffer: Buffer, length: number, position: number) => Promise<number>

interface Inventory {
  /** Names of the notes. */
  readonly notes: Set<string>
  /** Everything else, with its size. */
  readonly bytes: Map<string, number>
}

export class Quarantine {
  readonly #options: QuarantineOptions
  readonly #directory: string
  #inventory: Inventory | undefined
  /** Seqs that a note tells of. */
  #known: readonly Range[] = []
  #loading: Promise<void> | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: QuarantineOptions) {
    this.#options = options
    this.#directory = join(options.directory, 'quarantine')
  }

  /** Files and byte ranges in quarantine; 0 until it was looked at. */
  get count(): number {
    if (this.#inventory === undefined) return 0
    const { notes, bytes } = this.#inventory
    const names = new Set([...notes].map(baseOf))
    for (const name of bytes.keys()) names.add(name)
    return names.size
  }

  /** Whether a note tells of all of these seqs. */
  async knows(first: Seq, last: Seq): Promise<boolean> {
    return covers(await this.known(), first, last)
  }

  /** Seqs that a note tells of, ascending. */
  async known(): Promise<readonly Range[]> {
    this.#loading ??= this.#loadKnown()
    await this.#loading
    return this.#known
  }

  /** From now on these seqs are known, until the next start: for a loss of which no note could be written. */
  async remember(first: Seq, last: Seq): Promise<void> {
    await this.known()
    this.#known = addRange(this.#known, { first, last }).slice(-MAX_QUARANTINE_NOTES)
  }

  /** The note of the newest segment that something was kept of. */
  async newest(): Promise<Note | undefined> {
    const { notes } = await this.#look()
    const name = [...notes].sort().at(-1)
    return name === undefined ? undefined : this.#read(name)
  }

  /** Notes whose loss mark is not durable yet. */
  async owed(): Promise<Note[]> {
    const { notes } = await this.#look()
    const owed: Note[] = []
    for (const name of [...notes].filter((one) => one.endsWith(OWED_SUFFIX)).sort()) {
      const note = await this.#read(name)
      if (note !== undefined) owed.push(note)
    }
    return owed
  }

  /**
   * Copies damaged bytes and writes the note, both durable when it resolves. Undefined when there is a note of it already.
   * Rejects when the disk does not let it.
   */
  keep(damage: Damage, read?: ReadBytes): Promise<Note | undefined> {
    return this.#alone(async () => {
      if (await this.#isKept(damage)) return undefined
      await this.#prepare()
      const name = await this.#freeName(damageName(damage))
      const bytes = read === undefined ? 0 : await this.#copy(name, damage, read)
      return this.#note(name, damage, bytes)
    })
  }

  /** Moves a whole file here, under a note that stands first. Rejects when the disk does not let it. */
  keepFile(path: string, damage: Damage): Promise<void> {
    return this.#alone(async () => {
      const { fileSystem } = this.#options
      await this.#prepare()
      const name = await this.#freeName(damageName(damage))
      const sizeBytes = damage.to - damage.from
      await this.#makeRoom(sizeBytes)
      // Should it end behind the note, the file is found again, and its seqs are known: then it only moves.
      if (!(await this.#isKept(damage))) await this.#note(name, damage, sizeBytes)
      await fileSystem.rename(path, join(this.#directory, name))
      await fileSystem.syncDirectory(this.#directory)
      this.#inventory?.bytes.set(name, sizeBytes)
    })
  }

  /** The loss mark of this note is durable. */
  settle(note: Note): Promise<void> {
    return this.#alone(async () => {
      const owed = note.name + OWED_SUFFIX
      const { notes } = await this.#look()
      if (!notes.has(owed)) return
      try {
        await this.#options.fileSystem.rename(
          join(this.#directory, owed),
          join(this.#directory, note.name + NOTE_SUFFIX),
        )
        await this.#options.fileSystem.syncDirectory(this.#directory)
        notes.delete(owed)
        notes.add(note.name + NOTE_SUFFIX)
      } catch (error) {
        this.#options.logger.warn({ note: owed, error: describe(error) }, 'a loss is told again at the next start')
      }
    })
  }

  /** Looks at what is there; nothing when there is no quarantine, or it cannot be read. */
  async #look(): Promise<Inventory> {
    if (this.#inventory !== undefined) return this.#inventory
    const { fileSystem, logger } = this.#options
    const inventory: Inventory = { notes: new Set(), bytes: new Map() }
    try {
      for (const name of await fileSystem.list(this.#directory)) {
        if (isNote(name)) inventory.notes.add(name)
        else inventory.bytes.set(name, await fileSystem.size(join(this.#directory, name)).catch(() => 0))
      }
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') logger.warn({ error: describe(error) }, 'the quarantine cannot be read')
    }
    this.#inventory = inventory
    return inventory
  }

  async #loadKnown(): Promise<void> {
    const { notes } = await this.#look()
    for (const name of notes) {
      const note = await this.#read(name)
      if (note !== undefined && note.last >= note.first) this.#known = addRange(this.#known, note)
    }
  }

  async #read(name: string): Promise<Note | undefined> {
    const note = await readNote(this.#options.fileSystem, this.#directory, name)
    if (note === undefined) this.#options.logger.warn({ note: name }, 'a note in quarantine cannot be understood')
    return note
  }

  /** Makes the directory. A file in its place makes way: it is not of the log, and keeps its content under another name. */
  async #prepare(): Promise<void> {
    const { fileSystem, directory, logger, wallMs } = this.#options
    try {
      await fileSystem.makeDirectory(this.#directory)
    } catch (error) {
      if (systemCode(error) !== 'EEXIST' && systemCode(error) !== 'ENOTDIR') throw error
      const name = `quarantine.${Math.round(wallMs())}.file`
      await fileSystem.rename(this.#directory, join(directory, name))
      await fileSystem.makeDirectory(this.#directory)
      this.#inventory = undefined
      logger.warn({ file: name }, 'a file stood where the quarantine belongs; it was given another name')
    }
    await fileSystem.syncDirectory(directory)
  }

  /** Whether a note tells of it: of its seqs, or, where it costs none, of its bytes. */
  async #isKept(damage: Damage): Promise<boolean> {
    if (damage.last >= damage.first) return this.knows(damage.first, damage.last)
    return (await this.#look()).notes.has(damageName(damage) + NOTE_SUFFIX)
  }

  /** A name that no note has. Bytes without a note are of a damage that is about to be told again. */
  async #freeName(wanted: string): Promise<string> {
    const { notes } = await this.#look()
    const taken = (name: string) => notes.has(name + NOTE_SUFFIX) || notes.has(name + OWED_SUFFIX)
    let name = wanted
    for (let number = 2; taken(name); number++) name = `${wanted}.${number}`
    return name
  }

  /** How many bytes were kept. */
  async #copy(name: string, { from, to }: Damage, read: ReadBytes): Promise<number> {
    const { fileSystem } = this.#options
    if (to <= from || !(await this.#makeRoom(to - from))) return 0
    const path = join(this.#directory, name)
    const handle = await fileSystem.open(path, 'replace')
    let done = 0
    try {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, to - from))
      while (done < to - from) {
        const count = await read(buffer, Math.min(buffer.length, to - from - done), from + done)
        if (count === 0) break
        await writeFully(handle, buffer, 0, count, done)
        done += count
      }
      await handle.sync()
    } catch (error) {
      // Half of it is of no use, and on a full disk its room is.
      await fileSystem.unlink(path).catch(() => undefined)
      throw error
    } finally {
      await handle.close()
    }
    this.#inventory?.bytes.set(name, done)
    return done
  }

  async #note(name: string, damage: Damage, bytes: number): Promise<Note> {
    const { fileSystem, logger, meter, wallMs } = this.#options
    const note: Note = { ...damage, name, time: wallMs(), bytes }
    const owes = damage.last >= damage.first
    const file = name + (owes ? OWED_SUFFIX : NOTE_SUFFIX)
    const path = join(this.#directory, file)
    const text = encodeNote(note)
    const handle = await fileSystem.open(`${path}.new`, 'replace')
    try {
      await writeFully(handle, text, 0, text.length, 0)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fileSystem.rename(`${path}.new`, path)
    await fileSystem.syncDirectory(this.#directory)
    this.#inventory?.notes.add(file)
    if (owes) await this.remember(damage.first, damage.last)
    await this.#forgetOldest()
    const { segment, from, to, first, last, why } = damage
    logger.error({ segment, from, to, firstSeq: first, lastSeq: last, keptBytes: bytes, why }, 'damage in the log')
    meter.add('log_damages_total')
    return note
  }

  /** Removes the oldest bytes until so many more are within the bound; false when they never would be. */
  async #makeRoom(sizeBytes: number): Promise<boolean> {
    const { maxBytes, fileSystem, logger, meter } = this.#options
    const { bytes } = await this.#look()
    let total = sizeBytes
    for (const size of bytes.values()) total += size
    for (const [name, size] of [...bytes].sort(([one], [other]) => (one < other ? -1 : 1))) {
      if (total <= maxBytes) break
      await fileSystem.unlink(join(this.#directory, name)).catch((error: unknown) => {
        logger.warn({ file: name, error: describe(error) }, 'bytes in quarantine cannot be removed')
      })
      bytes.delete(name)
      total -= size
      meter.add('log_quarantine_dropped_bytes_total', undefined, size)
      logger.warn({ file: name, sizeBytes: size }, 'the quarantine is full: its oldest bytes are removed')
    }
    return sizeBytes <= maxBytes
  }

  async #forgetOldest(): Promise<void> {
    const { notes } = await this.#look()
    if (notes.size <= MAX_QUARANTINE_NOTES) return
    const oldest = [...notes].filter((name) => !name.endsWith(OWED_SUFFIX)).sort()[0]
    if (oldest === undefined) return
    notes.delete(oldest)
    await this.#options.fileSystem.unlink(join(this.#directory, oldest)).catch(() => undefined)
  }

  /** One at a time: names and room are taken in turn. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

/** For losses.record. */
export const markOf = (note: Damage): Omit<LossMark, 'time'> => ({
  first: note.first,
  last: note.last,
  count: note.count,
  reason: 'corrupt',
  detail: note.why,
  ...(note.topics === undefined ? {} : { topics: note.topics }),
})
