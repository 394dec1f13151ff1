// Group commit: whatever waits is written as blocks, made durable by one fdatasync, and only then settled, in the order of
// the appends. A failure is final for the file it happened to; what waited goes to a new segment from memory, and is
// neither acknowledged nor forgotten until one takes it.

import type { Clock, EntryKind, Logger, Message, Meter, Seq, Settled } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { delay, retryDelayMs } from '../core/time.ts'
import type { ActiveSegment } from './active-segment.ts'
import type { CommitQueue } from './commit-queue.ts'
import { COMMIT_TRIGGER_BYTES, COMMIT_TRIGGER_MESSAGES, FILL_BELOW_COMMIT_BYTES, STALLED_COMMIT_MS } from './limits.ts'
import { Pacing } from './pacing.ts'
import type { PendingBlock } from './pending-block.ts'
import type { SealedBy } from './summary.ts'
import type { Unkept } from './unkept.ts'

/** Between attempts to find a place for what waits: soon at first, never hammering a sick disk. */
const RETRY = { baseMs: 200, capMs: 5_000 }
/** Room may come back at any moment, and a disk without room is not sick: so long at most. */
const RETRY_ROOM_MS = 1_000
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EROFS'])
/** After a fault of the disk while filling ahead, which commits may not share. */
const FILL_REST_MS = 60_000
/** Weight of the newest value in running means. */
const SMOOTHING = 1 / 8

export interface WriterOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
  readonly commitDelayMs: number
  readonly queue: CommitQueue
  /** What becomes of messages while nothing is taken. */
  readonly unkept: Unkept
  readonly createSegment: (first: Seq) => Promise<ActiveSegment>
  /** A reason why nothing may be written now, or undefined. */
  readonly obstacle: () => string | undefined
  /** Looks again whether there still is an obstacle. */
  readonly recheck: () => Promise<void>
  /** Called after each commit, before anything is settled. */
  readonly onDurable: (last: Seq) => void
  /** Called after each commit, when everything is settled; the bytes of the blocks are reused afterwards. */
  readonly onCommitted: (blocks: readonly PendingBlock[], segment: ActiveSegment) => void
  /** Called for each segment that takes no more; `sealed` is false for one that was given up. */
  readonly onEnded: (segment: ActiveSegment, sealed: boolean) => void
}

export class Writer {
  commits = 0
  /** How long one takes; running mean. */
  commitMs = 0
  /** Why nothing is being acknowledged. */
  refusal: string | undefined
  segment: ActiveSegment | undefined
  /** The last segment says that no seq was given beyond it. */
  closedCleanly = false
  readonly #options: WriterOptions
  readonly #queue: CommitQueue
  readonly #pacing: Pacing
  /** For what waits now, by timers: a clock that stands still holds nothing up. */
  #sleptMs = 0
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  /** Running mean. */
  #commitBytes = 0
  #running: Promise<void> | undefined
  /** Wait for the end of the present run, or its first refusal. */
  #watchers: (() => void)[] = []
  #wake = new AbortController()
  #closing = false
  /** Seqs were given that never became durable. */
  #failed = false
  /** Filling failed; it rests until then, monotonic. */
  #fillsAgainMs = 0
  /** It failed for want of room, last time. */
  #noRoom = false

  constructor(options: WriterOptions) {
    this.#options = options
    this.#queue = options.queue
    this.#pacing = new Pacing(options.commitDelayMs)
  }

