// The life of one port: opened whenever it is there, read into the framing, given up when it is pulled out, replaced or silent
// for too long, and looked for again. Nothing here is a failure of the gateway; the state says what is in the way.

import type { Clock, Logger, Meter } from '../../core/contract.ts'
import { describe } from '../../core/errors.ts'
import { delay } from '../../core/time.ts'
import { deviceFault, pathFault } from '../device-path.ts'
import type { FrameReceiver, Framing } from './framing.ts'
import { GapTimer } from './gap-timer.ts'
import { openPort, type Port, type PortSettings } from './port.ts'

/** How often an open port is looked at, and one that is not there is looked for: a re-plug is found well within 2 s. */
const LOOK_MS = 250
/** What is there and does not open is tried less often; permissions and locks take longer to change. */
const RETRY_MS = 500

/** One that ends sooner without a byte was hardly there: it is tried less and less often, up to a wait that finds a re-plug in time. */
const BRIEF_MS = 1_000
const MAX_WAIT_MS = 1_000
/** What comes and goes more often in a row is no news. */
const MAX_TOLD_BRIEF = 3

/** Why an open port was given up. */
type End = 'closed' | 'unplugged' | 'replaced' | 'silent' | 'stuck'

export interface LineOptions {
  readonly name: string
  readonly path: string
  readonly settings: PortSettings
  readonly framing: Framing
  readonly silenceMs: number | undefined
  readonly to: FrameReceiver
  /** Before the next read; reading waits for it. */
  readonly room: () => Promise<void> | undefined
  readonly changed: (state: LineState) => void
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
}

/** `reason` is there unless all is well. */
export interface LineState {
  readonly open: boolean
  readonly reason?: string
}

export class Line {
  bytes = 0
  openings = 0
  readonly #options: LineOptions
  readonly #gap: GapTimer | undefined
  readonly #closing = new AbortController()
  #port: Port | undefined
  #openedMs = 0
  #heardMs = 0
  #state: LineState = { open: false, reason: 'not started' }
  #end: End = 'closed'
  #told = false
  #silent = false
  /** Openings in a row that ended at once. */
  #brief = 0
  #running: Promise<void> | undefined

  constructor(options: LineOptions) {
    const { framing, to } = options
    this.#options = options
    if (framing.gapMs !== undefined) this.#gap = new GapTimer(framing.gapMs, () => framing.pause?.(to))
  }

  /** Resolves after the first attempt, successful or not. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#running ??= this.#run(resolve)
    })
  }

  /** undefined while the port is away. */
  get port(): Port | undefined {
    return this.#port
  }

  /** Milliseconds since the port was opened, and since it last brought something. */
  get ages(): { readonly openMs: number; readonly heardMs: number | undefined } {
    const now = this.#options.clock.monotonicMs()
    return { openMs: now - this.#openedMs, heardMs: this.#heardMs === 0 ? undefined : now - this.#heardMs }
  }

  get state(): LineState {
    return this.#state
  }

  /** The port took no command in time: it is closed, so that nothing stale is sent later, and opened again. */
  reopen(port: Port): void {
    if (this.#port === port) void this.#giveUp(port, 'stuck')
  }

  /** Idempotent, never throws. */
  async close(): Promise<void> {
    this.#closing.abort()
    const port = this.#port
    if (port !== undefined) await this.#giveUp(port, 'closed')
    await this.#running
    this.#gap?.stop()
  }

  async #run(attempted: () => void): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      const waitMs = await this.#attempt(attempted)
      attempted()
      if (!signal.aborted) await delay(waitMs, signal).catch(() => undefined)
    }
    attempted()
  }

