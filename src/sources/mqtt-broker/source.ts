// The MQTT broker as a source: every message that a client publishes goes to the log, and is acknowledged when it is
// durable; subscribers get it as from any broker. The parts: listener and connection (with the guard) in front of aedes,
// ingest between aedes and the log, sessions and retained messages behind it, the checkpoint for the next start.

import type { Command, Health, Intake, Source } from '../../core/contract.ts'
import { describe, TidegateError } from '../../core/errors.ts'
import type { SourceContext } from '../../core/plugin-contract.ts'
import { withDeadline } from '../../core/time.ts'
import { topicNameFault } from '../../core/topic.ts'
import { Broker } from './broker.ts'
import type { BrokerClient, BrokerEvents } from './broker-events.ts'
import { Checkpoint } from './checkpoint.ts'
import type { Connection } from './connection.ts'
import { Ingest } from './ingest.ts'
import { CLOSE_TIMEOUT_MS, WILL_TIMEOUT_MS } from './limits.ts'
import { type ListenAddress, Listener } from './listener.ts'
import { clientHash, OpenPublishes } from './open-publishes.ts'
import type { Publication } from './packet.ts'
import { Refusals } from './refusal.ts'
import { RetainedMessages } from './retained.ts'
import type { Session } from './session.ts'
import { Sessions } from './sessions.ts'

export interface MqttBrokerSettings extends ListenAddress {
  readonly maxPacketBytes: number
  readonly maxConnections: number
  readonly connectTimeoutMs: number
}

/** Everything that exists only between start() and close(). */
interface Running {
  readonly listener: Listener
  readonly broker: Broker
  readonly ingest: Ingest
}

export class MqttBrokerSource implements Source {
  readonly publishes = true
  readonly #settings: MqttBrokerSettings
  readonly #context: SourceContext
  readonly #refusals: Refusals
  readonly #retained = new RetainedMessages()
  readonly #open = new OpenPublishes()
  readonly #sessions: Sessions
  readonly #checkpoint: Checkpoint
  readonly #sessionOf = new WeakMap<Connection, Session>()
  #running: Running | undefined
  #closing: Promise<void> | undefined
  #health: Health

  constructor(settings: MqttBrokerSettings, context: SourceContext) {
    const { name, logger, meter, clock } = context
    this.#settings = settings
    this.#context = context
    this.#refusals = new Refusals(name, logger, meter, clock)
    this.#sessions = new Sessions(name, meter)
    this.#checkpoint = new Checkpoint(context, { retained: this.#retained, sessions: this.#sessions, open: this.#open })
    this.#health = { state: 'starting', since: clock.wallMs(), reason: 'not started' }
  }

  async start(intake: Intake, signal: AbortSignal): Promise<void> {
    const { logger } = this.#context
    try {
      await this.#checkpoint.load(signal)
      const running = this.#assemble(intake)
      this.#running = running
      await running.broker.listen()
      await running.listener.listen()
      signal.throwIfAborted()
      this.#become('ok')
      logger.info({ address: running.listener.address }, 'mqtt broker listening')
    } catch (error) {
      await this.close()
      this.#become('failed', describe(error))
      throw error
    }
  }

