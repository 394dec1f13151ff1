// PUBLISH as it comes from a broker, in MQTT 3.1.1 and 5, and the short answers to it.

export interface PublishPacket {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** 0 with QoS 0. */
  readonly packetId: number
}

export const PUBLISH = 3
export const PUBREL = 6

/** The type of a Control Packet (MQTT 2.2.1). */
export const packetType = (packet: Buffer): number => (packet[0] ?? 0) >> 4

/** A whole PUBLISH (MQTT 3.3). Throws RangeError with the reason where it is malformed; what the topic is, is not looked at. */
export const parsePublish = (packet: Buffer, version: 4 | 5): PublishPacket => {
  const { topic, qos, retain, packetId, end } = parseHead(packet)
  // The chunk that it was cut from lives on as long as the payload, which the log copies at once.
  return { topic, payload: packet.subarray(version === 5 ? afterProperties(packet, end) : end), qos, retain, packetId }
}

/** Everything before the properties and the payload. */
export const parseHead = (packet: Buffer) => {
  const flags = packet[0] ?? 0
  const qos = (flags >> 1) & 3
  if (qos === 3) throw new RangeError('a PUBLISH with QoS 3') // [MQTT-3.3.1-4]
  let at = 1
  while ((packet[at] ?? 0) >= 0x80) at++
  at++
  const topicEnd = at + 2 + packet.readUInt16BE(at)
  if (topicEnd > packet.length) throw new RangeError('a PUBLISH whose topic is longer than the packet')
  const topic = packet.toString('utf8', at + 2, topicEnd)
  const packetId = qos === 0 ? 0 : packet.readUInt16BE(topicEnd)
  if (qos > 0 && packetId === 0) throw new RangeError('a PUBLISH with packet identifier 0') // [MQTT-2.3.1-1]
  const end = qos === 0 ? topicEnd : topicEnd + 2
  return { topic, qos: qos as 0 | 1 | 2, retain: (flags & 1) === 1, packetId, end }
}

// MQTT 5, 2.2.2: a Variable Byte Integer, then that many bytes, none of which matters to the log.
const afterProperties = (packet: Buffer, start: number): number => {
  let length = 0
  for (let index = 0; index < 4; index++) {
    const byte = packet[start + index]
    if (byte === undefined) break
    length += (byte & 0x7f) * 128 ** index
    if (byte >= 0x80) continue
    const end = start + index + 1 + length
    if (end <= packet.length) return end
    break
  }
  throw new RangeError('a PUBLISH whose properties are longer than the packet')
}

/** The packet identifier of a PUBREL, which has nothing else that matters; MQTT 5 may make it long by a reason (3.6.2.2). */
export const packetIdOf = (packet: Buffer): number => {
  let at = 1
  while ((packet[at] ?? 0) >= 0x80) at++
  return packet.readUInt16BE(at + 1)
}

/** Type and flags of the answers; without a reason code they mean success in MQTT 5, too (3.4.2.1). */
export const PUBACK = 0x40
export const PUBREC = 0x50
export const PUBCOMP = 0x70
