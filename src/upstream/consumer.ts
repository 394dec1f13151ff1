// Consumes a queue over AMQP 0-9-1, with a bounded number of messages under way. It declares and binds nothing unless asked.

import { type ChannelModel, connect } from 'amqplib'
import { connectFailure, connectionLost, replyCode } from '../core/amqp-failure.ts'
import { parseAmqpUrl } from '../core/amqp-url.ts'
import { TidegateError } from '../core/errors.ts'
import type { Incoming, Outcome } from './incoming.ts'

export interface ConsumerOptions {
  readonly url: string
  readonly queue: string
  /** Declares the queue, durable, and binds it to these. */
  readonly bindings?: readonly Binding[]
  /** Confirmed to the broker when it resolves: accepted, rejected (dead-lettered there), released (put back). */
  readonly onMessage: (message: Incoming) => Outcome | undefined | Promise<Outcome | undefined>
  readonly prefetch?: number
}

export interface Binding {
  readonly exchange: string
  readonly key: string
}

export interface Consumer {
  /** Resolves after close(); rejects when the connection or the queue is gone. */
  readonly ended: Promise<void>
  close(): Promise<void>
}

const DEFAULT_PREFETCH = 500
const CONNECT_TIMEOUT_MS = 10_000
const HEARTBEAT_SECONDS = 10
const CLOSE_TIMEOUT_MS = 1_000
const NOT_FOUND = 404

/** Rejects with TG_UPSTREAM_UNREACHABLE or TG_UPSTREAM_REFUSED. */
export const startConsumer = async (options: ConsumerOptions): Promise<Consumer> => {
  const settings = parseAmqpUrl(options.url, '--url')
  const model = await connect(
    {
      protocol: settings.tls ? 'amqps' : 'amqp',
      hostname: settings.host,
      port: settings.port,
      ...(settings.username === undefined ? {} : { username: settings.username, password: settings.password ?? '' }),
      vhost: encodeURIComponent(settings.path === '' ? '/' : settings.path),
      heartbeat: HEARTBEAT_SECONDS,
    },
    { noDelay: true, timeout: CONNECT_TIMEOUT_MS, clientProperties: { connection_name: 'tidegate receive' } },
  ).catch((error: unknown) => {
    throw connectFailure(error, settings)
  })
  let closing = false
  let reason: unknown
  const ended = new Promise<void>((resolve, reject) => {
    model.on('error', (error) => {
      reason ??= error
    })
    model.on('close', (error) => (closing ? resolve() : reject(connectionLost(reason ?? error, settings.shown))))
  })
  // Whoever waits for it hears it; a consumer that never started has been told by the rejection below.
  ended.catch(() => undefined)
  try {
    await consume(model, options, (error) => {
      reason ??= error
      destroySocket(model)
    })
  } catch (error) {
    closing = true
    destroySocket(model)
    if (replyCode(error) === NOT_FOUND)
      throw new TidegateError(
        'TG_UPSTREAM_REFUSED',
        `${settings.shown} has no queue '${options.queue}': declare it, or let --bind EXCHANGE:KEY do it`,
      )
    throw connectionLost(error, settings.shown)
  }
  return {
    ended,
    close: async () => {
      if (closing) return ended
      closing = true
      const late = setTimeout(() => destroySocket(model), CLOSE_TIMEOUT_MS)
      // A connection that is gone already is closed.
      await model.close().catch(() => undefined)
      clearTimeout(late)
      await ended.catch(() => undefined)
    },
  }
}

const consume = async (
  model: ChannelModel,
  options: ConsumerOptions,
  onFault: (error: unknown) => void,
): Promise<void> => {
  const channel = await model.createChannel()
  channel.on('error', onFault)
  if (options.bindings !== undefined && options.bindings.length > 0) {
    await channel.assertQueue(options.queue, { durable: true })
    for (const { exchange, key } of options.bindings) await channel.bindQueue(options.queue, exchange, key)
  }
  await channel.prefetch(options.prefetch ?? DEFAULT_PREFETCH)
  await channel.consume(options.queue, (message) => {
    if (message === null) {
      onFault(new TidegateError('TG_UPSTREAM_REFUSED', `queue '${options.queue}' was deleted`))
      return
    }
    const { properties, fields, content } = message
    const incoming: Incoming = {
      key: fields.routingKey,
      contentType: String(properties.contentType ?? ''),
      messageId: String(properties.messageId ?? ''),
      headers: properties.headers ?? {},
      body: content,
    }
    Promise.resolve()
      .then(() => options.onMessage(incoming))
      .then((outcome) => {
        if (outcome === undefined || outcome === 'accepted') channel.ack(message)
        else channel.nack(message, false, outcome !== 'rejected')
      })
      .catch(onFault)
  })
}

/** amqplib closes politely or not at all; a peer that no longer answers needs the socket itself (`Connection.stream`). */
const destroySocket = (model: ChannelModel): void => {
  const { stream } = model.connection as unknown as { readonly stream?: { destroy(error: Error): void } }
  stream?.destroy(new Error('given up'))
}
