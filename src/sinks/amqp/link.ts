// One connection to the broker with one confirm channel: opens, declares the exchange, publishes with delivery tags, and
// turns confirms, nacks and returned messages into what a Publication wants to hear. It is used once and never reopened.

import { type Channel, type ChannelModel, type ConfirmChannel, connect, IllegalOperationError } from 'amqplib'
import { connectFailure, connectionLost, declareFailure, replyCode, sizeLimit } from '../../core/amqp-failure.ts'
import type { AmqpEndpoint } from '../../core/amqp-url.ts'
import type { WriteResult } from '../../core/contract.ts'
import { describe, TidegateError } from '../../core/errors.ts'
import type { Outgoing } from '../outgoing.ts'
import type { Posting, Publication } from '../publication.ts'

export interface AmqpTarget {
  readonly settings: AmqpEndpoint
  readonly exchange: string
  readonly exchangeType: string
  readonly heartbeatMs: number
  readonly clientName: string
}

export interface AmqpMessage {
  readonly routingKey: string
  readonly messageId: string
  readonly headers: Record<string, string | number>
  readonly appId: string
}

export interface LinkEvents {
  /** The broker does not read from publishers (memory or disk alarm); undefined when it reads again. */
  blocked(reason: string | undefined): void
  /** The connection is gone; told once, also when nothing was being written. */
  lost(error: TidegateError): void
  /** A message was larger than the broker's limit, in bytes. */
  tooLarge(limitBytes: number): void
  /** No queue is bound for the message. */
  unroutable(publication: Publication, posting: Posting): void
}

/** Of the handshake; a broker that needs longer is taken for absent. */
const CONNECT_TIMEOUT_MS = 10_000
/** How long a polite goodbye may take before the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1_000
const ACCESS_REFUSED = 403

export class AmqpLink {
  readonly #model: ChannelModel
  readonly #target: AmqpTarget
  readonly #events: LinkEvents
  readonly #describe: (message: Outgoing) => AmqpMessage
  #channel: ConfirmChannel | undefined
  /** Delivery tags count the messages of a channel from 1 (RabbitMQ, publisher confirms). */
  #lastTag = 0
  readonly #unconfirmed = new Map<number, Posting>()
  /** Message ids that came back; the confirm of a returned message follows behind. */
  readonly #returned = new Set<string>()
  #publication: Publication | undefined
  #blocked = false
  #gone: TidegateError | undefined

  private constructor(
    model: ChannelModel,
    target: AmqpTarget,
    events: LinkEvents,
    describe: (message: Outgoing) => AmqpMessage,
  ) {
    this.#model = model
    this.#target = target
    this.#events = events
    this.#describe = describe
  }

  /** Rejects with TG_UPSTREAM_UNREACHABLE or TG_UPSTREAM_REFUSED, or with the signal's reason. */
  static async open(
    target: AmqpTarget,
    events: LinkEvents,
    describe: (message: Outgoing) => AmqpMessage,
    signal: AbortSignal,
  ): Promise<AmqpLink> {
    const model = await openConnection(target, signal)
    const link = new AmqpLink(model, target, events, describe)
    const onAbort = () => link.destroy()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await link.#prepare()
      signal.throwIfAborted()
      return link
    } catch (error) {
      link.destroy()
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  get writable(): boolean {
    return !this.#blocked && this.#gone === undefined
  }

  /** A channel of its own on this connection; what becomes of it does not touch the publications. */
  openChannel(): Promise<Channel> {
    return this.#gone === undefined ? this.#model.createChannel() : Promise.reject(this.#gone)
  }

  /** One publication at a time. */
  async publish(publication: Publication, signal: AbortSignal): Promise<WriteResult> {
    if (this.#gone !== undefined) throw this.#gone
    this.#publication = publication
    try {
      return await publication.run(signal)
    } finally {
      this.#publication = undefined
    }
  }

  /** Throws when the channel is gone: the publication is failed by then. */
  send(posting: Posting): void {
    const channel = this.#channel
    if (channel === undefined || this.#gone !== undefined) return
    const { message } = posting
    const { routingKey, messageId, headers, appId } = this.#describe(message)
    try {
      channel.publish(this.#target.exchange, routingKey, message.body, {
        persistent: true,
        mandatory: true, // a confirm alone does not say that any queue took it
        contentType: message.contentType,
        messageId,
        appId,
        // Seconds, by the specification; none is better than that of a clock that was never set.
        ...(message.timeQuality === 'unsynced' ? {} : { timestamp: Math.floor(message.timeMs / 1_000) }),
        headers,
      })
    } catch (error) {
      if (error instanceof IllegalOperationError) this.#end(connectionLost(error, this.#target.settings.shown))
      // What amqplib cannot encode today it cannot encode tomorrow: it must not block what follows.
      else this.#publication?.rejected(posting, `cannot be encoded: ${describe(error)}`)
      return
    }
    this.#unconfirmed.set(++this.#lastTag, posting)
  }

  /** Says goodbye if that is quickly done, and is gone in any case. */
  async close(): Promise<void> {
    if (this.#gone !== undefined) return
    this.#gone = new TidegateError(
      'TG_UPSTREAM_UNREACHABLE',
      `the connection to ${this.#target.settings.shown} is closed`,
    )
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)
    })
    // A connection that cannot say goodbye is closed all the same.
    await Promise.race([this.#model.close().catch(() => undefined), late])
    clearTimeout(timer)
    destroySocket(this.#model)
  }

  destroy(): void {
    this.#end(
      new TidegateError('TG_UPSTREAM_UNREACHABLE', `the connection to ${this.#target.settings.shown} was given up`),
    )
    destroySocket(this.#model)
  }

  async #prepare(): Promise<void> {
    const { shown } = this.#target.settings
    const model = this.#model
    let reason: unknown
    model.on('error', (error) => {
      reason ??= error
    })
    model.on('close', (error) => this.#end(connectionLost(reason ?? error, shown)))
    model.on('blocked', (why) => {
      this.#blocked = true
      this.#events.blocked(why)
    })
    model.on('unblocked', () => {
      this.#blocked = false
      this.#events.blocked(undefined)
      this.#publication?.pump()
    })
    try {
      await this.#declare()
      this.#channel = await this.#openChannel()
    } catch (error) {
      throw this.#gone ?? connectFailure(error, this.#target.settings)
    }
  }

  async #declare(): Promise<void> {
    const { exchange, exchangeType, settings } = this.#target
    if (exchange === '') return // the default exchange is always there, and nobody may declare it
    const wanted = `${exchangeType}, durable`
    try {
      await this.#onOwnChannel((channel) => channel.assertExchange(exchange, exchangeType, { durable: true }))
    } catch (error) {
      if (replyCode(error) !== ACCESS_REFUSED) throw declareFailure(error, exchange, wanted, settings.shown)
      // A user who may only write may still publish to an exchange that somebody else declared.
      await this.#onOwnChannel((channel) => channel.checkExchange(exchange)).catch(() => {
        throw declareFailure(error, exchange, wanted, settings.shown)
      })
    }
  }

  /** A failed declaration closes its channel, so it gets one of its own. */
  async #onOwnChannel(
    work: (channel: Awaited<ReturnType<ChannelModel['createChannel']>>) => Promise<unknown>,
  ): Promise<void> {
    const channel = await this.#model.createChannel()
    // The rejection of the call says the same.
    channel.on('error', () => undefined)
    await work(channel)
    await channel.close()
  }

  async #openChannel(): Promise<ConfirmChannel> {
    const channel = await this.#model.createConfirmChannel()
    let reason: unknown
    channel.on('error', (error) => {
      reason ??= error
      this.#learnSize(error)
    })
    channel.on('close', () => {
      this.#end(connectionLost(reason, this.#target.settings.shown))
      destroySocket(this.#model)
    })
    channel.on('ack', ({ deliveryTag, multiple }) => this.#onConfirm(deliveryTag, multiple, true))
    channel.on('nack', ({ deliveryTag, multiple }) => this.#onConfirm(deliveryTag, multiple, false))
    channel.on('return', (message) => this.#returned.add(String(message.properties.messageId)))
    return channel
  }

  #onConfirm(tag: number, multiple: boolean, taken: boolean): void {
    if (!multiple) {
      this.#land(tag, this.#unconfirmed.get(tag), taken)
      return
    }
    for (const [open, posting] of this.#unconfirmed) {
      if (open > tag) break
      this.#land(open, posting, taken)
    }
  }

  #land(tag: number, posting: Posting | undefined, taken: boolean): void {
    this.#unconfirmed.delete(tag)
    const publication = this.#publication
    if (posting === undefined || publication === undefined) return
    if (!taken) {
      publication.refused(
        posting,
        `${this.#target.settings.shown} refuses messages (nack): a queue is full or not available`,
      )
    } else if (this.#returned.size > 0 && this.#returned.delete(this.#describe(posting.message).messageId)) {
      this.#events.unroutable(publication, posting)
    } else {
      publication.confirmed(posting)
    }
  }

  #learnSize(error: unknown): void {
    const limit = sizeLimit(error)
    if (limit === undefined) return
    let largest = 0
    for (const { message } of this.#unconfirmed.values()) largest = Math.max(largest, message.body.length)
    this.#events.tooLarge(limit === 'unknown' ? Math.max(1, largest - 1) : limit)
  }

  #end(error: TidegateError): void {
    if (this.#gone !== undefined) return
    this.#gone = error
    this.#unconfirmed.clear()
    this.#publication?.fail(error)
    this.#events.lost(error)
  }
}

