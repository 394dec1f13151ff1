// One request at a time over an open channel, through modbus-serial: the answer's data, or a ModbusError that says what kind
// of failure it was. After a time-out nothing that still comes is taken for an answer.

import type modbusSerial from 'modbus-serial'
import { exceptionText } from '../../core/modbus.ts'
import type { ModbusTable } from '../../core/profile.ts'
import type { Channel, OpenChannel } from './channel.ts'
import { FramePort, type Framing } from './frame-port.ts'

/** exception: the unit answered that it will not. silent: nothing came. damaged: something came that is no answer. port: the channel is gone. */
export type FailureKind = 'exception' | 'silent' | 'damaged' | 'port'

export class ModbusError extends Error {
  readonly kind: FailureKind
  /** Of an exception. */
  readonly code: number | undefined

  constructor(kind: FailureKind, message: string, code?: number) {
    super(message)
    this.kind = kind
    this.code = code
  }
}

export interface ReadRequest {
  readonly table: ModbusTable
  readonly address: number
  readonly count: number
}

export interface WriteRequest {
  readonly table: 'coil' | 'holding'
  readonly address: number
  /** A coil, or registers. */
  readonly value: boolean | readonly number[]
  /** Function 16 also for one register. */
  readonly multiple: boolean
}

export interface ClientEvents {
  /** Bytes that nobody asked for. */
  stray(bytes: Buffer): void
}

export class ModbusClient {
  readonly #port: FramePort
  readonly #modbus: InstanceType<typeof modbusSerial.default>
  readonly #lost: Promise<never>
  #channel: Channel
  #broken: ((reason: string) => void) | undefined
  #closed = false
  /** Why it is of no use any more. */
  lossReason: string | undefined

  static async open(
    openChannel: OpenChannel,
    framing: Framing,
    events: ClientEvents,
    signal: AbortSignal,
  ): Promise<ModbusClient> {
    // What comes or ends while it opens belongs to the client that there will be.
    let client: ModbusClient | undefined
    let endedEarly: string | undefined
    const received = (bytes: Buffer) => client?.receive(bytes)
    const ended = (reason: string) => {
      endedEarly = reason
      client?.lose(reason)
    }
    // Loaded when the first bus is opened: it costs a gateway without one several MiB.
    const { default: library } = await import('modbus-serial')
    signal.throwIfAborted()
    const channel = await openChannel({ received, ended }, signal)
    client = new ModbusClient(library, channel, framing, events)
    if (endedEarly !== undefined) client.lose(endedEarly)
    return client
  }

  private constructor(library: typeof modbusSerial, channel: Channel, framing: Framing, events: ClientEvents) {
    this.#channel = channel
    this.#port = new FramePort(
      channel,
      framing,
      (bytes) => events.stray(bytes),
      (reason) => this.lose(reason),
    )
    this.#modbus = new library.default(this.#port)
    this.#modbus.open(() => undefined)
    this.#lost = new Promise((_, reject) => {
      this.#broken = (reason) => reject(new ModbusError('port', reason))
    })
    // Whoever asks hears of it; nobody may be asking.
    this.#lost.catch(() => undefined)
  }

  get closed(): boolean {
    return this.#closed
  }

  receive(bytes: Buffer): void {
    this.#port.receive(bytes)
  }

  /** The channel is of no use any more: what is asked fails now, and from now on. */
  lose(reason: string): void {
    this.#closed = true
    this.lossReason ??= reason
    this.#port.isOpen = false
    this.#broken?.(reason)
  }

  stillThere(): Promise<boolean> {
    return this.#channel.stillThere()
  }

  async read(unit: number, { table, address, count }: ReadRequest, timeoutMs: number): Promise<Buffer> {
    const { buffer } = await this.#transact<{ readonly buffer: Buffer }>(unit, timeoutMs, () => {
      switch (table) {
        case 'coil':
          return this.#modbus.readCoils(address, count)
        case 'discrete':
          return this.#modbus.readDiscreteInputs(address, count)
        case 'input':
          return this.#modbus.readInputRegisters(address, count)
        default:
          return this.#modbus.readHoldingRegisters(address, count)
      }
    })
    return buffer
  }

  async write(unit: number, { address, value, multiple }: WriteRequest, timeoutMs: number): Promise<void> {
    await this.#transact<unknown>(unit, timeoutMs, () => {
      if (typeof value === 'boolean') return this.#modbus.writeCoil(address, value)
      const [only, ...others] = value
      return only !== undefined && others.length === 0 && !multiple
        ? this.#modbus.writeRegister(address, only)
        : this.#modbus.writeRegisters(address, [...value])
    })
  }

  async close(): Promise<void> {
    this.lose('closed')
    // Ends the timer of a request that nobody waits for any more.
    this.#modbus.destroy(() => undefined)
    await this.#channel.close()
  }

  async #transact<T>(unit: number, timeoutMs: number, ask: () => Promise<T>): Promise<T> {
    if (this.#closed) return await this.#lost
    this.#modbus.setID(unit)
    this.#modbus.setTimeout(timeoutMs)
    try {
      return await Promise.race([ask(), this.#lost])
    } catch (error) {
      throw this.#failure(error, timeoutMs)
    } finally {
      this.#port.giveUp()
    }
  }

  #failure(error: unknown, timeoutMs: number): ModbusError {
    if (error instanceof ModbusError) return error
    const { modbusCode, errno, message } = error as { modbusCode?: number; errno?: string; message?: string }
    if (modbusCode !== undefined) return new ModbusError('exception', exceptionText(modbusCode), modbusCode)
    if (errno === 'ETIMEDOUT') {
      const { received } = this.#port
      return received === 0
        ? new ModbusError('silent', `no answer within ${timeoutMs} ms`)
        : new ModbusError('damaged', `no valid answer within ${timeoutMs} ms, only ${received} bytes`)
    }
    return new ModbusError('port', message ?? 'the port failed')
  }
}
