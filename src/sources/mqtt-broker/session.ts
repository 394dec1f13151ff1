// What one client has subscribed to and what still has to reach it. MQTT 3.1.1, 3.1.2.4 and 4.4.
// QoS 0 goes straight to the peer or, while it reads too slowly, nowhere; QoS 1 and 2 wait in a bounded queue and have a
// window of unacknowledged packets. Order is kept, resumed sessions get what was unacknowledged first.

import type { Connection } from './connection.ts'
import { MAX_OUTGOING_IN_FLIGHT, MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES, MAX_RETAINED_STEPS } from './limits.ts'
import { encodePublish, encodePubrel, lowerQos, type Publication, type Qos } from './packet.ts'
import type { RetainedMessage } from './retained.ts'

/** One Topic Filter of one session. */
export interface Subscription {
  readonly session: Session
  readonly filter: string
  readonly qos: Qos
}

/** A QoS 1 or 2 message that the client has not acknowledged. */
interface Outgoing {
  readonly topic: string
  payload: Buffer
  readonly qos: Qos
  readonly retain: boolean
  readonly bytes: number
  /** PUBREC has come: from now on it is PUBREL that must reach the client. */
  released: boolean
}

/** What all sessions share. */
export interface SessionBudget {
  /** Reserves (or, negative, gives back) queue memory; false when there is none. */
  reserve(bytes: number): boolean
  /** A message was dropped: oldest of a full queue, or QoS 0 for a slow reader. */
  dropped(offline: boolean): void
}

/** Beyond its payload, a queued message costs about this much. */
const OUTGOING_OVERHEAD_BYTES = 200
const NO_PAYLOAD = Buffer.alloc(0)

export class Session {
  readonly clientId: string
  /** Ends with the connection. */
  readonly clean: boolean
  readonly subscriptions = new Map<string, Subscription>()
  readonly #budget: SessionBudget
  #connection: Connection | undefined
  #queue: Outgoing[] = []
  #queueBytes = 0
  readonly #inFlight = new Map<number, Outgoing>()
  /** Retained messages of new subscriptions, by filter, taken as fast as the peer reads. */
  readonly #retained = new Map<
    string,
    { readonly messages: Iterator<RetainedMessage | undefined>; readonly qos: Qos }
  >()
  #isPumpingLater = false
  #lastPacketId = 0
  /** The publication that is being matched, and the best QoS granted for it so far ([MQTT-3.3.5-1]). */
  #offered: Publication | undefined
  #offeredQos: Qos = 0

  constructor(clientId: string, clean: boolean, budget: SessionBudget) {
    this.clientId = clientId
    this.clean = clean
    this.#budget = budget
  }

  get connection(): Connection | undefined {
    return this.#connection
  }

  attach(connection: Connection): void {
    this.#connection = connection
    this.#retained.clear()
  }

