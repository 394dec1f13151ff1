// Looks at the UTF-8 strings of a packet in place, before anybody decodes them. MQTT 3.1.1, 1.5.3 and 4.7.

import { isUtf8 } from 'node:buffer'
import { topicFilterFault, topicNameFault } from '../../core/topic.ts'
import { MAX_LEVELS } from './limits.ts'

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const DOLLAR = 0x24

/** A topic of the server's own, which nobody else publishes to ([MQTT-4.7.2-1]), but for what a bridge says of itself. */
export const isDollarTopic = (bytes: Buffer, start: number, end: number): boolean =>
  bytes[start] === DOLLAR && !BRIDGE_NOTICE.test(bytes.toString('latin1', start, end))

/** What a Mosquitto that bridges to this broker says of itself, as will and on connecting. It is answered, and kept nowhere. */
const BRIDGE_NOTICE = /^\$SYS\/broker\/connection\/[^/]+\/state$/

/** Of the topics that pass the check, those that no sensor publishes to. */
export const isBridgeNotice = (topic: string): boolean => topic.startsWith('$')

/** Why the bytes from start to end are not a Topic Name that may be published to, or undefined. ASCII costs one pass. */
export const topicNameBytesFault = (bytes: Buffer, start: number, end: number): string | undefined => {
  if (start === end) return 'the topic is empty' // [MQTT-4.7.3-1]
  let levels = 1
  let ascii = true
  for (let index = start; index < end; index++) {
    const byte = bytes[index] ?? 0
    if (byte === SLASH) levels++
    else if (byte < 0x20 || byte === 0x7f)
      return 'the topic contains a control character' // [MQTT-4.7.3-2]
    else if (byte === PLUS || byte === HASH)
      return 'the topic contains a wildcard' // [MQTT-3.3.2-2]
    else if (byte > 0x7f) ascii = false
  }
  if (levels > MAX_LEVELS) return `the topic has more than ${MAX_LEVELS} levels`
  if (ascii) return undefined
  const fault = decoded(bytes, start, end, topicNameFault)
  return fault === undefined ? undefined : `the topic ${fault}`
}

/** Why the bytes are not a Topic Filter, or undefined. */
export const topicFilterBytesFault = (bytes: Buffer, start: number, end: number): string | undefined => {
  const fault = decoded(bytes, start, end, (text) => topicFilterFault(text) ?? levelsFault(text))
  return fault === undefined ? undefined : `the filter ${fault}`
}

/** Why the bytes are not a string that may name a client or a user, or undefined. */
export const nameBytesFault = (bytes: Buffer, start: number, end: number): string | undefined => {
  for (let index = start; index < end; index++) {
    const byte = bytes[index] ?? 0
    if (byte < 0x20 || byte === 0x7f) return 'contains a control character'
  }
  return isUtf8(bytes.subarray(start, end)) ? undefined : BROKEN
}

const BROKEN = 'is not valid UTF-8'

const decoded = (bytes: Buffer, start: number, end: number, fault: (text: string) => string | undefined) =>
  isUtf8(bytes.subarray(start, end)) ? fault(bytes.toString('utf8', start, end)) : BROKEN // [MQTT-1.5.3-1]

const levelsFault = (text: string): string | undefined => {
  let levels = 1
  for (let index = text.indexOf('/'); index !== -1; index = text.indexOf('/', index + 1)) levels++
  return levels > MAX_LEVELS ? `has more than ${MAX_LEVELS} levels` : undefined
}
