// aedes 1.2.0, with its memory and its way of delivering taken out. It keeps the handshakes: CONNECT and session take-over,
// packet dispatch, SUBACK, the QoS 1 and 2 acknowledgements, wills. What it leaves to us, and why:
// - publish(): aedes delivers after the acknowledgement, drops messages of different QoS that overtake each other as
//   duplicates, ignores the granted QoS of wildcard subscriptions, and lets a slow subscriber hold up publishers. Messages
//   of clients are delivered by ingest.ts when the log accepts them; its own $SYS notices go nowhere.
// - persistence: sessions.ts, retained.ts and open-publishes.ts, bounded; nothing of it is reached through aedes's streams.

import { EventEmitter } from 'node:events'
import { Aedes, type Client, type PublishPacket } from 'aedes'
import type { BrokerClient, BrokerEvents, Done } from './broker-events.ts'
import { MAX_CLIENT_ID_BYTES, MAX_LEVELS, MAX_OPEN_PER_CLIENT } from './limits.ts'
import { Persistence, SESSION_PRESENT } from './persistence.ts'

interface AedesInternals {
  readonly clients: Readonly<Record<string, BrokerClient | undefined>>
  registerClient(client: BrokerClient): void
  unregisterClient(client: BrokerClient): void
}

const base = Aedes.prototype as unknown as AedesInternals

/** In a SUBACK ([MQTT-3.9.3-2]). */
const REFUSED_QOS = 128
/** aedes hands back the connection that it was given. */
const own = (client: Client): BrokerClient => client as unknown as BrokerClient

export class Broker extends Aedes {
  constructor(events: BrokerEvents) {
    const persistence = new Persistence(events)
    super({
      persistence,
      drainTimeout: 0, // connection.ts never lets aedes wait for a reader
      maxInflightInbound: MAX_OPEN_PER_CLIENT,
      maxClientsIdLength: MAX_CLIENT_ID_BYTES, // MQTT 3.1 says 23; its clients in the field send more
      maxTopicLevels: MAX_LEVELS,
      preConnect: (_client, packet, done) => {
        packet.keepalive = 0 // connection.ts counts what arrives; aedes counts what it has worked off
        done(null, true)
      },
      authenticate: (client, _user, _password, done) => {
        const { closed, conn } = own(client)
        if (closed || conn.destroyed) return // gone since its CONNECT; aedes stops here, and no session is opened
        persistence.sessionPresent = events.connected(own(client))
        done(null, true) // goes on to subscriptionsByClient() at once
      },
      authorizePublish: (client, packet, done) => {
        if (client === null) done()
        else events.published(own(client), packet, done)
      },
      authorizeSubscribe: (client, subscription, done) => {
        const wanted = subscription !== SESSION_PRESENT
        const granted = wanted && events.subscribing(own(client), subscription.topic, subscription.qos)
        done(null, granted ? subscription : null)
      },
    })
    EventEmitter.prototype.on.call(this, 'error', (error: unknown) => events.failed(error))
    this.on('clientError', (client, error) => events.clientFailed(own(client), error))
    this.on('clientReady', (client) => events.ready(own(client)))
    this.on('subscribe', (subscriptions, client) => {
      for (const { topic, qos } of subscriptions)
        if (Number(qos) !== REFUSED_QOS) events.subscribed(own(client), topic, qos)
    })
    this.on('unsubscribe', (filters, client) => events.unsubscribed(own(client), filters))
  }

  /** Called by aedes for what ingest.ts has delivered already, and for its own notices. */
  override publish(_packet: PublishPacket, clientOrDone: unknown, done?: Done): void {
    ;(typeof clientOrDone === 'function' ? (clientOrDone as Done) : done)?.()
  }

  /** Subscriptions are routed by sessions.ts. */
  override subscribe(_topic: string, _deliver: unknown, done?: () => void): void {
    done?.()
  }

  /** At once, so that a client is closed in one step: aedes would otherwise unregister the client that took over. */
  override unsubscribe(_topic: string, _deliver: unknown, done?: () => void): void {
    done?.()
  }

  /** A client that has gone between CONNECT and now would stay registered for ever. */
  registerClient(client: BrokerClient): void {
    if (!client.closed) base.registerClient.call(this, client)
  }

  /** aedes goes by the Client Identifier, which another connection may have by now. */
  unregisterClient(client: BrokerClient): void {
    const { clients } = this as unknown as AedesInternals
    if (clients[client.id] === client) base.unregisterClient.call(this, client)
  }
}
