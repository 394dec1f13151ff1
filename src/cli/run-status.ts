// Keeps telling how the running gateway does, until the signal: a line at the bottom of a terminal, a plain line now and then
// elsewhere, and the service manager's status and watchdog.

import type { StatusReport } from '../core/status.ts'
import { delay } from '../core/time.ts'
import type { Notifier } from '../ops/systemd.ts'
import type { Io } from './io.ts'
import { type Pace, serviceStatus, statusLine } from './run-text.ts'
import { StatusLine } from './status-line.ts'

const TICK_MS = 1_000
/** Ticks between two plain lines, and between two datagrams to the service manager. */
const PLAIN_TICKS = 10
/** How many times within its limit the watchdog is fed. */
const WATCHDOG_MARGIN = 3

export interface Showing {
  readonly report: () => StatusReport
  readonly io: Io
  readonly notifier: Notifier
}

/** Resolves once the signal aborts. */
export const showStatus = async ({ report, io, notifier }: Showing): Promise<void> => {
  const { stdout, env, signal } = io
  const line = stdout.isTTY === true ? new StatusLine(stdout) : undefined
  // The journal has the log; a line that says the same every ten seconds would only fill it.
  const plain = line === undefined && env['JOURNAL_STREAM'] === undefined
  const tickMs = Math.min(TICK_MS, (notifier.watchdogMs ?? Number.POSITIVE_INFINITY) / WATCHDOG_MARGIN)
  let pace: Pace = { messages: report().log.messagesAppended, atMs: performance.now() }
  for (let tick = 1; !signal.aborted; tick++) {
    await delay(tickMs, signal).catch(() => undefined) // aborted: the loop ends
    if (signal.aborted) break
    const now = report()
    const nowMs = performance.now()
    notifier.alive()
    const seldom = tick % PLAIN_TICKS === 0
    if (seldom) notifier.status(serviceStatus(now))
    if (line === undefined && !seldom) continue
    const text = statusLine(now, pace, nowMs)
    line?.draw(text)
    // Nothing new is not news.
    if (plain && (now.log.messagesAppended !== pace.messages || !now.healthy)) stdout.write(`${text}\n`)
    pace = { messages: now.log.messagesAppended, atMs: nowMs }
  }
  line?.clear()
}
