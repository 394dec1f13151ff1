// One file of the simulated disk: what programs see (the page cache), what the disk holds, and the changes in between.
// A crash keeps any subset of these changes, each whole, torn at any byte, or some of its sectors only.

import type { Random } from './simulated-disk-random.ts'

const SECTOR_BYTES = 512
const MIN_CAPACITY_BYTES = 1_024

type Change =
  | { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'size'; readonly size: number }

/** How much of what was not synced survives: nothing, everything, or each change by a throw of the dice. */
export type Survival = 'nothing' | 'everything' | 'anything'

/** Bytes that a disk shows where a file grew and its data did not arrive: zeros, or what was there before. */
export type Stale = (length: number) => Buffer

class Content {
  size = 0
  #bytes = Buffer.alloc(MIN_CAPACITY_BYTES)

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.size)
  }

  put(bytes: Buffer, at: number): void {
    if (at + bytes.length > this.size) this.resize(at + bytes.length)
    this.#bytes.set(bytes, at)
  }

  /** What is new is zero. */
  resize(size: number): void {
    if (size > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(size, 2 * this.#bytes.length))
      this.#bytes.copy(grown, 0, 0, this.size)
      this.#bytes = grown
    } else if (size < this.size) this.#bytes.fill(0, size, this.size)
    this.size = size
  }

  copy(): Content {
    const copy = new Content()
    copy.put(this.bytes, 0)
    return copy
  }
}

export class SimulatedFile {
  #shown = new Content()
  #kept = new Content()
  #changes: Change[] = []

  get size(): number {
    return this.#shown.size
  }

  /** What programs see; for tests that look at files, or damage them. */
  get bytes(): Buffer {
    return this.#shown.bytes
  }

  /** What the disk holds. */
  get durableBytes(): Buffer {
    return this.#kept.bytes
  }

  read(buffer: Buffer, offset: number, length: number, position: number): number {
    return position >= this.size ? 0 : this.bytes.copy(buffer, offset, position, Math.min(this.size, position + length))
  }

  write(bytes: Buffer, position: number): void {
    const copy = Buffer.from(bytes)
    this.#shown.put(copy, position)
    this.#changes.push({ kind: 'write', at: position, bytes: copy })
  }

  truncate(size: number): void {
    this.#shown.resize(size)
    this.#changes.push({ kind: 'size', size })
  }

  /** Replaces everything, at once and durably: damage that no program did. */
  become(bytes: Buffer): void {
    this.#shown = new Content()
    this.#shown.put(bytes, 0)
    this.#kept = this.#shown.copy()
    this.#changes = []
  }

  /** fsync. */
  sync(): void {
    for (const change of this.#changes) apply(this.#kept, change)
    this.#changes = []
  }

  /**
   * fdatasync: like fsync, but a size is only promised where it is needed to read the data. Where `shrinks` is false, what was
   * cut off may still come back.
   */
  datasync(shrinks: boolean): void {
    const sizes: Change[] = []
    for (const change of this.#changes) {
      if (change.kind === 'size' && !shrinks && change.size < this.#kept.size) sizes.push(change)
      else apply(this.#kept, change)
    }
    // A size that grew again behind the cut is settled by the write that made it grow.
    this.#changes = sizes.filter((change) => change.kind === 'size' && change.size === this.size)
  }

  /** A sync that failed: some of it may have arrived, the rest never will, although it is shown; the next sync is satisfied. */
  failSync(random: Random): void {
    for (const change of this.#changes) {
      if (change.kind === 'size') apply(this.#kept, change)
      else if (random.chance(0.3)) tear(this.#kept, change, random)
      else if (random.chance(0.5)) grow(this.#kept, change.at + change.bytes.length, zeros)
    }
    this.#changes = []
  }

  /** The power went: from now on programs see what the disk holds. */
  cut(survival: Survival, random: Random, stale: Stale): void {
    for (const change of this.#changes) {
      if (survival === 'everything') apply(this.#kept, change)
      else if (survival === 'anything') survive(this.#kept, change, random, stale)
    }
    this.#changes = []
    this.#shown = this.#kept.copy()
  }
}

const zeros: Stale = (length) => Buffer.alloc(length)

const apply = (content: Content, change: Change): void => {
  if (change.kind === 'size') content.resize(change.size)
  else content.put(change.bytes, change.at)
}

const survive = (content: Content, change: Change, random: Random, stale: Stale): void => {
  const fate = random.next()
  if (fate < 0.35) return
  if (fate < 0.6 || change.kind === 'size') {
    apply(content, change)
    return
  }
  // The size may have got there before the data.
  if (random.chance(0.5)) grow(content, change.at + change.bytes.length, stale)
  if (fate < 0.9) tear(content, change, random)
}

const grow = (content: Content, size: number, fill: Stale): void => {
  if (size <= content.size) return
  const from = content.size
  content.put(fill(size - from), from)
}

/** A beginning, up to any byte, or any of the sectors. */
const tear = (content: Content, change: { readonly at: number; readonly bytes: Buffer }, random: Random): void => {
  const { at, bytes } = change
  if (random.chance(0.5)) {
    content.put(bytes.subarray(0, random.below(bytes.length + 1)), at)
    return
  }
  for (let from = at; from < at + bytes.length; ) {
    const to = Math.min(at + bytes.length, from - (from % SECTOR_BYTES) + SECTOR_BYTES)
    if (random.chance(0.5)) content.put(bytes.subarray(from - at, to - at), from)
    from = to
  }
}