const openConnection = async (target: AmqpTarget, signal: AbortSignal): Promise<ChannelModel> => {
  const { settings, heartbeatMs, clientName } = target
  signal.throwIfAborted()
  const opening = connect(
    {
      protocol: settings.tls ? 'amqps' : 'amqp',
      hostname: settings.host,
      port: settings.port,
      ...(settings.username === undefined ? {} : { username: settings.username, password: settings.password ?? '' }),
      vhost: encodeURIComponent(settings.path === '' ? '/' : settings.path),
      heartbeat: Math.max(1, Math.round(heartbeatMs / 1_000)),
    },
    // Without noDelay single messages wait for each other's TCP acknowledgement.
    { noDelay: true, timeout: CONNECT_TIMEOUT_MS, clientProperties: { connection_name: clientName } },
  )
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([opening, aborted])
  } catch (error) {
    // amqplib cannot stop connecting: what still opens is thrown away (its own failure has nobody left to hear it).
    opening.then(discard, () => undefined)
    signal.throwIfAborted()
    throw connectFailure(error, settings)
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}

/** A connection that nobody wants any more. */
const discard = (model: ChannelModel): void => {
  // Its end is no news to anybody.
  model.on('error', () => undefined)
  destroySocket(model)
}

/**
 * amqplib closes politely or not at all; a peer that no longer answers needs the socket itself (`Connection.stream`). With
 * an error, because that is what makes amqplib clear its timers.
 */
const destroySocket = (model: ChannelModel): void => {
  const { stream } = model.connection as unknown as { readonly stream?: { destroy(error: Error): void } }
  stream?.destroy(new Error('given up'))
}
