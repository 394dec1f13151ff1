// What the far end must know about seqs that bring no reading: loss marks of the log, holes met while reading, payloads
// that could not be decoded, messages without readings, rejected ones. With them every seq is accounted for upstream.

import type { Batch, Entry, Lane, LossMark, LossReason, Rejection, Seq, UnixMs } from '../core/contract.ts'
import type { Outgoing } from './outgoing.ts'

const LOSS_CONTENT_TYPE = 'application/json'
/** A mark in JSON, its detail cut. */
const MARK_BYTES = 400
const MAX_MARKS_PER_NOTE = 500
const MAX_DETAIL_LENGTH = 200

/** One mark, and the seqs of the batch that it accounts for (the seqs it tells of may lie elsewhere). */
interface PlacedMark {
  readonly mark: LossMark
  readonly first: Seq
  readonly last: Seq
}

/** The notes of one batch, ascending by `first`. */
export const packLosses = (batch: Batch, gateway: string, maxBodyBytes: number, now: UnixMs): Outgoing[] => {
  const marks: PlacedMark[] = []
  for (const { first, last, reason } of batch.gaps) {
    const count = reason === 'unclean-stop' ? 0 : last - first + 1
    marks.push({ mark: { first, last, count, reason, time: now }, first, last })
  }
  let open: { first: Seq; last: Seq; count: number; reason: LossReason; time: UnixMs } | undefined
  for (const { entry, decoding } of batch.deliveries) {
    if (decoding.readings.length > 0) continue
    const told = entry.kind === 'loss' ? parseLossMark(entry.payload) : undefined
    if (told !== undefined) marks.push({ mark: told, first: entry.seq, last: entry.seq })
    const { reason, count } = silence(entry, decoding.fault)
    if (open !== undefined && open.reason === reason && open.last === entry.seq - 1) {
      open.last = entry.seq
      open.count += count
      continue
    }
    if (open !== undefined) marks.push({ mark: open, first: open.first, last: open.last })
    open = { first: entry.seq, last: entry.seq, count, reason, time: entry.receivedAt }
  }
  if (open !== undefined) marks.push({ mark: open, first: open.first, last: open.last })
  return toNotes(marks, gateway, batch.lane, maxBodyBytes)
}

/** The notes about a message that was set aside. A note that is refused itself is not told of in further notes. */
export const packRejection = (message: Outgoing, gateway: string, maxBodyBytes: number, now: UnixMs): Outgoing[] => {
  if (message.kind === 'loss') return []
  const marks: PlacedMark[] = []
  let first = message.first
  let last = message.first
  const push = () =>
    marks.push({ mark: { first, last, count: last - first + 1, reason: 'rejected', time: now }, first, last })
  for (const seq of message.seqs) {
    if (seq > last + 1) {
      push()
      first = seq
    }
    last = seq
  }
  push()
  return toNotes(marks, gateway, message.lane, maxBodyBytes)
}

export const toRejection = (message: Outgoing, reason: string): Rejection => ({
  first: message.first,
  last: message.last,
  device: message.device,
  reason,
  body: message.body,
  contentType: message.contentType,
})

/** Why an entry brings no reading. The log's own marks held no message. */
const silence = (entry: Entry, fault: string | undefined): { reason: LossReason; count: number } => {
  if (entry.kind !== 'message') return { reason: 'filtered', count: 0 }
  return { reason: fault === undefined ? 'filtered' : 'undecodable', count: 1 }
}

const toNotes = (marks: PlacedMark[], gateway: string, lane: Lane, maxBodyBytes: number): Outgoing[] => {
  marks.sort((left, right) => left.first - right.first)
  const notes: Outgoing[] = []
  const size = Math.max(1, Math.min(MAX_MARKS_PER_NOTE, Math.floor(maxBodyBytes / MARK_BYTES)))
  for (let index = 0; index < marks.length; index += size) {
    const some = marks.slice(index, index + size)
    const first = some[0]?.first ?? 0
    const last = some.reduce((highest, placed) => Math.max(highest, placed.last), first)
    const list = some.map(({ mark }) => ({ ...mark, time: new Date(mark.time).toISOString() }))
    notes.push({
      kind: 'loss',
      device: '',
      lane,
      first,
      last,
      seqs: some.map((placed) => placed.first),
      count: some.length,
      part: 0,
      timeMs: Math.max(...some.map(({ mark }) => mark.time)),
      contentType: LOSS_CONTENT_TYPE,
      body: Buffer.from(JSON.stringify({ gateway, marks: list })),
    })
  }
  return notes
}

/** Undefined when the payload is not a loss mark: then only the entry's own seq can be accounted for. */
const parseLossMark = (payload: Buffer): LossMark | undefined => {
  let value: unknown
  try {
    value = JSON.parse(payload.toString())
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { first, last, count, reason, time, detail } = value as Partial<Record<keyof LossMark, unknown>>
  if (!isSeq(first) || !isSeq(last) || last < first || typeof reason !== 'string') return undefined
  return {
    first,
    last,
    count: typeof count === 'number' ? count : last - first + 1,
    reason: reason as LossReason,
    time: typeof time === 'number' && Math.abs(time) < MAX_DATE_MS ? time : 0,
    ...(typeof detail === 'string' ? { detail: detail.slice(0, MAX_DETAIL_LENGTH) } : {}),
  }
}

/** Beyond it a Date is invalid. */
const MAX_DATE_MS = 8.64e15

const isSeq = (value: unknown): value is Seq => Number.isSafeInteger(value) && Number(value) >= 0
