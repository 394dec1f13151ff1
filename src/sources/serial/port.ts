// One opening of a serial port, on serialport's binding, whose stream is not used: after a hang-up it reads nothing again and
// again, and notices an unplug only while it flows. Here an end of the input is an end.

import { read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import { systemCode, TidegateError } from '../../core/errors.ts'
import type { SerialSettings } from '../../core/serial-settings.ts'
import { openFault } from './open-fault.ts'

/** More than any UART brings between two turns of the event loop. */
const READ_BYTES = 16 * 1024

const read = promisify(readCallback)

/** What of the Linux binding is used here. */
interface Binding {
  readonly fd: number | null
  readonly poller: {
    once(event: 'readable', callback: (error: Error | null) => void): unknown
    stop(): void
  }
  write(bytes: Buffer): Promise<void>
  set(lines: Readonly<Record<'brk' | 'cts' | 'dtr' | 'rts', boolean>>): Promise<void>
  flush(): Promise<void>
  close(): Promise<void>
}

export type PortSettings = Pick<
  SerialSettings,
  'baudRate' | 'dataBits' | 'stopBits' | 'parity' | 'rtscts' | 'xonxoff' | 'dtr' | 'rts'
>

const DEFAULT_BAUD_RATE = 115_200

/** Rejects with a reason that says what to do. */
export const openPort = async (path: string, settings: PortSettings): Promise<Port> => {
  const { baudRate = DEFAULT_BAUD_RATE, dataBits = 8, stopBits = 1, parity = 'none' } = settings
  const { rtscts = false, xonxoff = false, dtr, rts } = settings
  const options = { path, baudRate, dataBits, stopBits, parity, rtscts, xon: xonxoff, xoff: xonxoff, lock: true }
  // Loaded when the first port is opened: it costs a gateway without one several MiB.
  const { SerialPort } = await import('serialport')
  let binding: Binding
  try {
    binding = linuxBinding(await SerialPort.binding.open(options))
  } catch (error) {
    throw new TidegateError('TG_UNAVAILABLE', await openFault(path, error))
  }
  const port = new Port(binding)
  if (dtr === undefined && rts === undefined) return port
  try {
    await binding.set({ brk: false, cts: false, dtr: dtr ?? true, rts: rts ?? true })
    return port
  } catch (error) {
    await port.close()
    throw new TidegateError('TG_UNAVAILABLE', `${path} has no lines DTR and RTS; remove dtr and rts`, { cause: error })
  }
}

const linuxBinding = (opened: unknown): Binding => {
  if (typeof opened === 'object' && opened !== null && 'poller' in opened) return opened as Binding
  throw new TidegateError('TG_INTERNAL', 'serial ports of this system are not supported')
}

export class Port {
  readonly #binding: Binding
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES)
  #reading: Promise<Buffer | undefined> = Promise.resolve(undefined)
  #writing = false
  #ended = false
  #closing: Promise<void> | undefined
  /** Resolves as soon as it is being closed. */
  readonly ended: Promise<void>
  #tellEnded: () => void = () => undefined

  constructor(binding: Binding) {
    this.#binding = binding
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve
    })
  }

  /** undefined once it is closed. */
  get fd(): number | undefined {
    return this.#ended ? undefined : (this.#binding.fd ?? undefined)
  }

  /** The next bytes, valid until the next call; undefined at the end, whatever ended it. */
  read(): Promise<Buffer | undefined> {
    this.#reading = this.#read()
    return this.#reading
  }

  /** Resolves when the system has taken all of it. */
  async write(bytes: Buffer): Promise<void> {
    this.#writing = true
    await this.#binding.write(bytes)
    this.#writing = false
  }

  /** Idempotent, never throws. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #read(): Promise<Buffer | undefined> {
    for (;;) {
      const { fd } = this
      if (fd === undefined) return undefined
      try {
        const { bytesRead } = await read(fd, this.#buffer, 0, READ_BYTES, null)
        return bytesRead === 0 ? undefined : this.#buffer.subarray(0, bytesRead)
      } catch (error) {
        const code = systemCode(error)
        if (code !== 'EAGAIN' && code !== 'EWOULDBLOCK' && code !== 'EINTR') return undefined
      }
      if (!(await this.#readable())) return undefined
    }
  }

  #readable(): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false)
    return new Promise((resolve) => this.#binding.poller.once('readable', (error) => resolve(error === null)))
  }

  // The descriptor is not closed under a read: its number could mean another file by then.
  async #close(): Promise<void> {
    this.#ended = true
    this.#tellEnded()
    this.#binding.poller.stop()
    await this.#reading
    // Output that the device does not take would hold up the closing.
    if (this.#writing) await this.#binding.flush().catch(ignored)
    await this.#binding.close().catch(ignored)
  }
}

/** A device that is gone cannot be flushed or closed in order; its descriptor is released all the same. */
const ignored = (): void => undefined
