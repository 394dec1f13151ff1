// A client of somebody else's MQTT broker as a source: every publication that the broker sends goes to the log, and is
// acknowledged to the broker when it is durable; many are on their way at a time. Connections come and go; the session stays.

import type { Command, Health, Intake, Source } from '../../core/contract.ts'
import { describe, TidegateError } from '../../core/errors.ts'
import type { SourceContext } from '../../core/plugin-contract.ts'
import { delay, retryDelayMs, withDeadline } from '../../core/time.ts'
import { topicNameFault } from '../../core/topic.ts'
import { IntakeQueue } from './intake-queue.ts'
import { type Link, openLink, UnsupportedVersion } from './link.ts'
import type { PublishPacket } from './publish-packet.ts'
import type { PublishTap } from './publish-tap.ts'
import type { MqttClientSettings } from './settings.ts'
import { Subscriptions } from './subscriptions.ts'

const BACKOFF = { baseMs: 500, capMs: 30_000 }
/** A connection that lived longer starts the back-off anew. */
const STABLE_AFTER_MS = 30_000
const CLOSE_TIMEOUT_MS = 2_000
/** How long the broker may take to confirm a command. */
const SEND_TIMEOUT_MS = 10_000
/** Of messages that are refused, one is logged in so long. */
const LOG_EVERY_MS = 60_000

export class MqttClientSource implements Source {
  readonly publishes = true
  readonly #settings: MqttClientSettings
  readonly #context: SourceContext
  readonly #subscriptions: Subscriptions
  readonly #stop = new AbortController()
  #version: 4 | 5
  #link: Link | undefined
  #queue: IntakeQueue | undefined
  #running: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #health: Health
  #received = 0
  #unmetered = 0
  #inFlight = 0
  #refused = 0
  /** It is away, and that was told. */
  #missed = false
  #lastRefusalLoggedMs = Number.NEGATIVE_INFINITY

