// QoS 2 publications whose PUBREL has not come, so that a retransmission is recognised ([MQTT-4.3.3-2]), bounded.
// A retransmission has the same packet identifier, topic and payload. Where PUBREL may have been missed, it must also say
// that it is one (DUP): after a restart, since the log does not know PUBREL, and after a clean CONNECT, which ends what was
// open although clients do retransmit behind it. Elsewhere DUP is not asked for: MQTT.js never sets it.

import { crc32 } from 'node:zlib'
import type { Origin } from '../../core/contract.ts'
import { MAX_OPEN_TOTAL } from './limits.ts'

/** A retransmission that waits for the first to be durable. */
export interface Retransmission {
  readonly connection: { readonly destroyed: boolean }
  readonly settle: (error: Error | undefined) => void
}

export class OpenPublish {
  /** CRC-32 of topic and payload. */
  readonly crc: number
  /** 'lost': the log failed it; it was passed on to subscribers already, and is stored when it comes again. */
  state: 'pending' | 'durable' | 'lost'
  /** PUBREL has certainly not come. */
  certain: boolean
  #waiting: Retransmission[] = []

  constructor(crc: number, state: OpenPublish['state'], certain: boolean) {
    this.crc = crc
    this.state = state
    this.certain = certain
  }

  /** Retransmissions that wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** A client that comes again and again while the disk is full must not add up: its ended connections wait for nothing. */
  wait(retransmission: Retransmission): void {
    if (this.#waiting.at(-1)?.connection !== retransmission.connection)
      this.#waiting = this.#waiting.filter(({ connection }) => !connection.destroyed)
    this.#waiting.push(retransmission)
  }

  /** The log has it, or will never have it. */
  finish(error: Error | undefined): void {
    this.state = error === undefined ? 'durable' : 'lost'
    const waiting = this.#waiting
    this.#waiting = []
    for (const { settle } of waiting) settle(error)
  }
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
  open(origin: Origin, crc: number): OpenPublish {
    return this.#put(origin, new OpenPublish(crc, 'pending', true))
  }

  /** From the checkpoint or the log. */
  restore(origin: Origin, crc: number): void {
    this.#put(origin, new OpenPublish(crc, 'durable', false))
  }

  /** The client has begun a clean session. */
  doubt(clientHash: number): void {
    for (const publish of this.#byClient.get(clientHash)?.values() ?? []) publish.certain = false
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

  #put(origin: Origin, publish: OpenPublish): OpenPublish {
    this.close(origin)
    if (this.#size >= this.#maxTotal) this.#forgetOldest()
    let ofClient = this.#byClient.get(origin.clientHash)
    if (ofClient === undefined) {
      ofClient = new Map()
      this.#byClient.set(origin.clientHash, ofClient)
    }
    ofClient.set(origin.packetId, publish)
    this.#size++
    return publish
  }

  #forgetOldest(): void {
    for (const [clientHash, ofClient] of this.#byClient)
      for (const packetId of ofClient.keys()) {
        this.close({ clientHash, packetId })
        return
      }
  }
}
