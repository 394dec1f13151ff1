// What the far end must know about seqs that bring no reading: loss marks of the log, holes met while reading, payloads
// that could not be decoded, messages without readings, the log's own marks. With them every seq is accounted for upstream.

import type { Batch, Delivery, Gap, Lane, LossMark, LossReason, Rejection, Seq, UnixMs } from '../core/contract.ts'
import { mostAffected } from '../core/loss.ts'
import type { Outgoing } from './outgoing.ts'

const LOSS_CONTENT_TYPE = 'application/json'
const MAX_MARKS_PER_NOTE = 500
/** Braces, the gateway's name, the list around the marks. */
const NOTE_BYTES = 512
/** What names of devices may take of one mark; the rest is in its count. */
const MAX_NAMES_BYTES = 8_192

/** A mark as it is told. */
interface Told extends Omit<LossMark, 'reason' | 'topics'> {
  /** mark: an entry that the log wrote for itself, and no message. */
  readonly reason: LossReason | 'mark'
  /** The mark's own seq, where it is one of the log's: tells the same mark, sent again or by two sinks, from another one. */
  readonly seq?: Seq
}

/** One mark, and the seqs of the batch that it accounts for (the seqs it tells of may lie elsewhere). */
interface PlacedMark {
  readonly mark: Told
  readonly first: Seq
  readonly last: Seq
}

/** The notes of one batch, ascending by `first`. */
export const packLosses = (batch: Batch, gateway: string, maxBodyBytes: number, now: UnixMs): Outgoing[] => {
  const marks: PlacedMark[] = []
  for (const gap of batch.gaps) {
    const { first, last, reason } = gap
    marks.push({ mark: { first, last, count: lostIn(gap, batch), reason, time: now }, first, last })
  }
  let silence: Silence | undefined
  for (const delivery of batch.deliveries) {
    const { entry, mark } = delivery
    if (delivery.decoding.readings.length > 0) continue
    if (mark !== undefined) {
      const { topics: _, ...told } = mark
      marks.push({ mark: { ...told, seq: entry.seq }, first: entry.seq, last: entry.seq })
    }
    if (silence?.takes(delivery)) continue
    if (silence !== undefined) marks.push(silence.placed())
    silence = new Silence(delivery)
  }
  if (silence !== undefined) marks.push(silence.placed())
  return toNotes(marks, gateway, batch.lane, maxBodyBytes)
}

export const toRejection = (message: Outgoing, reason: string): Rejection => ({
  first: message.first,
  last: message.last,
  device: message.device,
  reason,
  body: message.body,
  contentType: message.contentType,
})

/** Of a hole with survivors, what did not survive: the batch has them all. */
const lostIn = ({ first, last, reason, partial }: Gap, batch: Batch): number => {
  if (reason === 'unclean-stop') return 0
  let count = last - first + 1
  if (partial !== true) return count
  for (const { entry } of batch.deliveries) if (entry.seq >= first && entry.seq <= last) count--
  return count
}

/** Entries next to each other that bring no reading, all for the same reason. */
class Silence {
  readonly #reason: Told['reason']
  readonly #first: Seq
  readonly #time: UnixMs
  readonly #devices = new Map<string, number>()
  #last: Seq
  #count = 0

  constructor(delivery: Delivery) {
    this.#reason = reasonOf(delivery)
    this.#first = delivery.entry.seq
    this.#time = delivery.entry.receivedAt
    this.#last = this.#first - 1
    this.takes(delivery)
  }

  takes(delivery: Delivery): boolean {
    const { entry, decoding } = delivery
    if (entry.seq !== this.#last + 1 || reasonOf(delivery) !== this.#reason) return false
    this.#last = entry.seq
    if (this.#reason === 'mark') return true
    this.#count++
    if (this.#reason === 'undecodable')
      this.#devices.set(decoding.device, (this.#devices.get(decoding.device) ?? 0) + 1)
    return true
  }

  placed(): PlacedMark {
    const devices = mostAffected(this.#devices)
    const mark: Told = {
      first: this.#first,
      last: this.#last,
      count: this.#count,
      reason: this.#reason,
      time: this.#time,
      ...(devices === undefined ? {} : { devices }),
    }
    return { mark, first: this.#first, last: this.#last }
  }
}

/** Why an entry brings no reading. */
const reasonOf = ({ entry, decoding }: Delivery): Told['reason'] => {
  if (entry.kind !== 'message') return 'mark'
  return decoding.fault === undefined ? 'filtered' : 'undecodable'
}

const toNotes = (marks: PlacedMark[], gateway: string, lane: Lane, maxBodyBytes: number): Outgoing[] => {
  marks.sort((left, right) => left.first - right.first)
  const roomBytes = Math.max(0, maxBodyBytes - NOTE_BYTES)
  const notes: Outgoing[] = []
  let some: PlacedMark[] = []
  let texts: string[] = []
  let bytes = 0
  const close = () => {
    if (some.length > 0) notes.push(toNote(some, texts, gateway, lane))
    some = []
    texts = []
    bytes = 0
  }
  for (const placed of marks) {
    const text = markText(placed.mark, roomBytes)
    const textBytes = Buffer.byteLength(text) + 1
    if (some.length >= MAX_MARKS_PER_NOTE || bytes + textBytes > roomBytes) close()
    some.push(placed)
    texts.push(text)
    bytes += textBytes
  }
  close()
  return notes
}

const toNote = (some: readonly PlacedMark[], texts: readonly string[], gateway: string, lane: Lane): Outgoing => {
  const first = some[0]?.first ?? 0
  return {
    kind: 'loss',
    device: '',
    lane,
    first,
    last: some.reduce((highest, placed) => Math.max(highest, placed.last), first),
    seqs: some.map((placed) => placed.first),
    count: some.length,
    part: 0,
    timeMs: Math.max(...some.map(({ mark }) => mark.time)),
    contentType: LOSS_CONTENT_TYPE,
    body: Buffer.from(`{"gateway":${JSON.stringify(gateway)},"marks":[${texts.join()}]}`),
  }
}

/** In JSON. Names go before the mark does: without them it still says how many. */
const markText = (mark: Told, roomBytes: number): string => {
  const { devices, detail, ...rest } = mark
  const short = { ...rest, time: new Date(mark.time).toISOString() }
  const plain = { ...short, ...(detail === undefined ? {} : { detail }) }
  const room = Math.min(MAX_NAMES_BYTES, roomBytes)
  if (devices !== undefined) {
    const text = JSON.stringify({ ...plain, devices })
    if (Buffer.byteLength(text) <= room) return text
    const [most] = Object.entries(devices)
    const named = most === undefined ? '' : JSON.stringify({ ...plain, devices: { [most[0]]: most[1] } })
    if (named !== '' && Buffer.byteLength(named) <= room) return named
  }
  const text = JSON.stringify(plain)
  return Buffer.byteLength(text) <= roomBytes ? text : JSON.stringify(short)
}
