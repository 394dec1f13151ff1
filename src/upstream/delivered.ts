// What one incoming message says: readings with their seqs, or loss marks. Written by tidegate, yet read with mistrust: the far
// end must not fall over what somebody else put into the queue.

import type { Lane, Seq } from '../core/contract.ts'
import type { Incoming } from './incoming.ts'

export interface DeliveredReading {
  readonly seq: Seq
  readonly device: string
  readonly name: string
  readonly value: number | string | boolean
  readonly unit?: string
  /** ISO 8601; absent where the gateway's clock had never been set. */
  readonly time?: string
}

export interface DeliveredMark {
  readonly first: Seq
  readonly last: Seq
  readonly count: number
  readonly reason: string
  /** Of the mark itself, where it is one of the log's own; the others tell what the sender met. */
  readonly seq?: Seq
  readonly devices?: Readonly<Record<string, number>>
}

export type Delivered =
  | {
      readonly kind: 'readings'
      readonly gateway: string
      readonly lane: Lane
      readonly device: string
      /** Of a seq whose readings needed several messages; it belongs to `first`. */
      readonly part: number
      readonly first: Seq
      readonly readings: readonly DeliveredReading[]
    }
  | { readonly kind: 'loss'; readonly gateway: string; readonly marks: readonly DeliveredMark[] }
  | { readonly kind: 'foreign'; readonly reason: string }

const SENML = 'application/senml+json'

export const readDelivered = (incoming: Incoming): Delivered => {
  const { headers } = incoming
  // RabbitMQ 3's AMQP 1.0 plug-in hides the headers from 0-9-1 consumers; the message id says nearly as much.
  const [, ofId, partOfId] = /^([^:]+):\d+-\d+:[0-9a-z]+(?:\.(\d+))?$/.exec(incoming.messageId) ?? []
  const gateway = headers['tidegate-gateway'] ?? ofId
  if (typeof gateway !== 'string' || gateway === '')
    return foreign('has neither a tidegate-gateway header nor our message id')
  let body: unknown
  try {
    body = JSON.parse(incoming.body.toString())
  } catch {
    return foreign('its body is not JSON')
  }
  if (incoming.contentType === SENML)
    return readPack(body, gateway, headers, Number(headers['tidegate-part'] ?? partOfId ?? 0))
  const marks = isObject(body) ? body['marks'] : undefined
  if (!Array.isArray(marks)) return foreign(`content type '${incoming.contentType}' is not known`)
  return { kind: 'loss', gateway, marks: marks.flatMap(readMark) }
}

const readPack = (pack: unknown, gateway: string, headers: Incoming['headers'], part: number): Delivered => {
  if (!Array.isArray(pack)) return foreign('its body is not a SenML Pack')
  const readings: DeliveredReading[] = []
  const told = headers['tidegate-device']
  let baseName = ''
  for (const record of pack) {
    if (!isObject(record)) return foreign('its body is not a SenML Pack')
    const { bn, n, u, t, v, vs, vb, seq } = record
    if (typeof bn === 'string') baseName = bn
    const value = v ?? vs ?? vb
    if (!isSeq(seq)) return foreign('a record has no seq')
    if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'boolean')
      return foreign('a record has no value')
    readings.push({
      seq,
      device: typeof told === 'string' ? told : baseName.replace(/\/$/, ''),
      name: typeof n === 'string' ? n : '',
      value,
      ...(typeof u === 'string' ? { unit: u } : {}),
      ...(typeof t === 'number' && Math.abs(t) < MAX_SECONDS ? { time: new Date(t * 1_000).toISOString() } : {}),
    })
  }
  const [oldest] = readings
  if (oldest === undefined) return foreign('its SenML Pack is empty')
  return {
    kind: 'readings',
    gateway,
    lane: headers['tidegate-lane'] === 'backlog' ? 'backlog' : 'fresh',
    device: oldest.device,
    part: Number.isSafeInteger(part) ? part : 0,
    first: oldest.seq,
    readings,
  }
}

/** Beyond it a Date is invalid. */
const MAX_SECONDS = 8.64e12

const foreign = (reason: string): Delivered => ({ kind: 'foreign', reason })

const readMark = (mark: unknown): DeliveredMark[] => {
  if (!isObject(mark)) return []
  const { seq, devices, ...rest } = mark
  const { first, last, count, reason } = rest
  // What never had a seq is told with none: last is then one before first.
  if (!isSeq(first) || !isSeq(last) || last < first - 1 || !isSeq(count) || typeof reason !== 'string') return []
  const names = isObject(devices) ? Object.entries(devices).filter(isCounted) : []
  return [
    {
      ...rest,
      first,
      last,
      count,
      reason,
      ...(isSeq(seq) ? { seq } : {}),
      ...(names.length === 0 ? {} : { devices: Object.fromEntries(names) }),
    },
  ]
}

const isCounted = (entry: [string, unknown]): entry is [string, number] => isSeq(entry[1])

const isSeq = (value: unknown): value is Seq => Number.isSafeInteger(value) && Number(value) >= 0

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
