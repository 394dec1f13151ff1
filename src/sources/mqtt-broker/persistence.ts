// What aedes calls its persistence, reduced to notices: sessions, queues and retained messages are kept elsewhere, so
// whatever aedes asks for is empty, and whatever it stores tells us what has happened. It calls on these methods only.

import { Readable } from 'node:stream'
import type { Subscription } from 'aedes'
import type { BrokerClient, BrokerEvents } from './broker-events.ts'

interface Identified {
  readonly cmd: string
  readonly messageId: number
}

/** Returned for a stored session, so that aedes says "session present" ([MQTT-3.2.2-2]). */
export const SESSION_PRESENT: Subscription = { topic: 'session/present', qos: 0 }

const NOT_FOUND = new Error('no such packet')

export class Persistence {
  /** Of the client that is connecting; set just before subscriptionsByClient(). */
  sessionPresent = false
  readonly #events: BrokerEvents

  constructor(events: BrokerEvents) {
    this.#events = events
  }

  async setup(): Promise<void> {
    // Nothing to wait for; aedes insists on an async function.
  }

  async subscriptionsByClient(): Promise<Subscription[]> {
    return this.sessionPresent ? [SESSION_PRESENT] : []
  }

  async cleanSubscriptions(): Promise<void> {
    // Done at authentication.
  }

  /** SUBACK waits for it. */
  addSubscriptions(): Promise<void> {
    return this.#events.remembered()
  }

  async removeSubscriptions(): Promise<void> {
    // The event 'unsubscribe' follows, for clean sessions too.
  }

  createRetainedStreamCombi(): Readable {
    return Readable.from([])
  }

  outgoingStream(): Readable {
    return Readable.from([])
  }

  /** PUBREC of a persistent session. */
  async outgoingUpdate(client: BrokerClient, packet: Identified): Promise<void> {
    this.#events.received(client, packet.messageId)
  }

  /** PUBACK or PUBCOMP. */
  async outgoingClearMessageId(client: BrokerClient, packet: Identified): Promise<void> {
    this.#events.acknowledged(client, packet.messageId)
  }

  /** ingest.ts has told retransmissions apart: every PUBLISH is new to aedes, so that all PUBRECs take the same way, in order. */
  async incomingGetPacket(_client: BrokerClient, packet: Identified): Promise<Identified> {
    if (packet.cmd === 'publish') throw NOT_FOUND
    return packet
  }

  async incomingStorePacket(): Promise<void> {
    // The log has it.
  }

  /** PUBREL. */
  async incomingDelPacket(client: BrokerClient, packet: Identified): Promise<void> {
    this.#events.released(client, packet.messageId)
  }

  async cleanIncoming(): Promise<void> {
    // open-publishes.ts outlives clean sessions.
  }

  async putWill(): Promise<void> {
    // aedes keeps it at the client.
  }

  async delWill(): Promise<void> {
    // As above.
  }

  /** Wills of other brokers, of which there are none. */
  streamWill(): Readable {
    return Readable.from([])
  }
}
