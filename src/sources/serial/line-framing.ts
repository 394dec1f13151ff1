// Lines: what stands between two ends of a line, without them. Empty lines are none, so CR LF counts as one end. What comes
// before the first end after opening may be half a line, and is discarded.

import type { FrameReceiver, Framing } from './framing.ts'
import { Window } from './window.ts'

const CR = 0x0d
const LF = 0x0a

export type LineEnd = 'any' | 'cr' | 'lf' | 'crlf'

const terminators = { any: '\n', cr: '\r', lf: '\n', crlf: '\r\n' } as const

export class LineFraming implements Framing {
  readonly terminator: Buffer
  readonly #end: LineEnd
  readonly #maxBytes: number
  readonly #line = new Window()
  /** Bytes that were passed over, while looking for the end of a line; undefined inside a line. */
  #skipped: number | undefined = 0
  #last = 0

  constructor(end: LineEnd, maxBytes: number) {
    this.#end = end
    this.#maxBytes = maxBytes
    this.terminator = Buffer.from(terminators[end])
  }

  push(chunk: Buffer, to: FrameReceiver): void {
    for (const byte of chunk) {
      if (this.#ends(byte)) this.#finish(to)
      else if (this.#skipped !== undefined) this.#skip(to)
      else if (this.#line.length >= this.#maxBytes) this.#giveUp(to)
      else this.#line.push(byte)
      this.#last = byte
    }
  }

  reset(to: FrameReceiver): void {
    if (this.#line.length > 0) to.fault('incomplete', this.#line.length)
    this.#line.clear()
    this.#skipped = 0
    this.#last = 0
  }

  encode(payload: Buffer): Buffer {
    return payload
  }

  #ends(byte: number): boolean {
    switch (this.#end) {
      case 'cr':
        return byte === CR
      case 'lf':
        return byte === LF
      case 'crlf':
        return byte === LF && this.#last === CR
      default:
        return byte === CR || byte === LF
    }
  }

  #finish(to: FrameReceiver): void {
    // The CR of CR LF has been taken for a part of the line.
    const length = this.#line.length - (this.#end === 'crlf' ? 1 : 0)
    if (this.#skipped === undefined && length > 0) to.frame(this.#line.copy(0, length))
    this.#line.clear()
    this.#skipped = undefined
  }

  #giveUp(to: FrameReceiver): void {
    to.fault('too-long', this.#line.length + 1)
    this.#line.clear()
    this.#skipped = 0
  }

  // Told again and again, so that a wrong baud rate is seen.
  #skip(to: FrameReceiver): void {
    this.#skipped = (this.#skipped ?? 0) + 1
    if (this.#skipped < this.#maxBytes) return
    to.fault('too-long', this.#skipped)
    this.#skipped = 0
  }
}
