// `{data}/dead-letters/`: what an upstream will never take, one JSON file each, durable before the cursor moves on. The name
// says sink and seqs, so that the same rejection after a crash overwrites itself, and a letter that was replayed is a file
// to delete. Bounded: the oldest letters go first, counted.

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Logger, Meter, Rejection } from '../core/contract.ts'
import { systemCode, TidegateError } from '../core/errors.ts'

export interface DeadLettersOptions {
  readonly directory: string
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
  readonly maxLetters?: number
  readonly maxBytes?: number
}

/** A letter on disk, for those who show or replay them. */
export interface DeadLetter {
  readonly sink: string
  readonly first: number
  readonly last: number
  readonly device: string
  readonly reason: string
  readonly contentType: string
  /** ISO 8601. */
  readonly time: string
  /** Where the body is not UTF-8 it is in `bodyBase64` instead. */
  readonly body?: string
  readonly bodyBase64?: string
}

interface Filed {
  readonly name: string
  readonly sizeBytes: number
}

/** More rejections than these are one mistake repeated; the first thousand show it. */
const DEFAULT_MAX_LETTERS = 1_000
const DEFAULT_MAX_BYTES = 64 * 1_024 * 1_024
const SUFFIX = '.json'
const UNFINISHED = '.tmp'

export class DeadLetters {
  readonly #options: DeadLettersOptions
  readonly #maxLetters: number
  readonly #maxBytes: number
  /** Oldest first. */
  readonly #filed = new Map<string, Filed>()
  #sizeBytes = 0
  #opened = false
  /** One write at a time: several sinks share the directory. */
  #queue: Promise<void> = Promise.resolve()

  constructor(options: DeadLettersOptions) {
    this.#options = options
    this.#maxLetters = options.maxLetters ?? DEFAULT_MAX_LETTERS
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES
  }

  /** Resolves once all of them are durable; rejects with TG_DATA_UNUSABLE when they cannot be. */
  add(sink: string, rejections: readonly Rejection[]): Promise<void> {
    const added = this.#queue.then(() => this.#add(sink, rejections))
    // Each caller hears of its own failure; the next one starts afresh.
    this.#queue = added.catch(() => undefined)
    return added
  }

  async #add(sink: string, rejections: readonly Rejection[]): Promise<void> {
    const { directory, meter, logger } = this.#options
    try {
      if (!this.#opened) await this.#open()
      for (const rejection of rejections) await this.#write(sink, rejection)
      await this.#makeRoom()
      await syncDirectory(directory)
    } catch (error) {
      throw new TidegateError('TG_DATA_UNUSABLE', `dead letters cannot be written to ${directory}`, { cause: error })
    }
    meter.add('sink_dead_letters_total', { sink }, rejections.length)
    for (const { first, last, device, reason } of rejections)
      logger.warn({ sink, first, last, device, reason }, 'dead letter')
  }

  async #open(): Promise<void> {
    const { directory } = this.#options
    await mkdir(directory, { recursive: true })
    const found: (Filed & { readonly writtenAt: number })[] = []
    for (const name of await readdir(directory)) {
      if (name.endsWith(UNFINISHED)) await rm(join(directory, name), { force: true })
      if (!name.endsWith(SUFFIX)) continue
      const { size, mtimeMs } = await stat(join(directory, name))
      found.push({ name, sizeBytes: size, writtenAt: mtimeMs })
    }
    found.sort((left, right) => left.writtenAt - right.writtenAt)
    for (const filed of found) this.#file(filed)
    this.#opened = true
  }

  async #write(sink: string, rejection: Rejection): Promise<void> {
    const { directory, clock } = this.#options
    const { first, last, device, reason, contentType, body } = rejection
    const letter: DeadLetter = {
      sink,
      first,
      last,
      device,
      reason,
      contentType,
      time: new Date(clock.wallMs()).toISOString(),
      ...(isUtf8(body) ? { body: body.toString() } : { bodyBase64: body.toString('base64') }),
    }
    const hash = createHash('sha256').update(device).update('\0').update(body).digest('hex').slice(0, 8)
    const name = `${sink}-${first}-${last}-${hash}${SUFFIX}`
    const bytes = Buffer.from(`${JSON.stringify(letter)}\n`)
    const path = join(directory, name)
    const file = await open(path + UNFINISHED, 'w', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(path + UNFINISHED, path)
    this.#file({ name, sizeBytes: bytes.length })
  }

  #file(filed: Filed): void {
    this.#sizeBytes += filed.sizeBytes - (this.#filed.get(filed.name)?.sizeBytes ?? 0)
    this.#filed.delete(filed.name)
    this.#filed.set(filed.name, filed)
  }

  async #makeRoom(): Promise<void> {
    for (const [name, { sizeBytes }] of this.#filed) {
      if (this.#filed.size <= this.#maxLetters && (this.#sizeBytes <= this.#maxBytes || this.#filed.size === 1)) return
      this.#filed.delete(name)
      this.#sizeBytes -= sizeBytes
      // One that somebody replayed and removed is no loss.
      if (await remove(join(this.#options.directory, name))) {
        this.#options.meter.add('sink_dead_letters_dropped_total')
        this.#options.logger.warn({ letter: name }, 'oldest dead letter dropped to make room')
      }
    }
  }
}

const remove = async (path: string): Promise<boolean> => {
  try {
    await rm(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/** A new name is durable once its directory is. */
const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
