// What the service manager hears from the gateway (sd_notify): ready, status, stopping, alive. Without a manager, nothing
// is sent. The datagrams leave from this process itself: no child is spawned, so it works under TasksMax and load.

import type { Logger } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import { type DatagramSocket, openDatagramSocket } from './libc.ts'

/** Longer status lines are cut: `systemctl status` shows one line. */
const MAX_STATUS_LENGTH = 200

export interface Notifier {
  /** Start-up, or a reload, is complete. */
  ready(status: string): void
  /** A reload begins; `monotonicMs` is the Clock's, as Type=notify-reload wants it. */
  reloading(monotonicMs: number): void
  stopping(): void
  status(text: string): void
  /** Feeds the watchdog. */
  alive(): void
  /** The manager restarts the service after this long without alive(); undefined when it does not watch. */
  readonly watchdogMs: number | undefined
  close(): void
}

/** Never throws: a manager that does not listen is logged once, and the gateway runs on. */
export const createNotifier = (
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
  logger: Logger,
): Notifier => {
  const path = env['NOTIFY_SOCKET']
  let socket: DatagramSocket | undefined
  let closed = false
  let heard = true
  const send = (text: string) => {
    if (path === undefined || path === '' || closed) return
    try {
      socket ??= openDatagramSocket(path)
      socket.send(text)
      heard = true
    } catch (error) {
      if (heard) logger.warn({ error: describe(error) }, 'service manager cannot be notified')
      heard = false
    }
  }
  return {
    ready: (status) => send(`READY=1\nSTATUS=${oneLine(status)}`),
    reloading: (monotonicMs) => send(`RELOADING=1\nMONOTONIC_USEC=${Math.round(monotonicMs * 1_000)}`),
    stopping: () => send('STOPPING=1\nSTATUS=stopping'),
    status: (text) => send(`STATUS=${oneLine(text)}`),
    alive: () => send('WATCHDOG=1'),
    watchdogMs: watchdogMs(env, pid),
    close() {
      closed = true
      socket?.close()
    },
  }
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').slice(0, MAX_STATUS_LENGTH)

const watchdogMs = (env: Readonly<Record<string, string | undefined>>, pid: number): number | undefined => {
  const watched = env['WATCHDOG_PID']
  if (watched !== undefined && watched !== String(pid)) return undefined
  const microseconds = Number(env['WATCHDOG_USEC'])
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1_000 : undefined
}
