// Sink `amqp1`: keeps one link to the peer, packs batches into messages, and says in its health what it waits for.

import { type AmqpEndpoint, parseAmqpUrl } from '../../core/amqp-url.ts'
import type { Batch, Health, Seq, Sink, WriteResult } from '../../core/contract.ts'
import { TidegateError } from '../../core/errors.ts'
import type { Context } from '../../core/plugin-contract.ts'
import { packLosses } from '../loss-note.ts'
import { Names } from '../names.ts'
import { DEFAULT_BODY_BYTES, type Outgoing, packReadings } from '../outgoing.ts'
import { APP_ID, headersOf } from '../properties.ts'
import { Publication } from '../publication.ts'
import { SinkHealth } from '../sink-health.ts'
import type { Amqp1Link, Amqp1Message } from './link.ts'

/** What the schema of plugin.ts accepts, durations in milliseconds. */
export interface Amqp1Config {
  readonly url: string
  readonly address: string
  readonly routingKey: string
  readonly heartbeat: number
  readonly batch: { readonly maxReadings: number }
}

/** What the peer's limit must also hold: properties, application properties, section headers. */
const PROPERTIES_BYTES = 2_048
/** Less would leave no room for a reading. */
const MIN_BODY_BYTES = 256

export class Amqp1Sink implements Sink {
  readonly #config: Amqp1Config
  readonly #context: Context
  readonly #settings: AmqpEndpoint
  readonly #names: Names
  readonly #health: SinkHealth
  #link: Amqp1Link | undefined
  #closed = false

  constructor(config: Amqp1Config, context: Context) {
    this.#config = config
    this.#context = context
    this.#settings = parseAmqpUrl(config.url, `url of sink '${context.name}'`)
    this.#names = new Names(context.gateway, config.routingKey)
    this.#health = new SinkHealth(context.clock)
  }

  async connect(signal: AbortSignal): Promise<void> {
    this.#link?.destroy()
    this.#link = undefined
    if (this.#closed) throw new TidegateError('TG_UPSTREAM_UNREACHABLE', `sink '${this.#context.name}' is closed`)
    // Loaded here: the ingest thread reads the plug-in for its schema, and must not carry the protocol's library for that.
    const protocol = await import('./link.ts')
    let link: Amqp1Link | undefined
    link = await protocol.Amqp1Link.open(
      {
        settings: this.#settings,
        address: this.#config.address,
        containerId: `tidegate-${this.#context.gateway}-${this.#context.name}`,
        heartbeatMs: this.#config.heartbeat,
      },
      this.#describe,
      (error) => {
        if (link !== undefined && this.#link === link) this.#health.failed(error.message)
      },
      signal,
    )
    if (this.#closed) {
      await link.close()
      throw new TidegateError('TG_UPSTREAM_UNREACHABLE', `sink '${this.#context.name}' is closed`)
    }
    this.#link = link
    this.#health.ok()
  }

  async write(batch: Batch, signal: AbortSignal, progress: (settled: Seq) => void): Promise<WriteResult> {
    const link = this.#link
    if (link === undefined)
      throw new TidegateError('TG_UPSTREAM_UNREACHABLE', `${this.#settings.shown} is not connected`)
    const { gateway, clock, meter, name } = this.#context
    const peerLimit = Math.max(MIN_BODY_BYTES, (link.maxMessageBytes ?? Number.POSITIVE_INFINITY) - PROPERTIES_BYTES)
    const maxBodyBytes = Math.min(DEFAULT_BODY_BYTES, peerLimit)
    const messages = packReadings(batch, { maxReadings: this.#config.batch.maxReadings, maxBodyBytes })
    messages.push(...packLosses(batch, gateway, maxBodyBytes, clock.wallMs()))
    messages.sort((left, right) => left.first - right.first || left.part - right.part)
    const publication: Publication = new Publication({
      batch,
      messages,
      send: (posting) => {
        const sizeBytes = posting.message.body.length
        if (sizeBytes <= peerLimit) link.send(posting)
        else
          publication.rejected(posting, `${sizeBytes} bytes exceed the peer's limit of ${link.maxMessageBytes} bytes`)
      },
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
    this.#health.closed()
    await link?.close()
  }

  #describe = (message: Outgoing): Amqp1Message => ({
    subject: this.#names.routingKey(message),
    messageId: this.#names.messageId(message),
    properties: { ...headersOf(message, this.#context.gateway), 'tidegate-app': APP_ID },
  })
}
