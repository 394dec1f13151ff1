// What has a seq and is not durable yet: blocks that fill, and blocks that wait for the disk. Bounded; says when senders
// should wait and when they may go on. Messages that are to be shown but not kept get their seqs here too.

import type { Clock, EntryKind, Message, Seq, Settled } from '../core/contract.ts'
import { BLOCK_HEADER_BYTES } from './block.ts'
import { ChannelTable } from './channel.ts'
import {
  BLOCK_TARGET_MIN_BYTES,
  HIGH_WATER_BYTES,
  HIGH_WATER_MESSAGES,
  LOW_WATER_SHARE,
  MAX_PENDING_BYTES,
  MAX_PENDING_MARKS,
  MAX_PENDING_MESSAGES,
  MAX_SPARE_BUFFERS,
} from './limits.ts'
import { loneBlockBytes, PendingBlock } from './pending-block.ts'
import { microseconds } from './segment-header.ts'

/** A block that stays open longer looks at the wall clock again: a step must not give its messages the time before it. */
const WALL_CHECK_US = 1_000_000
/** More than clocks drift in that time. */
const WALL_STEP_US = 100_000

export interface CommitQueueOptions {
  readonly clock: Clock
  /** Size of a block, unless a single message is larger. */
  readonly blockBytes: number
  /** As much as one commit may cover, unless a single block is larger. */
  readonly commitBytes: number
  readonly nextSeq: Seq
}

/** Why a message was not taken. */
export type Refusal = 'too-large' | 'full'

export class CommitQueue {
  /** Everything that is not durable, in flight or not. */
  pendingMessages = 0
  pendingBytes = 0
  /** Of these, what no commit has taken up yet. */
  waitingMessages = 0
  waitingBytes = 0
  readonly #clock: Clock
  readonly #blockBytes: number
  readonly #commitBytes: number
  readonly #channels = new ChannelTable()
  readonly #buffers: Buffer[] = []
  #nextSeq: Seq
  /** Oldest first; the last one may take more. */
  #blocks: PendingBlock[] = []
  #open: PendingBlock | undefined
  /** Taken and not released. */
  #inFlight: PendingBlock[] = []
  /** What has got a seq and will not be kept. */
  #unkept: PendingBlock | undefined
  #wallCheckedUs = 0
  #senders: (() => void)[] = []

  constructor(options: CommitQueueOptions) {
    this.#clock = options.clock
    this.#blockBytes = Math.max(options.blockBytes, BLOCK_TARGET_MIN_BYTES)
    this.#commitBytes = options.commitBytes
    this.#nextSeq = options.nextSeq
  }

  get nextSeq(): Seq {
    return this.#nextSeq
  }

  /** Seq of the oldest entry that waits; the next seq when none does. */
  get firstWaiting(): Seq {
    return this.#blocks[0]?.start.first ?? this.#nextSeq
  }

  get aboveHighWater(): boolean {
    return this.pendingBytes >= HIGH_WATER_BYTES || this.pendingMessages >= HIGH_WATER_MESSAGES
  }

  /** Leaves seqs out. Only while nothing is pending. */
  leap(seqs: number): void {
    this.#nextSeq += seqs
  }

  /** Whether add() would refuse an entry of this kind. */
  isFull(kind: EntryKind): boolean {
    if (kind !== 'message') return this.pendingMessages >= MAX_PENDING_MESSAGES + MAX_PENDING_MARKS
    return this.pendingBytes >= MAX_PENDING_BYTES || this.pendingMessages >= MAX_PENDING_MESSAGES
  }

  /** Blocks with entries that are not durable, oldest first. */
  get pending(): readonly PendingBlock[] {
    return this.#inFlight.length === 0 ? this.#blocks : [...this.#inFlight, ...this.#blocks]
  }

