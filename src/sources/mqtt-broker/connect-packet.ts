// Reads a whole CONNECT packet and refuses what is wrong with it, in the order in which MQTT 3.1.1, 3.1 names it.
// aedes parses the packet again; what it gets has passed here.

import { MAX_CLIENT_ID_BYTES } from './limits.ts'
import {
  CONNACK_IDENTIFIER_REJECTED,
  CONNACK_NOT_AUTHORIZED,
  CONNACK_UNACCEPTABLE_VERSION,
  CONNACK_V5_UNSUPPORTED,
} from './packet.ts'
import type { Refusal } from './refusal.ts'
import { isDollarTopic, nameBytesFault, topicNameBytesFault } from './text-check.ts'

export interface ConnectPacket {
  /** Empty when the server is to choose one. */
  readonly clientId: string
  readonly clean: boolean
  readonly keepAliveSeconds: number
  /** Mosquitto's bridges say so in the level: they keep retain flags and never want their own messages back. */
  readonly bridge: boolean
}

const NAMES: Readonly<Record<string, number>> = { MQTT: 4, MQIsdp: 3 }
const BRIDGE = 0x80

const WILL = 0x04
const WILL_QOS = 0x18
const WILL_RETAIN = 0x20
const PASSWORD = 0x40
const USER_NAME = 0x80

export const isRefusal = (result: ConnectPacket | Refusal): result is Refusal => 'reason' in result

/** `bytes` from start to end is the variable header and the payload. */
export const readConnect = (
  bytes: Buffer,
  start: number,
  end: number,
  maxPacketBytes: number,
): ConnectPacket | Refusal => {
  const fields = new Fields(bytes, start, end)

  const protocol = fields.next()
  const expected = protocol === undefined ? undefined : NAMES[bytes.toString('latin1', protocol.start, protocol.end)]
  if (expected === undefined) return { reason: 'not-mqtt', detail: 'the protocol name is not MQTT' } // [MQTT-3.1.2-1]
  const level = fields.byte()
  if (level === undefined) return cutShort
  if ((level & ~BRIDGE) !== expected) {
    const farewell = level === 5 ? CONNACK_V5_UNSUPPORTED : CONNACK_UNACCEPTABLE_VERSION // [MQTT-3.1.2-2]
    return { reason: 'protocol-version', detail: `protocol level ${level} is not served, 3.1 and 3.1.1 are`, farewell }
  }
  const flags = fields.byte()
  const keepAliveSeconds = fields.uint16()
  if (flags === undefined || keepAliveSeconds === undefined) return cutShort
  const flagsProblem = flagsFault(flags)
  if (flagsProblem !== undefined) return { reason: 'malformed', detail: flagsProblem }

  const id = fields.next()
  if (id === undefined) return cutShort
  const clean = (flags & 0x02) !== 0
  const idProblem = clientIdFault(bytes, id, clean, expected)
  if (idProblem !== undefined) return idProblem

  if ((flags & WILL) !== 0) {
    const topic = fields.next()
    const payload = fields.next()
    if (topic === undefined || payload === undefined) return cutShort
    const fault = topicNameBytesFault(bytes, topic.start, topic.end)
    if (fault !== undefined) return { reason: 'topic', detail: `will: ${fault}` }
    if (isDollarTopic(bytes, topic.start, topic.end))
      return {
        reason: 'dollar-topic',
        detail: 'will: topics with $ are the server’s',
        farewell: CONNACK_NOT_AUTHORIZED,
      }
    if (topic.end - topic.start + payload.end - payload.start > maxPacketBytes)
      return { reason: 'packet-size', detail: `the will is larger than ${maxPacketBytes} bytes` }
  }
  if ((flags & USER_NAME) !== 0) {
    const user = fields.next()
    if (user === undefined) return cutShort
    const fault = nameBytesFault(bytes, user.start, user.end)
    if (fault !== undefined) return { reason: 'malformed', detail: `the user name ${fault}` }
  }
  if ((flags & PASSWORD) !== 0 && fields.next() === undefined) return cutShort
  if (!fields.finished) return { reason: 'malformed', detail: 'CONNECT has bytes after its last field' }
  const clientId = bytes.toString('utf8', id.start, id.end)
  return { clientId, clean, keepAliveSeconds, bridge: (level & BRIDGE) !== 0 }
}

const cutShort: Refusal = { reason: 'malformed', detail: 'CONNECT ends inside a field' }

const flagsFault = (flags: number): string | undefined => {
  if ((flags & 0x01) !== 0) return 'the reserved flag of CONNECT is set' // [MQTT-3.1.2-3]
  if ((flags & WILL_QOS) === WILL_QOS) return 'the QoS of the will is 3' // [MQTT-3.1.2-14]
  if ((flags & WILL) === 0 && (flags & (WILL_QOS | WILL_RETAIN)) !== 0) return 'will flags without a will' // [MQTT-3.1.2-11]
  if ((flags & USER_NAME) === 0 && (flags & PASSWORD) !== 0) return 'a password without a user name' // [MQTT-3.1.2-22]
  return undefined
}

const clientIdFault = (bytes: Buffer, id: Field, clean: boolean, level: number): Refusal | undefined => {
  const rejected = (detail: string): Refusal => ({
    reason: 'client-id',
    detail,
    farewell: CONNACK_IDENTIFIER_REJECTED,
  })
  const length = id.end - id.start
  if (length === 0 && (!clean || level === 3)) return rejected('a Client Identifier is required') // [MQTT-3.1.3-8]
  if (length > MAX_CLIENT_ID_BYTES) return rejected(`the Client Identifier is longer than ${MAX_CLIENT_ID_BYTES} bytes`)
  const fault = nameBytesFault(bytes, id.start, id.end)
  return fault === undefined ? undefined : { reason: 'malformed', detail: `the Client Identifier ${fault}` }
}

interface Field {
  readonly start: number
  readonly end: number
}

/** Walks over the fields of a packet; undefined where it ends too soon. */
class Fields {
  readonly #bytes: Buffer
  readonly #end: number
  #offset: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#offset = start
    this.#end = end
  }

  get finished(): boolean {
    return this.#offset === this.#end
  }

  byte(): number | undefined {
    return this.#offset < this.#end ? this.#bytes[this.#offset++] : undefined
  }

  uint16(): number | undefined {
    if (this.#offset + 2 > this.#end) return undefined
    const value = this.#bytes.readUInt16BE(this.#offset)
    this.#offset += 2
    return value
  }

  /** A string or binary field: two bytes of length, then the content. */
  next(): Field | undefined {
    const length = this.uint16()
    if (length === undefined || this.#offset + length > this.#end) return undefined
    const start = this.#offset
    this.#offset += length
    return { start, end: this.#offset }
  }
}
