// Messages of /api/v1/live as they come from strangers: JSON texts, each member checked before anybody uses it.

import type { Seq } from '../core/contract.ts'
import type { Selection } from '../live/selection.ts'
import { durationFrom, selectionFrom, seqFrom } from './parameters.ts'
import { badRequest } from './problem.ts'

const MAX_ID_LENGTH = 64
/** Faster than the fan-out makes no difference; slower than a day is not live. */
const MIN_EVERY_MS = 10
const MAX_EVERY_MS = 86_400_000

/** Chosen by the client; comes back in everything that concerns the request. */
export type RequestId = number | string

export interface ClientMessage {
  readonly type: string
  readonly id: RequestId | undefined
  readonly members: ReadonlyMap<string, unknown>
}

export interface Subscription {
  readonly selection: Selection
  readonly after: Seq | undefined
  readonly everyMs: number
}

/** Throws TG_BAD_REQUEST. */
export const parseClientMessage = (text: string): ClientMessage => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw badRequest('the message is not valid JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest('a message is a JSON object with a type')
  const members = new Map<string, unknown>(Object.entries(value))
  const type = members.get('type')
  if (typeof type !== 'string') throw badRequest(`the message has no 'type'`)
  return { type, id: idFrom(members.get('id')), members }
}

/** Throws TG_BAD_REQUEST or TG_FILTER_INVALID, naming the member. */
export const subscriptionFrom = (members: ReadonlyMap<string, unknown>): Subscription => {
  const after = members.get('after')
  const every = members.get('every')
  return {
    selection: selectionFrom(listFrom(members, 'devices'), listFrom(members, 'names')),
    after: after === undefined || after === null ? undefined : seqFrom(after, 'after'),
    everyMs: every === undefined || every === null ? 0 : durationFrom(every, 'every', MIN_EVERY_MS, MAX_EVERY_MS),
  }
}

const idFrom = (id: unknown): RequestId | undefined => {
  if (id === undefined) return undefined
  if (typeof id === 'number' && Number.isFinite(id)) return id
  if (typeof id === 'string' && id.length <= MAX_ID_LENGTH) return id
  throw badRequest(`'id' is not a number or a text of up to ${MAX_ID_LENGTH} characters`)
}

const listFrom = (members: ReadonlyMap<string, unknown>, key: string): readonly unknown[] => {
  const list = members.get(key) ?? []
  if (Array.isArray(list)) return list
  throw badRequest(`'${key}' is not a list of texts`)
}
