// Looks at one whole packet of a connected client, before aedes does. MQTT 3.1.1, sections 2 and 3.

import { MAX_SUBSCRIBE_BYTES } from './limits.ts'
import { DISCONNECT, PINGREQ, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBSCRIBE, UNSUBSCRIBE } from './packet.ts'
import type { Refusal } from './refusal.ts'
import { isDollarTopic, topicFilterBytesFault, topicNameBytesFault } from './text-check.ts'

/** What the first byte and the remaining length alone say is wrong. */
export const headerFault = (first: number, remaining: number, maxPacketBytes: number): Refusal | undefined => {
  const flags = first & 0x0f
  switch (first >> 4) {
    case PUBLISH:
      if ((flags & 0x06) === 0x06) return malformed('the QoS of PUBLISH is 3') // [MQTT-3.3.1-4]
      return remaining > maxPacketBytes ? tooLarge('PUBLISH', remaining, maxPacketBytes) : undefined
    case PUBACK:
    case PUBREC:
    case PUBCOMP:
      return flags === 0 && remaining === 2 ? undefined : malformed('an acknowledgement has wrong flags or length')
    case PUBREL:
      return flags === 2 && remaining === 2 ? undefined : malformed('PUBREL has wrong flags or length')
    case SUBSCRIBE:
    case UNSUBSCRIBE:
      if (flags !== 2) return malformed('SUBSCRIBE or UNSUBSCRIBE has wrong flags') // [MQTT-3.8.1-1], [MQTT-3.10.1-1]
      return remaining > MAX_SUBSCRIBE_BYTES ? tooLarge('SUBSCRIBE', remaining, MAX_SUBSCRIBE_BYTES) : undefined
    case PINGREQ:
    case DISCONNECT:
      return flags === 0 && remaining === 0 ? undefined : malformed('PINGREQ or DISCONNECT has wrong flags or length')
    default:
      return malformed(`packet type ${first >> 4} is not for a server`)
  }
}

/** What is wrong inside a packet that headerFault() let pass; `bytes` from start to end is what follows the fixed header. */
export const bodyFault = (first: number, bytes: Buffer, start: number, end: number): Refusal | undefined => {
  switch (first >> 4) {
    case PUBLISH:
      return publishFault(first, bytes, start, end)
    case PINGREQ:
    case DISCONNECT:
      return undefined
    case SUBSCRIBE:
      return packetIdFault(bytes, start, end) ?? filtersFault(bytes, start + 2, end, true)
    case UNSUBSCRIBE:
      return packetIdFault(bytes, start, end) ?? filtersFault(bytes, start + 2, end, false)
    default:
      return packetIdFault(bytes, start, end)
  }
}

const publishFault = (first: number, bytes: Buffer, start: number, end: number): Refusal | undefined => {
  if (start + 2 > end) return malformed('PUBLISH has no topic')
  const topicStart = start + 2
  const topicEnd = topicStart + bytes.readUInt16BE(start)
  if (topicEnd > end) return malformed('the topic of PUBLISH is longer than the packet')
  const fault = topicNameBytesFault(bytes, topicStart, topicEnd)
  if (fault !== undefined) return { reason: 'topic', detail: fault }
  // A PUBACK would promise that the message is stored, so the connection ends instead ([MQTT-3.3.5-2], [MQTT-4.7.2-1]).
  if (isDollarTopic(bytes, topicStart, topicEnd))
    return { reason: 'dollar-topic', detail: 'topics with $ are the server’s' }
  return (first & 0x06) === 0 ? undefined : packetIdFault(bytes, topicEnd, end)
}

const packetIdFault = (bytes: Buffer, start: number, end: number): Refusal | undefined => {
  if (start + 2 > end) return malformed('the packet has no packet identifier')
  return bytes.readUInt16BE(start) === 0 ? malformed('packet identifier 0') : undefined // [MQTT-2.3.1-1]
}

const filtersFault = (bytes: Buffer, start: number, end: number, withQos: boolean): Refusal | undefined => {
  let offset = start
  if (offset === end) return malformed('the packet names no Topic Filter') // [MQTT-3.8.3-3], [MQTT-3.10.3-2]
  while (offset < end) {
    if (offset + 2 > end) return malformed('the packet ends inside a Topic Filter')
    const filterStart = offset + 2
    const filterEnd = filterStart + bytes.readUInt16BE(offset)
    offset = filterEnd + (withQos ? 1 : 0)
    if (offset > end) return malformed('the packet ends inside a Topic Filter')
    const fault = topicFilterBytesFault(bytes, filterStart, filterEnd)
    if (fault !== undefined) return { reason: 'topic', detail: fault }
    if (withQos && (bytes[filterEnd] ?? 3) > 2) return malformed('a requested QoS is not 0, 1 or 2') // [MQTT-3-8.3-4]
  }
  return undefined
}

const malformed = (detail: string): Refusal => ({ reason: 'malformed', detail })

const tooLarge = (name: string, remaining: number, maxBytes: number): Refusal => ({
  reason: 'packet-size',
  detail: `${name} of ${remaining} bytes, ${maxBytes} are allowed`,
})
