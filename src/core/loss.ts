// How loss marks name what was lost: bounded, the most affected first; and how one is read by whoever did not write it.

import type { LossMark, LossReason, Seq } from './contract.ts'

/** Names in one loss mark; the rest is in its count. */
const MAX_LOSS_NAMES = 100
/** A longer name is in the count only: a Topic Name may have 65,535 bytes, and a mark has to fit into a block. */
const MAX_LOSS_NAME_LENGTH = 1_024
/** Loss marks that status and `log info` show, the newest ones. */
export const MAX_SHOWN_LOSSES = 20

/** For LossMark.topics and LossMark.devices; undefined when there is nothing to name. */
export const mostAffected = (counts: ReadonlyMap<string, number>): Record<string, number> | undefined => {
  if (counts.size === 0) return undefined
  const sorted = [...counts]
    .filter(([name]) => name.length <= MAX_LOSS_NAME_LENGTH)
    .sort(([, one], [, other]) => other - one)
  return Object.fromEntries(sorted.slice(0, MAX_LOSS_NAMES))
}

const MAX_DETAIL_LENGTH = 200
/** Beyond it a Date is invalid. */
const MAX_DATE_MS = 8.64e15

/** The payload of a 'loss' entry; undefined when it is not a loss mark: then only the entry's own seq is known. */
export const readLossMark = (payload: Buffer): LossMark | undefined => {
  let value: unknown
  try {
    value = JSON.parse(payload.toString())
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { first, last, count, reason, time, detail, sink, topics, devices } = value as Partial<
    Record<keyof LossMark, unknown>
  >
  // What was refused never had a seq: such a mark may name none.
  if (!isSeq(first) || !isSeq(last) || last < first - 1 || typeof reason !== 'string') return undefined
  return {
    first,
    last,
    count: isSeq(count) ? count : last - first + 1,
    reason: reason as LossReason,
    time: typeof time === 'number' && Math.abs(time) < MAX_DATE_MS ? time : 0,
    ...(typeof detail === 'string' ? { detail: detail.slice(0, MAX_DETAIL_LENGTH) } : {}),
    ...(typeof sink === 'string' ? { sink } : {}),
    ...named('topics', topics),
    ...named('devices', devices),
  }
}

const named = (key: 'topics' | 'devices', value: unknown): Partial<LossMark> => {
  if (typeof value !== 'object' || value === null) return {}
  const counts = new Map<string, number>()
  for (const [name, count] of Object.entries(value)) if (isSeq(count) && count > 0) counts.set(name, count)
  const names = mostAffected(counts)
  return names === undefined ? {} : { [key]: names }
}

const isSeq = (value: unknown): value is Seq => Number.isSafeInteger(value) && Number(value) >= 0
