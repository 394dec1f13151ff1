// One AMQP 1.0 connection with one sending link. Deliveries are unsettled until the peer's disposition comes; what that
// means is told to the Publication. It is used once and never reopened: rhea's own reconnecting is off.

import rhea, { type AmqpError, type Connection, type EventContext, type Sender } from 'rhea'
import type { AmqpEndpoint } from '../../core/amqp-url.ts'
import type { WriteResult } from '../../core/contract.ts'
import { describe, systemCode, TidegateError } from '../../core/errors.ts'
import type { Outgoing } from '../outgoing.ts'
import type { Posting, Publication } from '../publication.ts'

export interface Amqp1Target {
  readonly settings: AmqpEndpoint
  readonly address: string
  readonly containerId: string
  readonly heartbeatMs: number
}

/** Message properties (specification, 3.2.4) and application properties. */
export interface Amqp1Message {
  readonly subject: string
  readonly messageId: string
  readonly properties: Record<string, string | number>
}

/** How long a polite goodbye may take before the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1_000

export class Amqp1Link {
  readonly #target: Amqp1Target
  readonly #describe: (message: Outgoing) => Amqp1Message
  readonly #onLost: (error: TidegateError) => void
  readonly #connection: Connection
  readonly #sender: Sender
  readonly #unsettled = new Map<unknown, Posting>()
  #publication: Publication | undefined
  #gone: TidegateError | undefined
  #closing = false
  #opened: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined

  private constructor(
    target: Amqp1Target,
    describeMessage: (message: Outgoing) => Amqp1Message,
    onLost: (error: TidegateError) => void,
  ) {
    this.#target = target
    this.#describe = describeMessage
    this.#onLost = onLost
    const { settings } = target
    const container = rhea.create_container({ id: target.containerId })
    const options = {
      host: settings.host,
      port: settings.port,
      ...(settings.tls ? { transport: 'tls' as const, servername: settings.host } : {}),
      // Brokers want a SASL layer; without a user it is ANONYMOUS.
      username: settings.username ?? 'anonymous',
      ...(settings.password === undefined ? {} : { password: settings.password }),
      reconnect: false,
      idle_time_out: target.heartbeatMs,
      tcp_no_delay: true,
    }
    const connection = container.create_connection(options)
    this.#connection = connection
    this.#listen(connection)
    connection.connect()
    this.#sender = connection.open_sender({
      target: { address: target.address },
      snd_settle_mode: 0, // unsettled: every message waits for its disposition
    })
  }

  /** Rejects with TG_UPSTREAM_UNREACHABLE or TG_UPSTREAM_REFUSED, or with the signal's reason. */
  static async open(
    target: Amqp1Target,
    describeMessage: (message: Outgoing) => Amqp1Message,
    onLost: (error: TidegateError) => void,
    signal: AbortSignal,
  ): Promise<Amqp1Link> {
    signal.throwIfAborted()
    const link = new Amqp1Link(target, describeMessage, onLost)
    const onAbort = () => link.destroy()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await new Promise<void>((resolve, reject) => {
        link.#opened = { resolve, reject }
      })
      return link
    } catch (error) {
      link.destroy()
      signal.throwIfAborted()
      throw error
    } finally {
      link.#opened = undefined
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Whether the peer has granted credit (specification, 2.6.7) and rhea has room. */
  get writable(): boolean {
    return this.#gone === undefined && this.#sender.sendable()
  }

  /** What the peer takes at most in one message, the properties included; undefined when it states no limit. */
  get maxMessageBytes(): number | undefined {
    const limit = Number(this.#sender.max_message_size ?? 0)
    return Number.isFinite(limit) && limit > 0 ? limit : undefined
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

  send(posting: Posting): void {
    if (this.#gone !== undefined) return
    const { message } = posting
    const { subject, messageId, properties } = this.#describe(message)
    const delivery = this.#sender.send({
      durable: true,
      message_id: messageId,
      subject,
      content_type: message.contentType,
      // None is better than that of a clock that was never set.
      ...(message.timeQuality === 'unsynced' ? {} : { creation_time: new Date(message.timeMs) }),
      application_properties: properties,
      body: rhea.message.data_section(message.body),
    })
    this.#unsettled.set(delivery, posting)
  }

  async close(): Promise<void> {
    if (this.#gone === undefined) {
      this.#closing = true
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)
        const done = () => {
          clearTimeout(timer)
          resolve()
        }
        this.#connection.once('connection_close', done)
        this.#connection.once('disconnected', done)
        this.#connection.close()
      })
    }
    this.destroy()
  }

  destroy(): void {
    this.#end(
      new TidegateError('TG_UPSTREAM_UNREACHABLE', `the connection to ${this.#target.settings.shown} was given up`),
    )
    // With an error, because that is what makes rhea clear its timers.
    const { socket } = this.#connection as unknown as {
      readonly socket?: { destroyed: boolean; destroy(error: Error): void }
    }
    if (socket?.destroyed === false) socket.destroy(new Error('given up'))
  }

  #listen(connection: Connection): void {
    const { shown } = this.#target.settings
    const refused = (what: string, error: AmqpError | Error | undefined) => {
      this.#end(new TidegateError('TG_UPSTREAM_REFUSED', `${shown} refused ${what}: ${tell(error)}`))
      this.destroy()
    }
    connection.on('sender_open', ({ sender }: EventContext) => {
      // A target of null announces that the link is refused; the reason follows (specification, 2.6.3).
      if (sender?.target?.address !== undefined && sender.target.address !== null) this.#opened?.resolve()
    })
    connection.on('sender_error', ({ sender }: EventContext) =>
      refused(`address '${this.#target.address}'`, sender?.error),
    )
    connection.on('sender_close', ({ sender }: EventContext) => {
      if (!this.#closing) refused(`address '${this.#target.address}'`, sender?.error)
    })
    connection.on('session_error', ({ session }: EventContext) => refused('the session', session?.error))
    connection.on('session_close', ({ session }: EventContext) => {
      if (!this.#closing) refused('the session', session?.error)
    })
    connection.on('connection_error', ({ error, connection: peer }: EventContext) =>
      refused('the connection', error ?? peer.error),
    )
    connection.on('connection_close', ({ connection: peer }: EventContext) => {
      if (!this.#closing) refused('to go on', peer.error)
    })
    connection.on('disconnected', ({ error }: EventContext) => {
      const text = error === undefined ? 'it closed the connection' : (systemCode(error) ?? describe(error))
      this.#end(new TidegateError('TG_UPSTREAM_UNREACHABLE', `no connection to ${shown}: ${text}`))
    })
    connection.on('protocol_error', (error: Error) =>
      refused('the protocol', { condition: 'is it an AMQP 1.0 peer?', description: error.message }),
    )
    connection.on('error', (error: Error) => refused('the connection', { description: error.message }))
    connection.on('sendable', () => this.#publication?.pump())
    connection.on('accepted', (context: EventContext) =>
      this.#onOutcome(context, (publication, posting) => publication.confirmed(posting)),
    )
    connection.on('released', (context: EventContext) =>
      this.#onOutcome(context, (publication, posting) =>
        publication.refused(posting, `${shown} does not take messages for now (released)`),
      ),
    )
    connection.on('rejected', (context: EventContext) =>
      this.#onOutcome(context, (publication, posting) => {
        const state: { readonly error?: AmqpError } | undefined = context.delivery?.remote_state
        publication.rejected(posting, `rejected by ${shown}: ${tell(state?.error)}`)
      }),
    )
  }

  #onOutcome({ delivery }: EventContext, tellOutcome: (publication: Publication, posting: Posting) => void): void {
    const posting = this.#unsettled.get(delivery)
    if (delivery === undefined || posting === undefined) return
    this.#unsettled.delete(delivery)
    // A peer that leaves the settling to us still holds the delivery.
    if (!delivery.remote_settled) delivery.update(true)
    if (this.#publication !== undefined) tellOutcome(this.#publication, posting)
  }

  #end(error: TidegateError): void {
    if (this.#gone !== undefined) return
    this.#gone = error
    this.#unsettled.clear()
    this.#opened?.reject(error)
    this.#publication?.fail(error)
    this.#onLost(error)
  }
}

const tell = (error: AmqpError | Error | undefined): string => {
  if (error === undefined || error === null) return 'it gave no reason'
  if (error instanceof Error) return error.message
  return (
    [error.condition, error.description].filter((part) => part !== undefined && part !== '').join(': ') ||
    'it gave no reason'
  )
}
