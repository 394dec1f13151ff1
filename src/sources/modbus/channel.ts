// The line that Modbus frames travel on: a serial port or a TCP connection, opened once and given up when it fails. Whoever
// wants it again opens a new one.

import { stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { TidegateError } from '../../core/errors.ts'
import { withDeadline } from '../../core/time.ts'

/** A host that does not answer is tried again soon; longer would keep the units waiting. */
const CONNECT_TIMEOUT_MS = 5_000
/** Closing a device that is gone may hang; nobody waits for it longer. */
const CLOSE_TIMEOUT_MS = 1_000
/** A dead connection is noticed within this time even when nobody writes. */
const KEEP_ALIVE_MS = 10_000

export interface SerialLine {
  readonly path: string
  readonly baudRate: number
  readonly dataBits: 7 | 8
  readonly parity: 'none' | 'even' | 'odd'
  readonly stopBits: 1 | 2
}

export interface TcpAddress {
  readonly host: string
  readonly port: number
}

export interface ChannelEvents {
  received(bytes: Buffer): void
  /** Once, however it ends, unless close() was called. */
  ended(reason: string): void
}

export interface Channel {
  write(bytes: Buffer): void
  /** Asked after a silence: whether what was opened is still what is there. */
  stillThere(): Promise<boolean>
  /** Idempotent; resolves when it may be opened again. */
  close(): Promise<void>
}

export type OpenChannel = (events: ChannelEvents, signal: AbortSignal) => Promise<Channel>

export const serialChannel =
  ({ path, baudRate, dataBits, parity, stopBits }: SerialLine): OpenChannel =>
  async (events) => {
    const { SerialPort } = await import('serialport')
    const port = new SerialPort({ path, baudRate, dataBits, parity, stopBits, autoOpen: false })
    const end = endOnce(events)
    port.on('data', (bytes: Buffer) => events.received(bytes))
    port.on('error', (error) => end.now(error.message))
    port.on('close', () => end.now('the port is gone'))
    await new Promise<void>((resolve, reject) => {
      port.open((error) => (error === null ? resolve() : reject(unreachable(path, error))))
    })
    const identity = await deviceOf(path)
    return {
      write: (bytes) => void port.write(bytes),
      // serialport does not tell every unplug: the name then leads nowhere, or to another device.
      stillThere: async () => identity !== undefined && (await deviceOf(path)) === identity,
      close: async () => {
        end.never()
        if (!port.isOpen) return
        const closed = new Promise<void>((resolve) => port.close(() => resolve()))
        await withDeadline(closed, CLOSE_TIMEOUT_MS, () => new Error('late')).catch(() => undefined)
      },
    }
  }

export const tcpChannel =
  ({ host, port }: TcpAddress): OpenChannel =>
  async (events, signal) => {
    const socket = new Socket()
    const end = endOnce(events)
    await new Promise<void>((resolve, reject) => {
      const fail = (error: Error) => {
        socket.destroy()
        reject(unreachable(`${host}:${port}`, error))
      }
      socket.setTimeout(CONNECT_TIMEOUT_MS, () => fail(new Error('no connection in time')))
      socket.once('error', fail)
      const stop = () => fail(new Error('the source is closing'))
      signal.addEventListener('abort', stop, { once: true })
      socket.once('close', () => signal.removeEventListener('abort', stop))
      socket.connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, () => {
        socket.off('error', fail)
        signal.removeEventListener('abort', stop)
        resolve()
      })
    })
    socket.setTimeout(0)
    socket.on('data', (bytes) => events.received(bytes))
    socket.on('error', (error) => end.now(error.message))
    socket.on('close', () => end.now('the connection was closed'))
    return {
      write: (bytes) => void socket.write(bytes),
      // Only time tells: keep-alive ends a connection that leads nowhere.
      stillThere: async () => true,
      close: async () => {
        end.never()
        socket.destroy()
      },
    }
  }

/** Which device a path leads to, links followed; undefined where it leads nowhere. */
const deviceOf = async (path: string): Promise<string | undefined> => {
  try {
    const { dev, ino, rdev } = await stat(path)
    return `${dev}:${ino}:${rdev}`
  } catch {
    return undefined // it is not there
  }
}

const endOnce = ({ ended }: ChannelEvents) => {
  let over = false
  return {
    now: (reason: string) => {
      if (over) return
      over = true
      ended(reason)
    },
    never: () => {
      over = true
    },
  }
}

const unreachable = (what: string, cause: Error): TidegateError =>
  new TidegateError('TG_UNAVAILABLE', `${what} cannot be opened: ${cause.message}`)
