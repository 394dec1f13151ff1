// The few packets that the broker writes itself. MQTT 3.1.1, section 3.

/** Control packet types, the upper half of the first byte. */
export const CONNECT = 1
export const PUBLISH = 3
export const PUBACK = 4
export const PUBREC = 5
export const PUBREL = 6
export const PUBCOMP = 7
export const SUBSCRIBE = 8
export const UNSUBSCRIBE = 10
export const PINGREQ = 12
export const DISCONNECT = 14

export const CONNACK_UNACCEPTABLE_VERSION = Buffer.from([0x20, 2, 0, 1])
export const CONNACK_IDENTIFIER_REJECTED = Buffer.from([0x20, 2, 0, 2])
export const CONNACK_NOT_AUTHORIZED = Buffer.from([0x20, 2, 0, 5])
/** MQTT 5, 3.2: no flags, reason 0x84 Unsupported Protocol Version, no properties. */
export const CONNACK_V5_UNSUPPORTED = Buffer.from([0x20, 3, 0, 0x84, 0])
export const PINGRESP = Buffer.from([0xd0, 0])

export type Qos = 0 | 1 | 2

/** Delivery is at the lower of the published and the granted QoS ([MQTT-3.8.4-6]). */
export const lowerQos = (one: Qos, other: Qos): Qos => (one === 0 || other === 0 ? 0 : one === 1 ? 1 : other)

/** An Application Message on its way to subscribers. */
export interface Publication {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Qos
  readonly retain: boolean
}

/** A PUBLISH packet. `packetId` counts only above QoS 0. */
export const encodePublish = (
  topic: string,
  payload: Buffer,
  qos: Qos,
  retain: boolean,
  dup: boolean,
  packetId: number,
): Buffer => {
  const topicBytes = Buffer.byteLength(topic)
  const remaining = 2 + topicBytes + (qos > 0 ? 2 : 0) + payload.length
  const packet = Buffer.allocUnsafe(1 + lengthBytes(remaining) + remaining)
  packet[0] = (PUBLISH << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
  let offset = 1
  let rest = remaining
  do {
    packet[offset++] = rest > 127 ? (rest & 127) | 128 : rest
    rest >>>= 7
  } while (rest > 0)
  offset = packet.writeUInt16BE(topicBytes, offset)
  offset += packet.write(topic, offset, 'utf8')
  if (qos > 0) offset = packet.writeUInt16BE(packetId, offset)
  payload.copy(packet, offset)
  return packet
}

export const encodePubrel = (packetId: number): Buffer =>
  Buffer.from([(PUBREL << 4) | 2, 2, packetId >>> 8, packetId & 255])

const lengthBytes = (remaining: number): number => {
  if (remaining < 128) return 1
  if (remaining < 16_384) return 2
  return remaining < 2_097_152 ? 3 : 4
}
