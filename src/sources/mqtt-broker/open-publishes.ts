// QoS 2 publications whose PUBREL has not come, so that a retransmission is recognised ([MQTT-4.3.3-2]), bounded.
// Kept apart from the connection and from clean sessions too: MQTT.js, for one, retransmits after a clean CONNECT.
// Rebuilt after a crash from the log, which does not know PUBREL; so a packet counts as a retransmission only if it says so
// (DUP) and if topic and payload are the same.

import { crc32 } from 'node:zlib'
import type { Origin } from '../../core/contract.ts'
import { MAX_OPEN_TOTAL } from './limits.ts'

export interface OpenPublish {
  /** CRC-32 of topic and payload. */
  readonly crc: number
  /** 'lost': the log failed it; it was passed on to subscribers already, and is stored when it comes again. */
  state: 'pending' | 'durable' | 'lost'
  /** Retransmissions that wait for it to be durable. */
  readonly waiting: ((error: Error | undefined) => void)[]
}

export const clientHash = (clientId: string): number => crc32(clientId)

export const publishCrc = (topic: string, payload: Buffer): number => crc32(payload, crc32(topic))

export class OpenPublishes {
  readonly #byClient = new Map<number, Map<number, OpenPublish>>()
  readonly #maxTotal: number
  #size = 0

  constructor(maxTotal = MAX_OPEN_TOTAL) {
    this.#maxTotal = maxTotal
  }

  get size(): number {
    return this.#size
  }

  find(origin: Origin): OpenPublish | undefined {
    return this.#byClient.get(origin.clientHash)?.get(origin.packetId)
  }

  /** In place of what was open under this packet identifier. */
  open(origin: Origin, crc: number, state: OpenPublish['state']): OpenPublish {
    this.close(origin)
    if (this.#size >= this.#maxTotal) this.#forgetOldest()
    let ofClient = this.#byClient.get(origin.clientHash)
    if (ofClient === undefined) {
      ofClient = new Map()
      this.#byClient.set(origin.clientHash, ofClient)
    }
    const publish: OpenPublish = { crc, state, waiting: [] }
    ofClient.set(origin.packetId, publish)
    this.#size++
    return publish
  }

  /** PUBREL has come. */
  close({ clientHash, packetId }: Origin): void {
    const ofClient = this.#byClient.get(clientHash)
    if (ofClient?.delete(packetId) !== true) return
    this.#size--
    if (ofClient.size === 0) this.#byClient.delete(clientHash)
  }

  /** What a restart must know: only what the log holds. */
  *durable(): Generator<{ origin: Origin; crc: number }> {
    for (const [clientHash, ofClient] of this.#byClient)
      for (const [packetId, { crc, state }] of ofClient)
        if (state === 'durable') yield { origin: { clientHash, packetId }, crc }
  }

  #forgetOldest(): void {
    for (const [clientHash, ofClient] of this.#byClient)
      for (const packetId of ofClient.keys()) {
        this.close({ clientHash, packetId })
        return
      }
  }
}
