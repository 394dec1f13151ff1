// What a sink's upstream will never take, as loss marks: bounded in number for each write, so that an upstream that rejects
// everything does not fill the log with marks, and exact in their counts.

import type { Batch, LossMark, Rejection, Seq } from '../core/contract.ts'
import type { Range } from '../core/log-contract.ts'
import { mostAffected } from '../core/loss.ts'

/** Stretches of rejected messages told one by one; what is behind them is one mark from first to last, with its count. */
const MAX_EXACT_MARKS = 7
const MAX_REASON_LENGTH = 160

/** Messages of a batch that were rejected, ascending; a message is one device's readings under one seq. */
export interface RejectedMessage {
  readonly seq: Seq
  readonly device: string
}

/** Those of the batch that the rejections stand for. Notes about losses are no messages: rejecting them loses nothing. */
export const rejectedMessages = (batch: Batch, rejections: readonly Rejection[]): RejectedMessage[] => {
  const byDevice = new Map<string, Covered>()
  for (const rejection of rejections.toSorted((left, right) => left.first - right.first)) {
    const covered = byDevice.get(rejection.device)
    if (covered === undefined) byDevice.set(rejection.device, new Covered(rejection))
    else covered.ranges.push(rejection)
  }
  const found: RejectedMessage[] = []
  for (const { entry, decoding } of batch.deliveries) {
    const of = decoding.readings.find(({ device }) => byDevice.get(device)?.has(entry.seq))
    if (of !== undefined) found.push({ seq: entry.seq, device: of.device })
  }
  return found
}

/** Ranges of seqs, asked in ascending order. */
class Covered {
  readonly ranges: Range[]
  #at = 0

  constructor(range: Range) {
    this.ranges = [range]
  }

  has(seq: Seq): boolean {
    while ((this.ranges[this.#at]?.last ?? Number.POSITIVE_INFINITY) < seq) this.#at++
    return (this.ranges[this.#at]?.first ?? Number.POSITIVE_INFINITY) <= seq
  }
}

export const rejectionMarks = (
  sink: string,
  messages: readonly RejectedMessage[],
  reason: string,
): Omit<LossMark, 'time'>[] => {
  const stretches: RejectedMessage[][] = []
  for (const message of messages) {
    const open = stretches.at(-1)
    const follows = open?.at(-1)?.seq === message.seq - 1
    if (open !== undefined && (follows || stretches.length > MAX_EXACT_MARKS)) open.push(message)
    else stretches.push([message])
  }
  return stretches.map((stretch) => markOf(sink, stretch, reason))
}

const markOf = (sink: string, stretch: readonly RejectedMessage[], reason: string): Omit<LossMark, 'time'> => {
  const counts = new Map<string, number>()
  for (const { device } of stretch) counts.set(device, (counts.get(device) ?? 0) + 1)
  const devices = mostAffected(counts)
  return {
    first: stretch[0]?.seq ?? 0,
    last: stretch.at(-1)?.seq ?? 0,
    count: stretch.length,
    reason: 'rejected',
    sink,
    detail: `sink '${sink}': ${reason.slice(0, MAX_REASON_LENGTH)}`,
    ...(devices === undefined ? {} : { devices }),
  }
}
