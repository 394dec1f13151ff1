// Commands on their way to the device: one after the other, each whole, in bounded number and time.

import { describe, TidegateError } from '../../core/errors.ts'
import { withDeadline } from '../../core/time.ts'
import type { Framing } from './framing.ts'
import type { Line } from './line.ts'
import type { Port } from './port.ts'

/** A line that is slower than its commands come has to say so. */
const MAX_WAITING = 16
/** Takes 6 s at 115,200 baud; commands are small. */
const MAX_COMMAND_BYTES = 64 * 1024

export interface WriterOptions {
  readonly line: Line
  readonly framing: Framing
  readonly terminator: Buffer
  readonly timeoutMs: number
}

export class Writer {
  written = 0
  readonly #options: WriterOptions
  #waiting = 0
  #last: Promise<void> = Promise.resolve()

  constructor(options: WriterOptions) {
    this.#options = options
  }

  /** Resolves when the system has taken all of it; a serial line has no acknowledgement. */
  async write(payload: Buffer): Promise<void> {
    const { framing, terminator } = this.#options
    if (payload.length > MAX_COMMAND_BYTES)
      throw new TidegateError('TG_MESSAGE_TOO_LARGE', `a serial command may have ${MAX_COMMAND_BYTES} bytes`)
    if (this.#waiting >= MAX_WAITING)
      throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `${MAX_WAITING} commands wait for the serial port already`)
    const bytes = Buffer.concat([framing.encode(payload), terminator])
    this.#waiting++
    const turn = this.#last.then(() => this.#write(bytes))
    this.#last = turn.catch(() => undefined)
    try {
      await turn
      this.written++
    } finally {
      this.#waiting--
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    const { line, timeoutMs } = this.#options
    const { port } = line
    if (port?.fd === undefined) throw undeliverable(line.state.reason ?? 'the serial port is not open')
    try {
      await withDeadline(port.write(bytes), timeoutMs, () => new Late(`not taken within ${timeoutMs} ms`))
    } catch (error) {
      this.#failed(port, error)
      throw undeliverable(`the serial port did not take the command: ${describe(error)}`)
    }
  }

  // Half a command may be in the system's buffer: closing the port discards it.
  #failed(port: Port, error: unknown): void {
    if (error instanceof Late) this.#options.line.reopen(port)
  }
}

class Late extends Error {
  override readonly name = 'Late'
}

const undeliverable = (reason: string): TidegateError => new TidegateError('TG_COMMAND_UNDELIVERABLE', reason)