  health(): Health {
    if (this.#running === undefined || this.#health.state !== 'ok') return this.#health
    const { listener } = this.#running
    const detail = {
      address: listener.address,
      connections: listener.connectionCount,
      sessions: this.#sessions.size,
      subscriptions: this.#sessions.subscriptionCount,
      retainedMessages: this.#retained.size,
    }
    return { ...this.#health, detail }
  }

  async send({ topic: given, device, payload, qos }: Command): Promise<void> {
    const topic = given ?? device
    const fault = topicNameFault(topic)
    if (fault !== undefined) throw new TidegateError('TG_TOPIC_INVALID', `the topic of a command ${fault}: ${topic}`)
    if (this.#health.state !== 'ok') throw new TidegateError('TG_UNAVAILABLE', 'the MQTT broker is not running')
    if (this.#sessions.publish({ topic, payload, qos, retain: false }) === 0)
      throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `no client of the MQTT broker subscribes to ${topic}`)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const running = this.#running
    this.#become('closed')
    if (running !== undefined) {
      const { listener, broker, ingest } = running
      listener.stop()
      await this.#within(CLOSE_TIMEOUT_MS, 'acknowledgements', ingest.drained())
      // Whoever is still connected has not said goodbye: their wills are published ([MQTT-3.1.2-8]).
      await this.#within(CLOSE_TIMEOUT_MS, 'disconnects', new Promise<void>((resolve) => broker.close(resolve)))
      await this.#within(WILL_TIMEOUT_MS, 'wills', ingest.drained())
      ingest.close()
      await this.#within(CLOSE_TIMEOUT_MS, 'connections', listener.close())
    }
    await this.#checkpoint.close()
  }

  async #within(timeoutMs: number, what: string, work: Promise<void>): Promise<void> {
    const { logger } = this.#context
    const late = () => new TidegateError('TG_UNAVAILABLE', `not finished within ${timeoutMs} ms`)
    try {
      await withDeadline(work, timeoutMs, late)
    } catch (error) {
      logger.warn({ what, reason: describe(error) }, 'mqtt broker closes without waiting further')
    }
  }

  #become(state: Health['state'], reason: string = state): void {
    const since = this.#context.clock.wallMs()
    this.#health = state === 'ok' ? { state, since } : { state, since, reason }
  }

  #assemble(intake: Intake): Running {
    const { name: source, meter } = this.#context
    const ingest = new Ingest({
      source,
      intake,
      meter,
      refusals: this.#refusals,
      open: this.#open,
      distribute: (publication, client) => this.#distribute(publication, client),
      proceed: () => {
        for (const connection of listener.connections) connection.proceed()
      },
      durable: (seq) => this.#checkpoint.durable(seq),
    })
    const broker = new Broker(this.#brokerEvents(ingest))
    const listener = new Listener(
      { ...this.#settings, source },
      {
        connected: (connection) => void broker.handle(connection),
        mayProceed: (qos) => !ingest.isFull(qos) && this.#health.state === 'ok',
        drained: (connection) => this.#sessionOf.get(connection)?.pump(),
        closed: (connection) => {
          const session = this.#sessionOf.get(connection)
          if (session !== undefined) this.#sessions.leave(session, connection)
        },
        counted: (connections) => meter.set('mqtt_connections', connections, { source }),
      },
      this.#refusals,
    )
    return { listener, broker, ingest }
  }

  #brokerEvents(ingest: Ingest): BrokerEvents {
    const { logger } = this.#context
    return {
      connected: ({ id, clean, conn }) => {
        const { session, present } = this.#sessions.open(id, clean, conn)
        this.#sessionOf.set(conn, session)
        if (clean) this.#open.doubt(clientHash(id))
        return present
      },
      ready: (client) => {
        client.conn.open()
        this.#session(client)?.resume()
      },
      failed: (error) => logger.error({ reason: describe(error) }, 'mqtt broker failed'),
      clientFailed: ({ conn }, error) =>
        logger.debug({ client: conn.label, reason: describe(error) }, 'mqtt client failed'),
      published: (client, packet, done) => ingest.take(client, packet, done),
      subscribing: (client, filter, qos) => {
        const session = this.#session(client)
        if (session === undefined) return false
        const granted = this.#sessions.subscribe(session, filter, qos)
        if (!granted) this.#refusals.count('subscription-limit', 'too many subscriptions', client.conn.label)
        return granted
      },
      subscribed: (client, filter, qos) =>
        this.#session(client)?.sendRetained(filter, this.#retained.matching(filter), qos),
      unsubscribed: (client, filters) => {
        const session = this.#session(client)
        if (session === undefined) return
        for (const filter of filters) this.#sessions.unsubscribe(session, filter)
        if (!session.clean) void this.#checkpoint.remembered()
      },
      remembered: () => this.#checkpoint.remembered(),
      acknowledged: (client, packetId) => this.#session(client)?.acknowledge(packetId),
      received: (client, packetId) => this.#session(client)?.receive(packetId),
      released: ({ id }, packetId) => this.#open.close({ clientHash: clientHash(id), packetId }),
    }
  }

  /** undefined once another connection has taken the session over. */
  #session({ conn }: BrokerClient): Session | undefined {
    const session = this.#sessionOf.get(conn)
    return session?.connection === conn ? session : undefined
  }

  #distribute(publication: Publication, client: BrokerClient): void {
    if (publication.retain && !this.#retained.set(publication))
      this.#refusals.count('retained-limit', `not retained: ${publication.topic}`, client.conn.label)
    this.#sessions.publish(publication, this.#session(client))
  }
}
