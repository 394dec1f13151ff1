// What aedes tells the broker source, and what of an aedes client is used. Types only.

import type { PublishPacket } from 'aedes'
import type { Connection } from './connection.ts'
import type { Qos } from './packet.ts'

/** What of an aedes client is used; `will` and the life cycle flags are not in its types. */
export interface BrokerClient {
  readonly id: string
  readonly clean: boolean
  readonly closed: boolean
  readonly conn: Connection
  readonly will: PublishPacket | null
}

/** The rest of what aedes does for a packet; an error closes the client. */
export type Done = (error?: Error | null) => void

/** What aedes asks for; implemented by source.ts. */
export interface BrokerEvents {
  /** A well-formed CONNECT was accepted. True if a session goes on. */
  connected(client: BrokerClient): boolean
  /** CONNACK has been sent. */
  ready(client: BrokerClient): void
  /** aedes could not do its work. */
  failed(error: unknown): void
  /** The connection of a client broke, or it did what aedes does not allow. It is closed. */
  clientFailed(client: BrokerClient, error: Error): void
  /** A PUBLISH, or a will when `client.will` is the packet. `done` lets aedes acknowledge, or close the client. */
  published(client: BrokerClient, packet: PublishPacket, done: Done): void
  /** False refuses the subscription. */
  subscribing(client: BrokerClient, filter: string, qos: Qos): boolean
  /** SUBACK has been written. */
  subscribed(client: BrokerClient, filter: string, qos: Qos): void
  unsubscribed(client: BrokerClient, filters: readonly string[]): void
  /** Resolves when a restart would know the client's subscriptions. */
  remembered(): Promise<void>
  /** PUBACK or PUBCOMP. */
  acknowledged(client: BrokerClient, packetId: number): void
  /** PUBREC. */
  received(client: BrokerClient, packetId: number): void
  /** PUBREL. */
  released(client: BrokerClient, packetId: number): void
}