  /** The session goes on without its connection, if it still is this one. */
  detach(connection: Connection): void {
    if (this.#connection !== connection) return
    this.#connection = undefined
  }

  /** CONNACK is out: first what the client has not acknowledged ([MQTT-4.4.0-1]), then what is new. */
  resume(): void {
    for (const [packetId, { topic, payload, qos, retain, released }] of this.#inFlight) {
      const packet = released ? encodePubrel(packetId) : encodePublish(topic, payload, qos, retain, true, packetId)
      this.#connection?.write(packet)
    }
    this.pump()
  }

  /** A subscription of this session matches. True for the first of a publication: then deliver() follows. */
  offer(publication: Publication, qos: Qos): boolean {
    if (this.#offered === publication) {
      if (qos > this.#offeredQos) this.#offeredQos = qos
      return false
    }
    this.#offered = publication
    this.#offeredQos = qos
    return true
  }

  /**
   * All subscriptions have been offered. `own()` copies the payload out of the socket's memory, once for all sessions.
   * False when the message goes nowhere.
   */
  deliver(publication: Publication, retain: boolean, own: () => Buffer): boolean {
    this.#offered = undefined
    const qos = lowerQos(publication.qos, this.#offeredQos)
    if (qos === 0) {
      const connection = this.#connection
      if (connection === undefined || !connection.ready) return false
      if (connection.congested) {
        this.#budget.dropped(false)
        return false
      }
      connection.write(encodePublish(publication.topic, publication.payload, 0, retain, false, 0))
      return true
    }
    this.#enqueue(publication.topic, own(), qos, retain)
    this.pump()
    return true
  }

  /** All subscriptions have been offered, but this session does not want what it published itself. */
  forgo(): void {
    this.#offered = undefined
  }

  /** A new subscription: what is retained under it follows ([MQTT-3.3.1-6]). */
  sendRetained(filter: string, messages: Iterator<RetainedMessage | undefined>, qos: Qos): void {
    this.#retained.set(filter, { messages, qos })
    this.pump()
  }

  /** PUBACK or PUBCOMP. */
  acknowledge(packetId: number): void {
    const acknowledged = this.#inFlight.get(packetId)
    if (acknowledged === undefined) return
    this.#inFlight.delete(packetId)
    this.#release(acknowledged)
    this.pump()
  }

  /** PUBREC: the client has it, only the identifier is still in use. */
  receive(packetId: number): void {
    const received = this.#inFlight.get(packetId)
    if (received === undefined) return
    received.released = true
    received.payload = NO_PAYLOAD
  }

  /** Sends what the window and the peer allow. */
  pump(): void {
    const connection = this.#connection
    if (connection === undefined || !connection.ready) return
    for (let steps = 1; !connection.congested && this.#inFlight.size < MAX_OUTGOING_IN_FLIGHT; steps++) {
      if (this.#retained.size > 0) {
        if (steps > MAX_RETAINED_STEPS) {
          this.#pumpLater()
          return
        }
        this.#sendNextRetained(connection)
        continue
      }
      const next = this.#queue.shift()
      if (next === undefined) return
      this.#send(connection, next)
    }
  }

  /** Gives its memory back; the session must not be used afterwards. */
  discard(): void {
    for (const waiting of this.#queue) this.#release(waiting)
    for (const waiting of this.#inFlight.values()) this.#release(waiting)
    this.#queue = []
    this.#inFlight.clear()
    this.#retained.clear()
    this.#connection = undefined
  }

  // A thousand wildcard filters over ten thousand retained messages must not stop everybody else.
  #pumpLater(): void {
    if (this.#isPumpingLater) return
    this.#isPumpingLater = true
    setImmediate(() => {
      this.#isPumpingLater = false
      this.pump()
    })
  }

  #enqueue(topic: string, payload: Buffer, qos: Qos, retain: boolean): void {
    const bytes = payload.length + topic.length + OUTGOING_OVERHEAD_BYTES
    while (
      this.#queue.length >= MAX_QUEUED_MESSAGES ||
      this.#queueBytes + bytes > MAX_QUEUED_BYTES ||
      !this.#budget.reserve(bytes)
    ) {
      this.#budget.dropped(this.#connection === undefined)
      const oldest = this.#queue.shift()
      if (oldest === undefined) return
      this.#release(oldest)
    }
    this.#queueBytes += bytes
    this.#queue.push({ topic, payload, qos, retain, bytes, released: false })
  }

  #sendNextRetained(connection: Connection): void {
    for (const [filter, { messages, qos }] of this.#retained) {
      const next = messages.next()
      if (next.done === true) this.#retained.delete(filter)
      else if (next.value !== undefined) {
        const { topic, payload } = next.value
        const granted = lowerQos(next.value.qos, qos)
        if (granted === 0) connection.write(encodePublish(topic, payload, 0, true, false, 0))
        // Costs no memory of its own: the payload is the retained one, and the window bounds their number.
        else this.#send(connection, { topic, payload, qos: granted, retain: true, bytes: 0, released: false })
      }
      return
    }
  }

  #send(connection: Connection, outgoing: Outgoing): void {
    const packetId = this.#nextPacketId()
    this.#inFlight.set(packetId, outgoing)
    const { topic, payload, qos, retain } = outgoing
    connection.write(encodePublish(topic, payload, qos, retain, false, packetId))
    if (this.clean) outgoing.payload = NO_PAYLOAD // never sent again
  }

  #nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1
    while (this.#inFlight.has(this.#lastPacketId)) // [MQTT-2.3.1-2]
    return this.#lastPacketId
  }

  #release({ bytes }: Outgoing): void {
    this.#queueBytes -= bytes
    this.#budget.reserve(-bytes)
  }
}
