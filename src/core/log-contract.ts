// The log and its readers, as everybody else sees them. Types only, no I/O.

import type { ClockMark, Entry, Gap, Intake, LossMark, Seq, UnixMs } from './contract.ts'

export interface ReadLimit {
  readonly entries: number
  /** Payload bytes; one entry is returned even if it is larger. */
  readonly bytes: number
}

/**
 * What a reader is to look for. Where nothing matches, whole segments and stretches are passed over unread. Pass the same
 * functions from call to call: what they answered is remembered.
 */
export interface ReadFilter {
  /**
   * Which channels; pure. Marks are asked about with topic '' and source ''. `lists` is false where no payload can be a JSON
   * array: those are the only ones that may name devices that the topic does not (mayBeDevice of decode/router.ts).
   */
  readonly channel?: (topic: string, source: string, lists: boolean) => boolean
  /** Arrival from here on (inclusive) and up to here (exclusive), after correction. */
  readonly fromMs?: UnixMs
  readonly toMs?: UnixMs
}

export interface ReadResult {
  /** In seq order. */
  readonly entries: readonly Entry[]
  /** Holes before, between or after the entries, in seq order. */
  readonly gaps: readonly Gap[]
  /** Pass it as `after` next time. Equals the given `after` when nothing was there. */
  readonly next: Seq
}

export interface LogReader {
  /**
   * Entries with seq > after in order, never past the durable seq. Rejects only when the disk cannot be read. With a filter,
   * what does not match is left out and passed over by `next`, marks included. One call reads a bounded part of the log, so
   * there may be no entry although `next` went on; only a `next` that equals `after` says that nothing is there. Gaps are
   * told as ever, but for damage in what is passed over unread.
   */
  read(after: Seq, limit: ReadLimit, filter?: ReadFilter): Promise<ReadResult>
  close(): Promise<void>
}

export interface Log extends Intake {
  /** Called after each commit, in order, with what became durable; must not throw. Returns its own removal. */
  onDurable(listener: (entries: readonly Entry[]) => void): () => void
  /** Newest durable seq; 0 in an empty log. */
  readonly durable: Seq
  /**
   * While the disk takes nothing, what came in is not durable and not acknowledged, but may be shown: called with it, in seq
   * order, at most every so often; later calls of onDurable may repeat it. Must not throw. Returns its own removal.
   */
  onUndurable(listener: (entries: readonly Entry[]) => void): () => void
  /** Writes down that these seqs will not be delivered, counts and shows it. Resolves once that is durable. */
  recordLoss(mark: Omit<LossMark, 'time'>): Promise<Seq>
  /**
   * A hint, from whoever reads the log by itself (the forward thread): a reader met a gap with reason 'corrupt' here. The log
   * looks for itself, in the background, before it sets anything aside and writes a loss mark, once. Cheap and idempotent.
   */
  damageFound(first: Seq, last: Seq): void
  /** Writes down that the wall clock was set, or stepped; times of this boot from before it was set are corrected from now on. */
  recordClock(mark: ClockMark): Promise<Seq>
  /** Called when times of a boot can be corrected that could not: its monotonic times plus `correctionMs`. Returns its own removal. */
  onCorrection(listener: (bootId: string, correctionMs: number) => void): () => void
  reader(): LogReader
  info(): LogInfo
  /** Everything up to this seq is settled by every sink. Retention beyond it leaves a loss mark. */
  settledUpTo(seq: Seq): void
  close(): Promise<void>
}

export interface LogInfo {
  readonly first: Seq
  readonly last: Seq
  readonly segments: number
  readonly bytes: number
  readonly maxBytes: number
  readonly maxAgeMs: number
  readonly state: 'ok' | 'refusing'
  readonly reason?: string
  /** Waiting for the next commit. */
  readonly pendingMessages: number
  readonly pendingBytes: number
  /** QoS 0 messages that were not kept since the start, because the disk took nothing; most were shown all the same. */
  readonly unkeptMessages: number
  /** How long a commit takes, write and fdatasync; a running mean. */
  readonly commitMs: number
  readonly messagesAppended: number
  readonly payloadBytes: number
  /** Bytes handed to write(2), block headers, footers and zero filling included. */
  readonly writtenBytes: number
  readonly commits: number
  /** Messages lost, by reason: what the loss marks tell that are still in the log. */
  readonly lost: Readonly<Record<string, number>>
  /** The newest loss marks, newest last, at most MAX_SHOWN_LOSSES. */
  readonly losses: readonly LossMark[]
  /** Files and byte ranges in quarantine. */
  readonly quarantined: number
  readonly wear: Wear
}

/** What the log costs the card, over the last 24 hours or since the start, whichever is shorter. */
export interface Wear {
  readonly hours: number
  readonly payloadBytes: number
  /** As the disk sees it: whole pages, and what the file system's journal adds. An estimate; see src/README.md. */
  readonly physicalBytes: number
}

/** Where a reader stands, durable. Everything that is in no unsettled range is settled. */
export interface Cursor {
  /** Ascending, disjoint; the last one is open (last = Infinity). */
  readonly unsettled: readonly Range[]
  /** Everything up to and including this seq is settled. */
  readonly position: Seq
  settle(first: Seq, last: Seq): void
  /** Resolves once the present position is durable. */
  flush(): Promise<void>
  close(): Promise<void>
}

export interface Range {
  readonly first: Seq
  readonly last: Seq
}
