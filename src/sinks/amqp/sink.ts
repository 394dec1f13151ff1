// Sink `amqp`: keeps one link to the broker, packs batches into messages, and says in its health what it waits for.

import { type AmqpEndpoint, parseAmqpUrl } from '../../core/amqp-url.ts'
import type { Batch, Health, Seq, Sink, WriteResult } from '../../core/contract.ts'
import { TidegateError } from '../../core/errors.ts'
import type { SinkContext } from '../../core/plugin-contract.ts'
import { packLosses } from '../loss-note.ts'
import { Names } from '../names.ts'
import { DEFAULT_BODY_BYTES, type Outgoing, packReadings } from '../outgoing.ts'
import { APP_ID, headersOf } from '../properties.ts'
import { type Posting, Publication } from '../publication.ts'
import { SinkHealth } from '../sink-health.ts'
import type { CommandConsumer } from './command-consumer.ts'
import type { AmqpLink, AmqpMessage } from './link.ts'

/** What the schema of plugin.ts accepts, durations in milliseconds. */
export interface AmqpConfig {
  readonly url: string
  readonly exchange: string
  readonly exchangeType: 'topic' | 'direct' | 'fanout' | 'headers'
  readonly routingKey: string
  readonly unroutable: 'retry' | 'deadLetter'
  readonly heartbeat: number
  readonly commands: boolean
  readonly batch: { readonly maxReadings: number }
}

export class AmqpSink implements Sink {
  readonly #config: AmqpConfig
  readonly #context: SinkContext
  readonly #settings: AmqpEndpoint
  readonly #names: Names
  readonly #health: SinkHealth
  #link: AmqpLink | undefined
  #consumer: CommandConsumer | undefined
  /** What the broker said a message may have at most, once it refused one. */
  #brokerLimitBytes = Number.POSITIVE_INFINITY
  /** Said once, not for each note. */
  #unheard = false
  #closed = false

  constructor(config: AmqpConfig, context: SinkContext) {
    this.#config = config
    this.#context = context
    this.#settings = parseAmqpUrl(config.url, `url of sink '${context.name}'`)
    this.#names = new Names(context.gateway, config.routingKey)
    this.#health = new SinkHealth(context.clock)
  }

  async connect(signal: AbortSignal): Promise<void> {
    this.#consumer?.close()
    this.#link?.destroy()
    this.#link = undefined
    if (this.#closed) throw new TidegateError('TG_UPSTREAM_UNREACHABLE', `sink '${this.#context.name}' is closed`)
    const { exchange, exchangeType, heartbeat } = this.#config
    // Loaded here: the ingest thread reads the plug-in for its schema, and must not carry the protocol's library for that.
    const protocol = { ...(await import('./link.ts')), ...(await import('./command-consumer.ts')) }
    let link: AmqpLink | undefined
    link = await protocol.AmqpLink.open(
      {
        settings: this.#settings,
        exchange,
        exchangeType,
        heartbeatMs: heartbeat,
        clientName: `tidegate ${this.#context.gateway} ${this.#context.name}`,
      },
      {
        blocked: (reason) =>
          this.#health.waiting(
            'blocked',
            reason && `${this.#settings.shown} blocks publishers: ${reason}; free memory or disk there`,
          ),
        lost: (error) => {
          if (link !== undefined && this.#link === link) this.#health.failed(error.message)
        },
        tooLarge: (limitBytes) => this.#onTooLarge(limitBytes),
        unroutable: (publication, posting) => this.#onUnroutable(publication, posting),
      },
      this.#describe,
      signal,
    )
    if (this.#closed) {
      await link.close()
      throw new TidegateError('TG_UPSTREAM_UNREACHABLE', `sink '${this.#context.name}' is closed`)
    }
    this.#link = link
    this.#health.ok()
    this.#takeCommands(link, protocol.CommandConsumer)
  }

  async write(batch: Batch, signal: AbortSignal, progress: (settled: Seq) => void): Promise<WriteResult> {
    const link = this.#link
    if (link === undefined)
      throw new TidegateError('TG_UPSTREAM_UNREACHABLE', `${this.#settings.shown} is not connected`)
    const maxBodyBytes = Math.min(DEFAULT_BODY_BYTES, this.#brokerLimitBytes)
    const { gateway, clock, meter, name } = this.#context
    const messages = packReadings(batch, { maxReadings: this.#config.batch.maxReadings, maxBodyBytes })
    messages.push(...packLosses(batch, gateway, maxBodyBytes, clock.wallMs()))
    messages.sort((left, right) => left.first - right.first || left.part - right.part)
    const publication: Publication = new Publication({
      batch,
      messages,
      send: (posting) => this.#send(link, publication, posting),
      writable: () => link.writable,
      progress,
      trouble: (reason) => this.#health.waiting('refused', reason),
      retried: () => meter.add('sink_refused_messages_total', { sink: name }),
    })
    try {
      return await link.publish(publication, signal)
    } catch (error) {
      // What is on its way is unknown now: only a new connection starts from certainty.
      link.destroy()
      throw error
    }
  }

  health(): Health {
    return this.#health.current
  }

  async close(): Promise<void> {
    this.#closed = true
    const link = this.#link
    this.#link = undefined
    this.#consumer?.close()
    this.#health.closed()
    await link?.close()
  }

  /** Beside the readings: whatever becomes of it, they go on. */
  #takeCommands(link: AmqpLink, Consumer: typeof CommandConsumer): void {
    const { commands, gateway, name, logger, meter } = this.#context
    if (commands === undefined || !this.#config.commands) return
    this.#consumer = new Consumer({ openChannel: () => link.openChannel(), gateway, name, commands, logger, meter })
    void this.#consumer.start()
  }

  #send(link: AmqpLink, publication: Publication, posting: Posting): void {
    const sizeBytes = posting.message.body.length
    if (sizeBytes <= this.#brokerLimitBytes) link.send(posting)
    else
      publication.rejected(posting, `${sizeBytes} bytes exceed the broker's limit of ${this.#brokerLimitBytes} bytes`)
  }

  #describe = (message: Outgoing): AmqpMessage => ({
    routingKey: this.#names.routingKey(message),
    messageId: this.#names.messageId(message),
    headers: headersOf(message, this.#context.gateway),
    appId: APP_ID,
  })

  #onUnroutable(publication: Publication, posting: Posting): void {
    const key = this.#names.routingKey(posting.message)
    if (posting.message.kind === 'loss') {
      this.#onUnheard(key)
      publication.confirmed(posting)
      return
    }
    const reason = `exchange '${this.#config.exchange}' has no queue bound for ${key}`
    if (this.#config.unroutable === 'deadLetter') publication.rejected(posting, reason)
    else publication.refused(posting, `${reason}; bind one, or set unroutable: deadLetter`)
  }

  /** Nobody needs to listen to loss notes: they wait for no queue. The log keeps what they say. */
  #onUnheard(routingKey: string): void {
    const { meter, logger, name } = this.#context
    meter.add('sink_unheard_loss_notes_total', { sink: name })
    if (this.#unheard) return
    this.#unheard = true
    logger.warn(
      { sink: name, exchange: this.#config.exchange, routingKey },
      'nobody listens to loss notes: no queue is bound for them',
    )
  }

  #onTooLarge(limitBytes: number): void {
    this.#brokerLimitBytes = Math.min(this.#brokerLimitBytes, limitBytes)
    this.#context.logger.warn(
      { sink: this.#context.name, limitBytes: this.#brokerLimitBytes },
      'the broker refused a message for its size; smaller ones are sent from now on',
    )
  }
}
