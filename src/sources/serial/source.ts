// A serial port as a source: each frame is a message. Nobody on a serial line waits for an acknowledgement and nobody can be
// asked to send again, so frames are QoS 0: while the disk takes nothing they are shown, and what the log cannot keep it counts
// and writes down as a loss mark. Reading pauses only where flow control can hold the device; elsewhere the system would drop
// bytes without a record, so frames go to the log however full it is, and the log says what it did not keep.

import type { Command, Health, Intake, Source } from '../../core/contract.ts'
import { TidegateError } from '../../core/errors.ts'
import type { SourceContext } from '../../core/plugin-contract.ts'
import { Faults } from './faults.ts'
import type { Framing } from './framing.ts'
import { Line, type LineState } from './line.ts'
import type { PortSettings } from './port.ts'
import { Writer } from './writer.ts'

export interface SerialSourceSettings {
  readonly path: string
  readonly topic: string
  readonly port: PortSettings
  readonly framing: Framing
  readonly silenceMs: number | undefined
  readonly terminator: Buffer
  readonly writeTimeoutMs: number
}

export class SerialSource implements Source {
  readonly #settings: SerialSourceSettings
  readonly #context: SourceContext
  readonly #faults: Faults
  readonly #line: Line
  readonly #writer: Writer
  #intake: Intake | undefined
  #room: Promise<void> | undefined
  #frames = 0
  #frameMs: number | undefined
  #unkept = 0
  #unmetered = 0
  #health: Health
  #closing: Promise<void> | undefined

  constructor(settings: SerialSourceSettings, context: SourceContext) {
    const { name, clock, logger, meter } = context
    const { path, port, framing, silenceMs, terminator, writeTimeoutMs } = settings
    this.#settings = settings
    this.#context = context
    this.#faults = new Faults(name, context)
    this.#health = { state: 'starting', since: clock.wallMs(), reason: 'not started' }
    this.#line = new Line({
      ...{ name, path, framing, silenceMs, clock, logger, meter },
      settings: port,
      to: { frame: (bytes) => this.#take(bytes), fault: (reason, size) => this.#faults.count(reason, size) },
      room: () => this.#room,
      changed: (state) => this.#changed(state),
    })
    this.#writer = new Writer({ line: this.#line, framing, terminator, timeoutMs: writeTimeoutMs })
  }

  /** A port that is not there is waited for, and is no failure. */
  async start(intake: Intake, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#intake = intake
    await this.#line.start()
  }

  health(): Health {
    const { openMs, heardMs } = this.#line.ages
    const now = this.#context.clock.monotonicMs()
    const { last } = this.#faults
    const detail = {
      path: this.#settings.path,
      open: this.#line.state.open,
      ...(this.#line.state.open ? { openSeconds: Math.round(openMs / 1_000) } : {}),
      openings: this.#line.openings,
      bytes: this.#line.bytes,
      frames: this.#frames,
      faults: this.#faults.total,
      ...(last === undefined ? {} : { lastFault: last }),
      ...(this.#unkept === 0 ? {} : { unkeptFrames: this.#unkept }),
      ...(heardMs === undefined ? {} : { lastByteSeconds: Math.round(heardMs / 1_000) }),
      ...(this.#frameMs === undefined ? {} : { lastFrameSeconds: Math.round((now - this.#frameMs) / 1_000) }),
      commands: this.#writer.written,
    }
    return { ...this.#health, detail }
  }

  async send({ payload, topic }: Command): Promise<void> {
    if (topic !== undefined)
      throw new TidegateError(
        'TG_COMMAND_UNDELIVERABLE',
        `source ${this.#context.name} is a serial line and has no topics`,
      )
    if (this.#closing !== undefined) throw new TidegateError('TG_UNAVAILABLE', 'the gateway is stopping')
    await this.#writer.write(payload)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // What waits for room must not hold up the end.
    this.#room = undefined
    this.#intake = undefined
    await this.#line.close()
    this.#health = { state: 'closed', since: this.#context.clock.wallMs(), reason: 'closed' }
  }

  #take(payload: Buffer): void {
    const intake = this.#intake
    if (intake === undefined) return
    const { topic, port } = this.#settings
    this.#frames++
    this.#frameMs = this.#context.clock.monotonicMs()
    this.#count()
    const message = { topic, payload, source: this.#context.name, qos: 0, retain: false } as const
    const hasRoom = intake.append(message, (error) => {
      if (error !== undefined) this.#unkept++
    })
    if (!hasRoom && this.#room === undefined && (port.rtscts === true || port.xonxoff === true)) this.#pause(intake)
  }

  #pause(intake: Intake): void {
    this.#room = intake
      .ready(0)
      .catch(() => undefined)
      .then(() => {
        this.#room = undefined
      })
  }

  #changed({ open, reason }: LineState): void {
    const since = this.#context.clock.wallMs()
    this.#health =
      open && reason === undefined ? { state: 'ok', since } : { state: 'degraded', since, reason: reason ?? 'not open' }
  }

  // Metered once per turn of the event loop: a label lookup per frame would cost more than the append.
  #count(): void {
    if (this.#unmetered++ > 0) return
    setImmediate(() => {
      this.#context.meter.add('messages_received_total', { source: this.#context.name }, this.#unmetered)
      this.#unmetered = 0
    })
  }
}
