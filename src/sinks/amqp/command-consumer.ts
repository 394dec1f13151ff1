// Commands from the broker: takes them from the gateway's queue, a few at a time, and confirms each when the device's source took
// it. What cannot be delivered is dead-lettered; what cannot be delivered just now is put back once. It has a channel of its own:
// a user who may not consume still gets readings.

import type { Channel, ConsumeMessage } from 'amqplib'
import type { Logger, Meter } from '../../core/contract.ts'
import { describe, TidegateError } from '../../core/errors.ts'
import type { SinkContext } from '../../core/plugin-contract.ts'

/** Commands under way at a time: devices are slow, and one that does not answer must not hold up all others. */
const PREFETCH = 8
/** A command is words, not a file. */
const MAX_BODY_BYTES = 256 * 1024
/** Until a queue that was deleted, or could not be declared, is tried again. */
const RETRY_MS = 30_000
/** Before a command goes back to the queue: the log or the device may need a moment. */
const PUT_BACK_MS = 1_000
/** May pass by itself. */
const PASSING: ReadonlySet<string> = new Set(['TG_UNAVAILABLE', 'TG_LOG_WRITE', 'TG_LOG_CLOSED', 'TG_TOO_MANY'])

export interface CommandConsumerOptions {
  readonly openChannel: () => Promise<Channel>
  readonly gateway: string
  /** Of the sink. */
  readonly name: string
  readonly commands: NonNullable<SinkContext['commands']>
  readonly logger: Logger
  readonly meter: Meter
}

export class CommandConsumer {
  readonly #options: CommandConsumerOptions
  #channel: Channel | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #waiting = new Set<NodeJS.Timeout>()
  #closed = false
  /** Said once, not with each attempt. */
  #complained = false

  constructor(options: CommandConsumerOptions) {
    this.#options = options
  }

  get queue(): string {
    return `tidegate.${this.#options.gateway}.commands`
  }

  /** Never rejects: without commands the sink does all the rest. */
  async start(): Promise<void> {
    if (this.#closed) return
    try {
      await this.#declare()
      const channel = await this.#options.openChannel()
      this.#channel = channel
      channel.on('error', (error) => this.#lost(channel, describe(error)))
      await channel.prefetch(PREFETCH)
      await channel.consume(this.queue, (message) => {
        if (message !== null) void this.#take(channel, message)
        else {
          this.#lost(channel, 'the queue was deleted')
          // Nothing is left to do on it, and one that cannot be closed is gone already.
          channel.close().catch(() => undefined)
        }
      })
      this.#complained = false
    } catch (error) {
      this.#lost(this.#channel, describe(error))
    }
  }

  /** What is not confirmed by then comes again. The channel ends with the connection. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    for (const timer of this.#waiting) clearTimeout(timer)
    this.#waiting.clear()
    this.#channel = undefined
  }

  /** A queue that somebody declared otherwise is used as it is. A failed declaration closes its channel. */
  async #declare(): Promise<void> {
    const dead = `${this.queue}.dead`
    try {
      const channel = await this.#trial()
      await channel.assertQueue(dead, { durable: true })
      await channel.assertQueue(this.queue, {
        durable: true,
        deadLetterExchange: '',
        deadLetterRoutingKey: dead,
      })
      await channel.close()
    } catch {
      const channel = await this.#trial()
      await channel.checkQueue(this.queue)
      await channel.close()
    }
  }

  async #trial(): Promise<Channel> {
    const channel = await this.#options.openChannel()
    // The rejection of the call says the same.
    channel.on('error', () => undefined)
    return channel
  }

  #lost(channel: Channel | undefined, reason: string): void {
    // A channel that fails tells it more than once.
    if (this.#closed || channel !== this.#channel) return
    this.#channel = undefined
    const { logger, name } = this.#options
    if (!this.#complained)
      logger.warn({ sink: name, queue: this.queue, reason }, 'no commands are taken from the broker; it is tried again')
    this.#complained = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.start(), RETRY_MS)
  }

  async #take(channel: Channel, message: ConsumeMessage): Promise<void> {
    const { commands, name, logger, meter } = this.#options
    const count = (reason: string) => meter.add('sink_commands_total', { sink: name, reason })
    try {
      const { device, body } = commandIn(message)
      await commands.request(device, body, `amqp:${name}`)
      count('taken')
      this.#settle(channel, () => channel.ack(message))
    } catch (error) {
      const code = error instanceof TidegateError ? error.code : 'TG_INTERNAL'
      if (PASSING.has(code) && !message.fields.redelivered) {
        count('put-back')
        this.#later(() => this.#settle(channel, () => channel.nack(message, false, true)))
        return
      }
      count('dead-lettered')
      logger.warn({ sink: name, code, reason: describe(error) }, 'a command of the broker cannot be delivered')
      this.#settle(channel, () => channel.nack(message, false, false))
    }
  }

  /** A channel that has gone meanwhile has put everything back by itself. */
  #settle(channel: Channel, work: () => void): void {
    if (this.#closed || channel !== this.#channel) return
    try {
      work()
    } catch (error) {
      this.#lost(channel, describe(error))
    }
  }

  #later(work: () => void): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(timer)
      work()
    }, PUT_BACK_MS)
    this.#waiting.add(timer)
  }
}

/** As a request may have it. */
const COMMAND_ID = /^[A-Za-z0-9._:-]{1,64}$/

/** `{"device", …}`; the message id makes a command that comes twice harmless. */
const commandIn = ({ content, properties }: ConsumeMessage): { readonly device: string; readonly body: object } => {
  const wrong = (reason: string) => new TidegateError('TG_BAD_REQUEST', `the command ${reason}`)
  if (content.length > MAX_BODY_BYTES) throw wrong(`has more than ${MAX_BODY_BYTES} bytes`)
  let parsed: unknown
  try {
    parsed = JSON.parse(content.toString('utf8'))
  } catch {
    throw wrong('is no JSON')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw wrong('is no JSON object')
  const { device, ...rest } = parsed as Readonly<Record<string, unknown>>
  if (typeof device !== 'string') throw wrong("names no 'device'")
  const messageId: unknown = properties.messageId
  const usable = typeof messageId === 'string' && COMMAND_ID.test(messageId) && !Object.hasOwn(rest, 'id')
  return { device, body: usable ? { ...rest, id: messageId } : rest }
}