  /** Encodes the message and gives it the next seq, unless it is refused. */
  add(kind: EntryKind, message: Message, monotonicMs: number, settled: Settled | undefined): Refusal | undefined {
    if (this.isFull(kind)) return 'full'
    const channel = kind === 'message' ? this.#channels.of(message.source, message.topic) : undefined
    const nowUs = microseconds(monotonicMs)
    let block = this.#open
    // Within a block seqs follow without a hole: what was not kept ends it.
    if (block !== undefined && block.start.first + block.count !== this.#nextSeq) block = undefined
    if (block === undefined || !block.fits(channel, message.payload.length) || this.#wallStepped(block, nowUs)) {
      const lone = loneBlockBytes(channel, message.payload.length)
      if (lone === undefined) return 'too-large'
      block = this.#newBlock(lone, nowUs)
      this.#blocks.push(block)
      this.#open = block
    }
    const before = block.end
    block.add(channel, kind, message, nowUs, settled)
    const bytes = block.end - before
    this.#nextSeq++
    this.pendingMessages++
    this.pendingBytes += bytes
    this.waitingMessages++
    this.waitingBytes += bytes
    return undefined
  }

  /** Gives the next seq to a message that is shown and not kept; 'full' until takeUnkept() when there is no room for it. */
  addUnkept(message: Message, monotonicMs: number, settled: Settled | undefined): Refusal | undefined {
    const channel = this.#channels.of(message.source, message.topic)
    const block = this.#unkept
    if (block !== undefined) {
      const follows = block.start.first + block.count === this.#nextSeq
      if (!follows || !block.fits(channel, message.payload.length)) return 'full'
    }
    const lone = loneBlockBytes(channel, message.payload.length)
    if (lone === undefined) return 'too-large'
    const nowUs = microseconds(monotonicMs)
    this.#unkept = block ?? this.#newBlock(lone, nowUs)
    this.#unkept.add(channel, 'message', message, nowUs, settled)
    this.#nextSeq++
    return undefined
  }

  /** What addUnkept() gathered; its bytes stay valid until recycle(). */
  takeUnkept(): PendingBlock | undefined {
    const block = this.#unkept
    this.#unkept = undefined
    return block
  }

  /** The block's buffer may be used again. */
  recycle(block: PendingBlock): void {
    if (block.bytes.length === this.#blockBytes && this.#buffers.length < MAX_SPARE_BUFFERS)
      this.#buffers.push(block.bytes)
  }

  /** The oldest blocks, as many as one commit may cover. They stay pending until release(). */
  take(): PendingBlock[] {
    let bytes = 0
    let count = 0
    for (const block of this.#blocks) {
      if (count > 0 && bytes + block.end > this.#commitBytes) break
      bytes += block.end
      count++
    }
    const taken = this.#blocks.splice(0, count)
    if (this.#blocks.length === 0) this.#open = undefined
    this.#inFlight.push(...taken)
    for (const block of taken) {
      this.waitingMessages -= block.count
      this.waitingBytes -= block.end - BLOCK_HEADER_BYTES
    }
    return taken
  }

  /** Drops blocks that are durable, or that nobody will write any more. */
  release(blocks: readonly PendingBlock[]): void {
    this.#inFlight = this.#inFlight.filter((block) => !blocks.includes(block))
    for (const block of blocks) {
      this.pendingMessages -= block.count
      this.pendingBytes -= block.end - BLOCK_HEADER_BYTES
      this.recycle(block)
    }
    const low =
      this.pendingBytes <= HIGH_WATER_BYTES * LOW_WATER_SHARE &&
      this.pendingMessages <= HIGH_WATER_MESSAGES * LOW_WATER_SHARE
    if (low) this.wakeSenders()
  }

  /** Resolves at once below the high-water mark, else when release() or wakeSenders() makes it so. */
  ready(): Promise<void> {
    if (!this.aboveHighWater) return Promise.resolve()
    return new Promise((resolve) => this.#senders.push(resolve))
  }

  wakeSenders(): void {
    const senders = this.#senders
    this.#senders = []
    for (const wake of senders) wake()
  }

  #wallStepped(block: PendingBlock, nowUs: number): boolean {
    if (nowUs - this.#wallCheckedUs < WALL_CHECK_US) return false
    this.#wallCheckedUs = nowUs
    const expectedUs = block.start.wallUs + nowUs - block.start.monotonicUs
    return Math.abs(microseconds(this.#clock.wallMs()) - expectedUs) > WALL_STEP_US
  }

  #newBlock(loneBytes: number, monotonicUs: number): PendingBlock {
    const bytes =
      loneBytes > this.#blockBytes
        ? Buffer.allocUnsafeSlow(loneBytes)
        : (this.#buffers.pop() ?? Buffer.allocUnsafeSlow(this.#blockBytes))
    const start = {
      first: this.#nextSeq,
      wallUs: microseconds(this.#clock.wallMs()),
      monotonicUs,
      synced: this.#clock.synced(),
    }
    this.#wallCheckedUs = monotonicUs
    return new PendingBlock(start, bytes)
  }
}
