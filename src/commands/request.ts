// What somebody who sends a command may say, checked before anything looks at it: raw bytes for a topic, or a command of the
// device's profile with its values.

import { TidegateError } from '../core/errors.ts'
import { topicNameFault } from '../core/topic.ts'

/** A command is small; a firmware image is none. */
const MAX_PAYLOAD_BYTES = 256 * 1_024
const ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/

interface WithId {
  readonly id: string | undefined
}

export interface RawRequest extends WithId {
  readonly kind: 'raw'
  readonly topic: string | undefined
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
}

export interface NamedRequest extends WithId {
  readonly kind: 'named'
  readonly command: string
  /** Stands for the parameter `value`, or the only one. */
  readonly value: unknown
  readonly parameters: ReadonlyMap<string, unknown>
}

/** Throws TG_BAD_REQUEST, naming the member. */
export const commandRequest = (body: unknown): RawRequest | NamedRequest => {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw wrong('a command is an object')
  const members = new Map<string, unknown>(Object.entries(body))
  const id = members.get('id')
  if (id !== undefined && !(typeof id === 'string' && ID.test(id)))
    throw wrong(`'id' is not a text of up to 64 letters, digits, '.', '_', ':' and '-'`)
  return members.has('command') ? namedRequest(members, id) : rawRequest(members, id)
}

const namedRequest = (members: ReadonlyMap<string, unknown>, id: string | undefined): NamedRequest => {
  const command = members.get('command')
  if (typeof command !== 'string' || command === '') throw wrong(`'command' is not a text`)
  for (const key of ['topic', 'payload', 'qos'])
    if (members.has(key)) throw wrong(`'command' and '${key}' exclude each other: the profile knows the ${key}`)
  const parameters = members.get('parameters') ?? {}
  if (typeof parameters !== 'object' || Array.isArray(parameters)) throw wrong(`'parameters' is not an object`)
  return { kind: 'named', id, command, value: members.get('value'), parameters: new Map(Object.entries(parameters)) }
}

// A text is sent as it is, anything else as JSON.
const rawRequest = (members: ReadonlyMap<string, unknown>, id: string | undefined): RawRequest => {
  const topic = members.get('topic')
  const payload = members.get('payload')
  const qos = members.get('qos') ?? 0
  if (payload === undefined) throw wrong(`'payload' is missing`)
  if (qos !== 0 && qos !== 1 && qos !== 2) throw wrong(`'qos' is not 0, 1 or 2`)
  if (topic !== undefined && typeof topic !== 'string') throw wrong(`'topic' is not a text`)
  if (topic !== undefined) checkTopic(topic)
  const bytes = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload))
  return { kind: 'raw', id, topic, payload: checkedPayload(bytes), qos }
}

export const checkedPayload = (payload: Buffer): Buffer => {
  if (payload.length <= MAX_PAYLOAD_BYTES) return payload
  throw new TidegateError(
    'TG_MESSAGE_TOO_LARGE',
    `the payload has ${payload.length} bytes; a command has at most ${MAX_PAYLOAD_BYTES}`,
  )
}

/** Topics with `$` are the server's own: what is published there would look like its word ([MQTT-4.7.2-1]). */
export const checkTopic = (topic: string): void => {
  const fault = topic.startsWith('$') ? 'begins with $, which is for servers' : topicNameFault(topic)
  if (fault !== undefined) throw new TidegateError('TG_BAD_REQUEST', `'topic' ${fault}`)
}

export const wrong = (message: string): TidegateError => new TidegateError('TG_BAD_REQUEST', message)
