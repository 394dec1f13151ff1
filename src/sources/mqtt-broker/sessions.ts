// All sessions by Client Identifier, and the way of a publication to those that subscribed. Bounded: of the disconnected
// persistent sessions the one that left first goes. MQTT 3.1.1, 3.1.2.4.

import type { Meter } from '../../core/contract.ts'
import type { Connection } from './connection.ts'
import { MAX_FILTER_BYTES, MAX_OFFLINE_SESSIONS, MAX_QUEUED_BYTES_TOTAL, MAX_SUBSCRIPTIONS } from './limits.ts'
import type { Publication, Qos } from './packet.ts'
import { Routes } from './routes.ts'
import { Session, type SessionBudget, type Subscription } from './session.ts'

/** A persistent session as the checkpoint holds it. */
export interface StoredSession {
  readonly clientId: string
  readonly filters: readonly (readonly [filter: string, qos: Qos])[]
}

/** Beyond the text of its filter, a subscription costs about this much. */
const SUBSCRIPTION_OVERHEAD_BYTES = 250

export class Sessions {
  readonly #source: string
  readonly #meter: Meter
  readonly #byClient = new Map<string, Session>()
  /** Persistent ones without a connection, the longest gone first. */
  readonly #offline = new Set<Session>()
  readonly #routes = new Routes<Subscription>()
  readonly #maxOffline: number
  #queuedBytes = 0
  #filterBytes = 0
  #changes = 0
  /** Reused for every publication; empty between two. */
  readonly #matched: Session[] = []
  #publication: Publication | undefined
  readonly #budget: SessionBudget

  constructor(source: string, meter: Meter, maxOffline = MAX_OFFLINE_SESSIONS) {
    this.#source = source
    this.#meter = meter
    this.#maxOffline = maxOffline
    this.#budget = {
      reserve: (bytes) => {
        if (bytes > 0 && this.#queuedBytes + bytes > MAX_QUEUED_BYTES_TOTAL) return false
        this.#queuedBytes += bytes
        return true
      },
      dropped: (offline) =>
        meter.add(offline ? 'mqtt_offline_dropped_total' : 'mqtt_slow_dropped_total', { source: this.#source }),
    }
  }

  get size(): number {
    return this.#byClient.size
  }

  get subscriptionCount(): number {
    return this.#routes.size
  }

  /** Grows with every change of what a restart must know. */
  get changes(): number {
    return this.#changes
  }

  /** At an accepted CONNECT. True if there is a session to go on with ([MQTT-3.2.2-2]). */
  open(clientId: string, clean: boolean, connection: Connection): { session: Session; present: boolean } {
    const old = this.#byClient.get(clientId)
    if (old !== undefined && !clean && !old.clean) {
      this.#offline.delete(old)
      old.attach(connection)
      return { session: old, present: true }
    }
    if (old !== undefined) this.#remove(old) // [MQTT-3.1.2-6]
    const session = new Session(clientId, clean, this.#budget)
    session.attach(connection)
    this.#byClient.set(clientId, session)
    if (!clean) this.#changes++
    return { session, present: false }
  }

  /** The connection has ended; a session that another connection has taken over is left alone. */
  leave(session: Session, connection: Connection): void {
    if (session.connection !== connection) return
    session.detach(connection)
    if (session.clean) {
      this.#remove(session)
      return
    }
    this.#offline.add(session)
    this.#limitOffline()
  }

  /** False when there is no room for another subscription. */
  subscribe(session: Session, filter: string, qos: Qos): boolean {
    const old = session.subscriptions.get(filter)
    if (old?.qos === qos) return true
    if (old === undefined) {
      if (session.subscriptions.size >= MAX_SUBSCRIPTIONS) return false
      if (this.#filterBytes + bytesOf(filter) > MAX_FILTER_BYTES) return false
    }
    const subscription: Subscription = { session, filter, qos }
    if (old !== undefined) this.#routes.remove(filter, old)
    else this.#filterBytes += bytesOf(filter)
    if (!this.#routes.add(filter, subscription)) {
      session.subscriptions.delete(filter)
      this.#filterBytes -= bytesOf(filter)
      return false
    }
    session.subscriptions.set(filter, subscription)
    if (!session.clean) this.#changes++
    return true
  }

  unsubscribe(session: Session, filter: string): void {
    const subscription = session.subscriptions.get(filter)
    if (subscription === undefined) return
    session.subscriptions.delete(filter)
    this.#filterBytes -= bytesOf(filter)
    this.#routes.remove(filter, subscription)
    if (!session.clean) this.#changes++
  }

  /** Passes a publication on to every session that wants it, each once, in order. Returns how many took it. */
  publish(publication: Publication, from?: Session): number {
    if (this.#routes.size === 0) return 0
    this.#publication = publication
    this.#routes.match(publication.topic, this.#offer)
    if (this.#matched.length === 0) return 0
    let owned: Buffer | undefined
    const own = () => {
      owned ??= Buffer.from(publication.payload)
      return owned
    }
    let count = 0
    for (const session of this.#matched) {
      const isBridge = session.connection?.connect?.bridge === true
      if (isBridge && session === from) session.forgo()
      else if (session.deliver(publication, isBridge && publication.retain, own)) count++ // [MQTT-3.3.1-9]
    }
    this.#matched.length = 0
    return count
  }

  /** Persistent sessions, the longest gone first, those with a connection last. */
  stored(): StoredSession[] {
    const connected = [...this.#byClient.values()].filter((session) => !session.clean && !this.#offline.has(session))
    return [...this.#offline, ...connected].map((session) => ({
      clientId: session.clientId,
      filters: [...session.subscriptions.values()].map(({ filter, qos }) => [filter, qos] as const),
    }))
  }

  /** At start, before any client is there. */
  restore({ clientId, filters }: StoredSession): void {
    const session = new Session(clientId, false, this.#budget)
    this.#byClient.set(clientId, session)
    this.#offline.add(session)
    for (const [filter, qos] of filters) this.subscribe(session, filter, qos)
    this.#limitOffline()
  }

  readonly #offer = (subscription: Subscription): void => {
    const publication = this.#publication
    if (publication !== undefined && subscription.session.offer(publication, subscription.qos))
      this.#matched.push(subscription.session)
  }

  #limitOffline(): void {
    for (const longestGone of this.#offline) {
      if (this.#offline.size <= this.#maxOffline) return
      this.#remove(longestGone)
      this.#meter.add('mqtt_sessions_dropped_total', { source: this.#source })
    }
  }

  #remove(session: Session): void {
    for (const [filter, subscription] of session.subscriptions) {
      this.#filterBytes -= bytesOf(filter)
      this.#routes.remove(filter, subscription)
    }
    session.subscriptions.clear()
    session.discard()
    this.#offline.delete(session)
    this.#byClient.delete(session.clientId)
    if (!session.clean) this.#changes++
  }
}

const bytesOf = (filter: string): number => filter.length + SUBSCRIPTION_OVERHEAD_BYTES