  /** Takes the message, or settles it with an error in a later turn. */
  append(kind: EntryKind, message: Message, settled: Settled | undefined): void {
    if (this.#closing) {
      refuse(settled, new TidegateError('TG_LOG_CLOSED', 'the log is closed'))
      return
    }
    const nowMs = this.#options.clock.monotonicMs()
    const { unkept } = this.#options
    const mayBeLost = kind === 'message' && message.qos === 0
    if (mayBeLost && this.#queue.aboveHighWater && unkept.ready) {
      unkept.add(message, nowMs, settled)
      return
    }
    // The mark of what was lost comes before anything else, so that readers find the reason of the hole behind it.
    if (unkept.pending && !this.#queue.isFull(kind)) unkept.finish()
    const refusal = this.#queue.add(kind, message, nowMs, settled)
    if (refusal === undefined) this.#arrived(nowMs)
    else if (refusal === 'full' && mayBeLost) unkept.drop(message, settled)
    else refuse(settled, this.#refusalError(refusal, message))
  }

  /** One attempt to have a segment, filled ahead, so that the first message does not wait for it. Trouble is left to the first commit. */
  async prepare(): Promise<void> {
    if (this.#options.obstacle() !== undefined) return
    await this.#create()
    if (this.segment !== undefined) await this.#fill(this.segment)
  }

  async #create(): Promise<void> {
    try {
      this.segment ??= await this.#options.createSegment(this.#queue.firstWaiting)
    } catch (error) {
      this.#options.logger.warn({ error: describe(error) }, 'a segment cannot be created')
    }
  }

  /** Commits now what waits; resolves when that is durable, or cannot be for now. */
  async commitNow(): Promise<void> {
    this.#start()
    if (this.#running === undefined || this.refusal !== undefined) return
    await new Promise<void>((resolve) => this.#watchers.push(resolve))
  }

  /** Looks again at once whether what waits can be written. */
  retry(): void {
    this.#wake.abort()
    this.#wake = new AbortController()
  }

  /** Commits what waits, once, and seals the segment. What cannot be written is settled with an error. */
  async close(): Promise<void> {
    this.#options.unkept.finish()
    this.#closing = true
    this.#stopTimers()
    this.retry()
    while (this.#running !== undefined || this.#queue.waitingMessages > 0) {
      this.#start()
      await this.#running
    }
    this.#stopTimers()
    // Without the word of a last segment, the next start would have to take this for an unclean stop; and it would be right.
    if (this.segment === undefined && !this.#failed) await this.#create()
    const { segment } = this
    this.segment = undefined
    if (segment !== undefined) this.closedCleanly = await this.#end(segment, this.#failed ? undefined : 'closed')
  }

  #arrived(nowMs: number): void {
    this.#pacing.arrived(nowMs)
    if (this.#running !== undefined || this.#immediate !== undefined) return
    if (this.#timer === undefined || this.#isPiled()) this.#decideSoon()
  }

  /** In the next turn: what else arrived with the same chunk of a socket, or waits in sockets, shares the commit for nothing. */
  #decideSoon(): void {
    this.#immediate ??= setImmediate(() => {
      this.#stopTimers()
      const waitMs = Math.ceil(this.#waitMs())
      if (waitMs <= 0) this.#start()
      else
        this.#timer = setTimeout(() => {
          this.#sleptMs += waitMs
          this.#decideSoon()
        }, waitMs)
    })
  }

  #start(): void {
    this.#stopTimers()
    if (this.#running !== undefined || this.#queue.waitingMessages === 0) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      this.#notify()
      if (this.#queue.waitingMessages > 0) this.#decideSoon()
    })
  }

  #notify(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const watch of watchers) watch()
  }

