// Messages of which no two are alike, small and large, empty ones too.

import type { Message } from '../../src/core/contract.ts'

const DIGITS = 8

/** The message with this number: its payload has so many bytes, its topic is one of so many. */
export const messageOf = (number: number, bytes: number, topics: number): Message => {
  const payload = Buffer.alloc(bytes, number)
  payload.write(`${number}`.padStart(Math.min(DIGITS, bytes), '0'))
  const qos = number % 3 === 0 ? 0 : number % 3 === 1 ? 1 : 2
  return {
    // Without room in the payload, the topic tells them apart.
    topic: bytes < DIGITS ? `empty/${number}` : `topic/${number % topics}`,
    payload,
    source: number % 7 === 0 ? 'http' : 'broker',
    qos,
    retain: number % 5 === 0,
    ...(qos === 2 ? { origin: { clientHash: number * 7_919, packetId: (number % 65_535) + 1 } } : {}),
  }
}
