// An AMQP 1.0 receiver without a broker: gateways send straight to it. It grants credit only for what it has room for, and
// settles a message after it was taken. The embedded upstream of `tidegate run`, and `tidegate receive --listen`.

import type { AddressInfo, Socket } from 'node:net'
import rhea, { type Delivery, type EventContext, type Receiver } from 'rhea'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import type { Incoming, Outcome } from './incoming.ts'

export interface ListenerOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Called for one message after the other of a link, several at a time; a rejection or a throw releases the message. */
  readonly onMessage: (message: Incoming) => Outcome | undefined | Promise<Outcome | undefined>
  /** Something is wrong with a connection; it is closed. */
  readonly onFault?: (reason: string) => void
  readonly credit?: number
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Idempotent; ends all connections. */
  close(): Promise<void>
}

/** Messages of one link that may be under way: times the largest message, what a peer can make us hold. */
const DEFAULT_CREDIT = 200
/** Gateways of a small fleet; more need a broker. */
const MAX_CONNECTIONS = 256
/** A sink's largest message is a single reading from a packet of at most some 100 KiB. */
const MAX_MESSAGE_BYTES = 4 * 1_024 * 1_024
const IDLE_TIMEOUT_MS = 30_000
const CLOSE_TIMEOUT_MS = 1_000

/** Rejects with TG_PORT_IN_USE or TG_LISTEN_FAILED. */
export const startListener = async (options: ListenerOptions): Promise<Listener> => {
  const container = rhea.create_container({ id: 'tidegate-receiver' })
  const sockets = new Set<Socket>()
  const fault = (reason: string) => options.onFault?.(reason)
  listenTo(container, options, fault)
  const listenOptions = {
    host: options.host,
    port: options.port,
    idle_time_out: IDLE_TIMEOUT_MS,
    tcp_no_delay: true,
    receiver_options: { credit_window: 0, autoaccept: false, max_message_size: MAX_MESSAGE_BYTES },
  }
  const server = container.listen(listenOptions)
  server.maxConnections = MAX_CONNECTIONS
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    guardSize(socket, fault)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', (error) => {
      const where = `${options.host}:${options.port} (--listen)`
      reject(
        systemCode(error) === 'EADDRINUSE'
          ? new TidegateError('TG_PORT_IN_USE', `port ${options.port} of ${options.host} (--listen) is in use`)
          : new TidegateError('TG_LISTEN_FAILED', `cannot listen on ${where}: ${systemCode(error) ?? describe(error)}`),
      )
    })
  })
  const { address, port } = server.address() as AddressInfo
  let closing: Promise<void> | undefined
  return {
    host: address,
    port,
    close: () => {
      closing ??= closeServer(server, sockets)
      return closing
    },
  }
}

const listenTo = (
  container: ReturnType<typeof rhea.create_container>,
  options: ListenerOptions,
  fault: (reason: string) => void,
): void => {
  const credit = options.credit ?? DEFAULT_CREDIT
  container.on('receiver_open', ({ receiver }: EventContext) => {
    receiver?.set_target({ address: receiver.target?.address ?? '' })
    receiver?.add_credit(credit)
  })
  container.on('sender_open', ({ sender }: EventContext) =>
    sender?.close({ condition: 'amqp:not-allowed', description: 'messages can only be sent to this receiver' }),
  )
  container.on('message', (context: EventContext) => {
    const { delivery, receiver, message } = context
    if (delivery === undefined || receiver === undefined || message === undefined) return
    const socket = socketOf(context)
    if (socket !== undefined) incompleteBytes.set(socket, 0)
    const settle = (outcome: Outcome) => {
      outcomesOf(receiver).add(outcome, () => {
        if (receiver.is_closed()) return
        tell(delivery, outcome)
        restoreCredit(receiver, credit)
      })
    }
    Promise.resolve()
      .then(() => options.onMessage(toIncoming(message)))
      .then(
        (outcome) => settle(outcome ?? 'accepted'),
        (error: unknown) => {
          fault(describe(error))
          settle('released')
        },
      )
  })
  for (const event of ['protocol_error', 'error'] as const)
    container.on(event, (error: unknown) => fault(describe(error)))
  for (const event of ['connection_error', 'session_error', 'receiver_error', 'sender_error'] as const)
    container.on(event, ({ error, connection }: EventContext) =>
      fault(`${event}: ${describe(error ?? connection?.error ?? '')}`),
    )
  // A gateway that goes away is nothing unusual; rhea wants somebody to hear it.
  container.on('disconnected', () => undefined)
}

