// Frames between marks that their encoding keeps out of them: SLIP (RFC 1055) and COBS (Cheshire and Baker, 1999). A frame is
// what was encoded. What comes before the first mark after opening may be half a frame, and is discarded.

import { cobsDecode, cobsEncode } from './cobs.ts'
import { type FrameReceiver, type Framing, NO_BYTES } from './framing.ts'
import { SLIP_END, slipDecode, slipEncode } from './slip.ts'
import { Window } from './window.ts'

interface Encoding {
  readonly mark: number
  /** undefined: malformed. */
  readonly decode: (encoded: Buffer) => Buffer | undefined
  /** With its marks. */
  readonly encode: (payload: Buffer) => Buffer
}

export const slip: Encoding = { mark: SLIP_END, decode: slipDecode, encode: slipEncode }
export const cobs: Encoding = { mark: 0, decode: cobsDecode, encode: cobsEncode }

export class EncodedFraming implements Framing {
  readonly terminator = NO_BYTES
  readonly #encoding: Encoding
  readonly #maxBytes: number
  readonly #encoded = new Window()
  /** Bytes that were passed over, while looking for a mark; undefined inside a frame. */
  #skipped: number | undefined = 0

  /** `maxBytes` counts the frame; encoded it may be longer. */
  constructor(encoding: Encoding, maxBytes: number) {
    this.#encoding = encoding
    this.#maxBytes = maxBytes
  }

  push(chunk: Buffer, to: FrameReceiver): void {
    for (const byte of chunk) {
      if (byte === this.#encoding.mark) this.#finish(to)
      else if (this.#skipped !== undefined) this.#skip(to)
      // SLIP doubles a byte at most; COBS adds one in 254.
      else if (this.#encoded.length >= 2 * this.#maxBytes) this.#giveUp(to)
      else this.#encoded.push(byte)
    }
  }

  reset(to: FrameReceiver): void {
    if (this.#encoded.length > 0) to.fault('incomplete', this.#encoded.length)
    this.#encoded.clear()
    this.#skipped = 0
  }

  encode(payload: Buffer): Buffer {
    return this.#encoding.encode(payload)
  }

  #finish(to: FrameReceiver): void {
    // Two marks in a row are no empty frame (RFC 1055: an END is sent first, to flush line noise).
    if (this.#skipped === undefined && this.#encoded.length > 0) this.#decode(this.#encoded.copy(), to)
    this.#encoded.clear()
    this.#skipped = undefined
  }

  #decode(encoded: Buffer, to: FrameReceiver): void {
    const frame = this.#encoding.decode(encoded)
    if (frame === undefined) to.fault('malformed', encoded.length)
    else if (frame.length > this.#maxBytes) to.fault('too-long', frame.length)
    else if (frame.length > 0) to.frame(frame)
  }

  #giveUp(to: FrameReceiver): void {
    to.fault('too-long', this.#encoded.length + 1)
    this.#encoded.clear()
    this.#skipped = 0
  }

  #skip(to: FrameReceiver): void {
    this.#skipped = (this.#skipped ?? 0) + 1
    if (this.#skipped < 2 * this.#maxBytes) return
    to.fault('too-long', this.#skipped)
    this.#skipped = 0
  }
}