  /** Opens the port and stays with it; how long to wait before the next attempt. */
  async #attempt(opened: () => void): Promise<number> {
    const { path, settings } = this.#options
    const fault = await pathFault(path)
    if (fault !== undefined) {
      this.#brief = 0
      this.#become({ open: false, reason: fault })
      return LOOK_MS
    }
    let port: Port
    try {
      port = await openPort(path, settings)
    } catch (error) {
      this.#become({ open: false, reason: describe(error) })
      return RETRY_MS
    }
    if (this.#closing.signal.aborted) {
      await port.close()
      return 0
    }
    this.#begin(port)
    opened()
    await this.#stay(port)
    const wasBrief = this.#heardMs < this.#openedMs && this.ages.openMs < BRIEF_MS
    this.#brief = wasBrief ? this.#brief + 1 : 0
    return Math.min(LOOK_MS * 2 ** Math.min(this.#brief, 10), MAX_WAIT_MS)
  }

  #begin(port: Port): void {
    const { clock } = this.#options
    this.#port = port
    this.#end = 'unplugged'
    this.openings++
    this.#openedMs = clock.monotonicMs()
    this.#gap?.restart()
    this.#become(this.#silent ? { open: true, reason: this.#silence() } : { open: true })
  }

  // Reads until the port ends, and looks after it meanwhile.
  async #stay(port: Port): Promise<void> {
    const { framing, to, meter, name } = this.#options
    const watch = setInterval(() => void this.#look(port), LOOK_MS)
    try {
      while (await this.#readOnce(port));
    } finally {
      clearInterval(watch)
    }
    await port.close()
    this.#port = undefined
    this.#gap?.stop()
    if (this.#end === 'closed') return
    framing.reset(to)
    meter.add('serial_closings_total', { source: name, reason: this.#end })
    this.#become({ open: false, reason: this.#endReason() })
  }

  async #readOnce(port: Port): Promise<boolean> {
    const { framing, to, clock } = this.#options
    const waits = this.#options.room()
    // A port that is not read does not notice its end: the look does, and closes it.
    if (waits !== undefined) await Promise.race([waits, port.ended])
    const bytes = await port.read()
    if (bytes === undefined || port.fd === undefined) return false
    this.bytes += bytes.length
    this.#heardMs = clock.monotonicMs()
    if (this.#silent) {
      this.#silent = false
      this.#become({ open: true })
    }
    framing.push(bytes, to)
    this.#gap?.restart()
    return true
  }

  async #look(port: Port): Promise<void> {
    const { path, silenceMs, clock } = this.#options
    if (port.fd === undefined) return
    const fault = await deviceFault(path, port.fd)
    if (port.fd === undefined) return
    const quietMs = clock.monotonicMs() - Math.max(this.#openedMs, this.#heardMs)
    if (fault !== undefined) await this.#giveUp(port, fault)
    else if (silenceMs !== undefined && quietMs >= silenceMs) {
      this.#silent = true
      await this.#giveUp(port, 'silent')
    }
  }

  async #giveUp(port: Port, end: End): Promise<void> {
    if (port.fd !== undefined) this.#end = end
    await port.close()
  }

  #silence(): string {
    const seconds = (this.#options.silenceMs ?? 0) / 1_000
    return `nothing has come from ${this.#options.path} for ${seconds} s or more, and the port was opened anew; check the device, its wiring and the baud rate`
  }

  #endReason(): string {
    const { path } = this.#options
    switch (this.#end) {
      case 'silent':
        return this.#silence()
      case 'stuck':
        return `${path} took no command in time and is opened anew; check flow control and wiring`
      case 'replaced':
        return `${path} leads to another device now, which is being opened`
      default:
        return `what was plugged in at ${path} is gone; plug it in again`
    }
  }

  // Logged once when lost, and once when back.
  #become(state: LineState): void {
    const { changed, logger, path } = this.#options
    const { open, reason } = this.#state
    if (open === state.open && reason === state.reason) return
    const wasTold = this.#told
    this.#state = state
    this.#told = true
    changed(state)
    const isNews = this.#brief <= MAX_TOLD_BRIEF
    if (state.open && !open) logger[isNews ? 'info' : 'debug']({ path, openings: this.openings }, 'serial port open')
    else if (!state.open)
      logger[(open || !wasTold) && isNews ? 'warn' : 'debug']({ path, reason: state.reason }, 'serial port not open')
  }
}