  #stopTimers(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#immediate)
    this.#timer = undefined
    this.#immediate = undefined
  }

  async #run(): Promise<void> {
    while (this.#queue.waitingMessages > 0) {
      this.#pacing.committing(this.#queue.waitingMessages)
      this.#sleptMs = 0
      const blocks = this.#queue.take()
      const segment = await this.#place(blocks)
      if (segment !== undefined) this.#committed(blocks, segment)
      else this.#fail(blocks)
      this.#pacing.committed(this.#options.clock.monotonicMs())
      await this.#tend(segment)
      if (this.#waitMs() > 0) break
    }
  }

  /** How long what waits should wait for company; 0: not at all. */
  #waitMs(): number {
    if (this.#closing || this.#isPiled() || this.#sleptMs >= this.#options.commitDelayMs) return 0
    return this.#pacing.waitMs(this.#options.clock.monotonicMs(), this.#queue.waitingMessages)
  }

  #isPiled(): boolean {
    const { waitingMessages, waitingBytes } = this.#queue
    return waitingBytes >= COMMIT_TRIGGER_BYTES || waitingMessages >= COMMIT_TRIGGER_MESSAGES
  }

  /** Makes the blocks durable, however long it takes; undefined when the log closes before that. */
  async #place(blocks: readonly PendingBlock[]): Promise<ActiveSegment | undefined> {
    for (let attempt = 0; ; attempt++) {
      const used = this.segment !== undefined
      const reason = await this.#attempt(blocks)
      if (reason === undefined) {
        this.#accept()
        return this.segment
      }
      // The first failure may be that file's own; a failure of a new file is the disk's.
      if (attempt === 0 && used && this.segment === undefined) {
        this.#options.logger.error({ firstSeq: blocks[0]?.start.first, error: reason }, 'a commit failed')
        continue
      }
      this.#refuse(reason)
      if (this.#closing) return undefined
      const waitMs = Math.min(retryDelayMs(attempt, RETRY), this.#noRoom ? RETRY_ROOM_MS : RETRY.capMs)
      await delay(waitMs, this.#wake.signal).catch(() => undefined)
      await this.#options.recheck()
    }
  }

  /** Why it failed, or undefined once durable. */
  async #attempt(blocks: readonly PendingBlock[]): Promise<string | undefined> {
    const obstacle = this.#options.obstacle()
    this.#noRoom = obstacle !== undefined
    if (obstacle !== undefined) return obstacle
    const first = blocks[0]?.start.first ?? this.#queue.nextSeq
    const startedMs = performance.now()
    // A card may hang for minutes; meanwhile it is as good as one that refuses.
    const stalled = setTimeout(
      () => this.#refuse(`the disk has not answered for ${STALLED_COMMIT_MS / 1_000} s`),
      STALLED_COMMIT_MS,
    )
    try {
      this.segment ??= await this.#options.createSegment(first)
      await this.#write(this.segment, blocks)
      this.commits++
      const tookMs = performance.now() - startedMs
      this.commitMs += (tookMs - this.commitMs) * SMOOTHING
      this.#options.meter.observe('log_commit_seconds', tookMs / 1_000)
      return undefined
    } catch (error) {
      const { segment } = this
      this.segment = undefined
      if (segment !== undefined) await this.#end(segment, undefined)
      this.#noRoom = NO_ROOM.has(systemCode(error) ?? '')
      return describe(error)
    } finally {
      clearTimeout(stalled)
    }
  }

  async #write(segment: ActiveSegment, blocks: readonly PendingBlock[]): Promise<void> {
    let bytes = 0
    for (const block of blocks) {
      await segment.write(block)
      bytes += block.end
    }
    this.#commitBytes += (bytes - this.#commitBytes) * SMOOTHING
    if (segment.full && !this.#closing) await segment.seal('rolled')
    await segment.commit()
  }

  #committed(blocks: readonly PendingBlock[], segment: ActiveSegment): void {
    const last = blocks.at(-1)
    if (last === undefined) return
    this.#options.onDurable(last.start.first + last.count - 1)
    for (const { start, settled } of blocks) {
      for (const [index, call] of settled.entries()) call?.(undefined, start.first + index)
    }
    this.#options.onCommitted(blocks, segment)
    this.#queue.release(blocks)
  }

  #fail(blocks: readonly PendingBlock[]): void {
    const error = new TidegateError('TG_LOG_WRITE', `the log closes and cannot be written: ${this.refusal ?? ''}`)
    this.#failed = true
    for (const { settled } of blocks) for (const call of settled) call?.(error, 0)
    this.#queue.release(blocks)
  }

  /** Between commits: the next segment when this one is full, zeros ahead when commits are small. */
  async #tend(segment: ActiveSegment | undefined): Promise<void> {
    if (segment === undefined) return
    if (segment.sealed) {
      this.segment = undefined
      await segment.close()
      this.#options.onEnded(segment, true)
      if (!this.#closing) await this.prepare()
      return
    }
    if (!this.#closing) await this.#fill(segment)
  }

  async #fill(segment: ActiveSegment): Promise<void> {
    const { clock, logger } = this.#options
    if (this.#commitBytes >= FILL_BELOW_COMMIT_BYTES || clock.monotonicMs() < this.#fillsAgainMs) return
    try {
      await segment.fill()
    } catch (error) {
      // Nothing waited for this, but the file cannot be trusted any more; and every commit shall not cost a file.
      this.#fillsAgainMs = clock.monotonicMs() + FILL_REST_MS
      logger.warn({ error: describe(error) }, 'the segment cannot be filled ahead')
      this.segment = undefined
      await this.#end(segment, undefined)
    }
  }

  /** Lets go of a segment: sealed when that works, else it is left to recovery. */
  async #end(segment: ActiveSegment, by: SealedBy | undefined): Promise<boolean> {
    let sealed = false
    try {
      if (by !== undefined) {
        await segment.seal(by)
        await segment.commit()
        sealed = true
      }
    } catch (error) {
      this.#options.logger.warn({ error: describe(error) }, 'the segment cannot be sealed')
    }
    await segment.close()
    this.#options.onEnded(segment, sealed)
    return sealed
  }

  #accept(): void {
    if (this.refusal === undefined) return
    this.refusal = undefined
    const { logger, meter, unkept } = this.#options
    logger.info({}, 'the log can be written again')
    meter.set('log_refusing', 0)
    unkept.end()
  }

  #refuse(reason: string): void {
    const { logger, meter, unkept } = this.#options
    if (this.refusal === undefined)
      logger.error({ reason }, 'the log cannot be written; nothing is acknowledged until it can')
    this.refusal = reason
    meter.set('log_refusing', 1)
    if (!this.#closing) unkept.begin()
    this.#notify()
  }

  #refusalError(refusal: 'too-large' | 'full', message: Message): TidegateError {
    return refusal === 'too-large'
      ? new TidegateError('TG_MESSAGE_TOO_LARGE', `${message.payload.length} bytes on ${message.topic.slice(0, 80)}`)
      : new TidegateError('TG_LOG_WRITE', `too much waits for the log: ${this.refusal ?? 'the disk is too slow'}`)
  }
}

/** Later, as every settlement. */
const refuse = (settled: Settled | undefined, error: TidegateError): void => {
  if (settled !== undefined) setImmediate(settled, error, 0)
}