  constructor(settings: MqttClientSettings, context: SourceContext) {
    this.#settings = settings
    this.#context = context
    this.#subscriptions = new Subscriptions(
      context.directory,
      `${settings.address.shown} ${settings.clientId} ${settings.qos}`,
    )
    this.#version = settings.protocol === '3.1.1' ? 4 : 5
    this.#health = { state: 'starting', since: context.clock.wallMs(), reason: 'not started' }
  }

  /** A broker that is away is no reason not to start. */
  async start(intake: Intake, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#become('degraded', `${this.#settings.address.shown}: connecting`)
    this.#running = this.#run(intake)
  }

  health(): Health {
    if (this.#health.state !== 'ok' && this.#health.state !== 'degraded') return this.#health
    const link = this.#link
    return {
      ...this.#health,
      detail: {
        broker: this.#settings.address.shown,
        connected: link !== undefined,
        ...(link !== undefined && { protocol: link.version === 5 ? '5' : '3.1.1' }),
        received: this.#received,
        unacknowledged: this.#inFlight,
        waiting: this.#queue?.waiting ?? 0,
        refused: this.#refused,
      },
    }
  }

  async send({ topic: given, device, payload, qos }: Command): Promise<void> {
    const topic = given ?? device
    const fault = topicNameFault(topic)
    if (fault !== undefined) throw new TidegateError('TG_TOPIC_INVALID', `the topic of a command ${fault}: ${topic}`)
    const { shown } = this.#settings.address
    const link = this.#link
    if (link === undefined) throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `${shown} is not connected`)
    const late = () => new TidegateError('TG_COMMAND_UNDELIVERABLE', `${shown} has not confirmed the command`)
    try {
      await withDeadline(link.publish(topic, payload, qos), SEND_TIMEOUT_MS, late)
    } catch (error) {
      if (error instanceof TidegateError && error.code === 'TG_COMMAND_UNDELIVERABLE') throw error
      throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `${shown} did not take the command`, { cause: error })
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    this.#queue?.close()
    // What is not acknowledged stays in the session: the broker sends it again.
    await this.#link?.close(CLOSE_TIMEOUT_MS)
    await this.#running
    this.#become('closed')
  }

  async #run(intake: Intake): Promise<void> {
    const { signal } = this.#stop
    const { logger, meter, name } = this.#context
    const { shown } = this.#settings.address
    for (let attempt = 0; !signal.aborted; attempt++) {
      const startedMs = performance.now()
      try {
        const why = await this.#connection(intake)
        if (signal.aborted) return
        logger.warn({ broker: shown, reason: why }, 'mqtt broker lost')
        this.#missed = true
        this.#become('degraded', `${shown}: ${why}`)
      } catch (error) {
        if (signal.aborted) return
        const otherVersion = this.#chooseVersion(error)
        this.#become('degraded', describe(error))
        // Told once, until it is found.
        const level = this.#missed || otherVersion ? 'debug' : 'warn'
        logger[level]({ broker: shown, reason: describe(error) }, 'mqtt broker cannot be connected')
        this.#missed ||= !otherVersion
      }
      if (performance.now() - startedMs > STABLE_AFTER_MS) attempt = 0
      meter.add('mqtt_client_retries_total', { source: name })
      try {
        await delay(retryDelayMs(attempt, BACKOFF), signal)
      } catch {
        return // closed meanwhile
      }
    }
  }

  // Old brokers say that they do not speak MQTT 5; some just hang up.
  #chooseVersion(error: unknown): boolean {
    if (this.#settings.protocol !== 'auto') return false
    const hungUp = error instanceof TidegateError && error.message.includes('the connection was closed')
    if (error instanceof UnsupportedVersion || hungUp) this.#version = this.#version === 5 ? 4 : 5
    return error instanceof UnsupportedVersion
  }

  /** One connection; resolves with the reason when it has ended. */
  async #connection(intake: Intake): Promise<string> {
    const { signal } = this.#stop
    // Known from the first publication on, which may come together with the CONNACK, before the link is made.
    let tap: PublishTap | undefined
    const queue = new IntakeQueue(intake, this.#context.name, {
      settled: (packet, error) => this.#settled(tap, packet, error),
      room: () => tap?.resumePublications(),
    })
    let link: Link | undefined
    const events = {
      published: (packet: PublishPacket, from: PublishTap) => {
        tap = from
        return this.#published(queue, from, packet)
      },
      tooLarge: (topic: string, sizeBytes: number) => this.#refuse('too-large', topic, `${sizeBytes} bytes`),
    }
    this.#inFlight = 0
    this.#queue = queue
    try {
      link = await openLink(this.#settings, this.#version, events, signal)
      this.#link = link
      signal.throwIfAborted()
      await this.#subscribe(link)
      return await link.ended
    } finally {
      this.#link = undefined
      queue.close()
      await link?.close(0)
    }
  }

  async #subscribe(link: Link): Promise<void> {
    const { logger, meter, name } = this.#context
    const { topics, persistent, address } = this.#settings
    const last = persistent ? await this.#subscriptions.last() : undefined
    const stale = link.sessionPresent ? (last ?? []).filter((filter) => !topics.includes(filter)) : []
    if (stale.length > 0) await link.unsubscribe(stale)
    if (last !== undefined && !link.sessionPresent) {
      meter.add('mqtt_client_sessions_lost_total', { source: name })
      logger.warn({ broker: address.shown }, 'mqtt broker has lost the session: what it kept for the gateway is gone')
    }
    // What the session has need not be asked for: a 3.1.1 broker would send every retained message again.
    const missing = link.sessionPresent && last !== undefined ? topics.filter((topic) => !last.includes(topic)) : topics
    const refused = missing.length === 0 ? [] : await link.subscribe(missing)
    if (persistent)
      await this.#remember(
        topics.filter((topic) => !refused.includes(topic)),
        last,
      )
    this.#missed = false
    const { version, sessionPresent } = link
    if (refused.length > 0) {
      const reason = `${address.shown} refuses the subscription to ${refused.join(', ')}: check the rights of the user`
      logger.error({ broker: address.shown, refused }, 'mqtt broker refuses a subscription')
      this.#become('degraded', reason)
      return
    }
    logger.info({ broker: address.shown, protocol: version === 5 ? '5' : '3.1.1', sessionPresent }, 'mqtt broker found')
    this.#become('ok')
  }

  /** A file that cannot be written costs a subscription that stays, or is made once more; no message. */
  async #remember(topics: readonly string[], last: readonly string[] | undefined): Promise<void> {
    try {
      await this.#subscriptions.remember(topics, last)
    } catch (error) {
      this.#context.logger.warn({ error: describe(error) }, 'the subscriptions cannot be written down')
    }
  }

  #published(queue: IntakeQueue, tap: PublishTap, packet: PublishPacket): boolean {
    const fault = topicNameFault(packet.topic)
    if (fault !== undefined) {
      this.#refuse('topic', packet.topic, `its topic ${fault}`)
      tap.acknowledge(packet)
      return true
    }
    this.#received++
    if (packet.qos > 0) this.#inFlight++
    // Metered once a turn: a label look-up per message would cost more than the append.
    if (this.#unmetered++ === 0)
      setImmediate(() => {
        const { meter, name } = this.#context
        meter.add('messages_received_total', { source: name }, this.#unmetered)
        this.#unmetered = 0
      })
    return queue.take(packet)
  }

  #settled(tap: PublishTap | undefined, packet: PublishPacket, error: TidegateError | undefined): void {
    this.#inFlight--
    if (error === undefined) tap?.acknowledge(packet)
    // Without an acknowledgement the broker sends it again, but only on a new connection [MQTT-4.4.0-1].
    else tap?.destroy(error)
  }

  #refuse(reason: string, topic: string, detail: string): void {
    const { logger, meter, name } = this.#context
    this.#refused++
    meter.add('mqtt_client_refused_total', { source: name, reason })
    const now = performance.now()
    if (now - this.#lastRefusalLoggedMs < LOG_EVERY_MS) return
    this.#lastRefusalLoggedMs = now
    logger.warn({ topic: topic.slice(0, 200), reason: detail }, 'a message of the mqtt broker was not taken')
  }

  #become(state: Health['state'], reason?: string): void {
    if (this.#health.state === state && this.#health.reason === reason) return
    const since = this.#health.state === state ? this.#health.since : this.#context.clock.wallMs()
    this.#health = { state, since, ...(reason === undefined ? {} : { reason }) }
  }
}