const tell = (delivery: Delivery, outcome: Outcome): void => {
  if (outcome === 'accepted') delivery.accept()
  else if (outcome === 'rejected')
    delivery.reject({ condition: 'amqp:precondition-failed', description: 'rejected by the receiver' })
  else if (outcome === 'modified') delivery.modified({ delivery_failed: true, undeliverable_here: false })
  else delivery.release()
}

/**
 * rhea 3.0 joins the dispositions of neighbouring deliveries that are told in one turn of the event loop, and gives the
 * second one the outcome of the first. So a turn tells only acceptances, or one outcome of another kind.
 */
class Outcomes {
  #waiting: { readonly outcome: Outcome; readonly tell: () => void }[] = []
  #scheduled = false
  /** Of those that were told in this turn. */
  #turn: Outcome | undefined

  add(outcome: Outcome, tell: () => void): void {
    this.#waiting.push({ outcome, tell })
    this.#drain()
  }

  #drain(): void {
    let told = 0
    for (const { outcome, tell } of this.#waiting) {
      if (this.#turn !== undefined && (outcome !== 'accepted' || this.#turn !== 'accepted')) break
      this.#turn = outcome
      tell()
      told++
    }
    this.#waiting = this.#waiting.slice(told)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#turn = undefined
      if (this.#waiting.length > 0) this.#drain()
    })
  }
}

const outcomes = new WeakMap<Receiver, Outcomes>()

const outcomesOf = (receiver: Receiver): Outcomes => {
  const known = outcomes.get(receiver)
  if (known !== undefined) return known
  const made = new Outcomes()
  outcomes.set(receiver, made)
  return made
}

/** Handed back in portions: a flow frame for each message would double the traffic. */
const restoreCredit = (receiver: Receiver, credit: number): void => {
  const owed = (waitingCredit.get(receiver) ?? 0) + 1
  const portion = Math.max(1, Math.floor(credit / 4))
  if (owed < portion) {
    waitingCredit.set(receiver, owed)
    return
  }
  waitingCredit.set(receiver, 0)
  receiver.add_credit(owed)
}

const waitingCredit = new WeakMap<Receiver, number>()

/** Bytes that came since the last complete message. */
const incompleteBytes = new WeakMap<Socket, number>()

/** rhea buffers whatever a peer announces, frame or message: who sends this much without completing a message is cut off. */
const guardSize = (socket: Socket, fault: (reason: string) => void): void => {
  socket.prependListener('data', (chunk: Buffer) => {
    const beforeBytes = incompleteBytes.get(socket) ?? 0
    incompleteBytes.set(socket, beforeBytes + chunk.length)
    if (beforeBytes <= MAX_MESSAGE_BYTES) return
    fault(`a peer sent more than ${MAX_MESSAGE_BYTES} bytes without completing a message`)
    socket.destroy(new Error('message too large'))
  })
}

const socketOf = ({ connection }: EventContext): Socket | undefined =>
  (connection as unknown as { readonly socket?: Socket }).socket

const toIncoming = (message: NonNullable<EventContext['message']>): Incoming => ({
  key: String(message.subject ?? ''),
  contentType: String(message.content_type ?? ''),
  messageId: String(message.message_id ?? ''),
  headers: message.application_properties ?? {},
  body: toBody(message.body),
})

/** The data section of our own sink, one or several of another sender's, or a text value. */
const toBody = (body: unknown): Buffer => {
  if (Buffer.isBuffer(body)) return body
  if (typeof body === 'string') return Buffer.from(body)
  const content: unknown = typeof body === 'object' && body !== null && 'content' in body ? body.content : undefined
  if (Buffer.isBuffer(content)) return content
  return Array.isArray(content)
    ? Buffer.concat(content.filter((part): part is Buffer => Buffer.isBuffer(part)))
    : Buffer.alloc(0)
}

const closeServer = async (
  server: ReturnType<ReturnType<typeof rhea.create_container>['listen']>,
  sockets: Set<Socket>,
): Promise<void> => {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  for (const socket of sockets) socket.end()
  const late = setTimeout(() => {
    for (const socket of sockets) socket.destroy(new Error('the receiver is closing'))
  }, CLOSE_TIMEOUT_MS)
  await closed
  clearTimeout(late)
}
