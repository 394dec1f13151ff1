// A frame is what comes without a gap in time. The first after opening counts only when the line was quiet for as long before.

import { type FrameReceiver, type Framing, NO_BYTES } from './framing.ts'
import { Window } from './window.ts'

type State = 'unproven' | 'between' | 'inside' | 'skipping'

export class IdleFraming implements Framing {
  readonly terminator = NO_BYTES
  readonly gapMs: number
  readonly #maxBytes: number
  readonly #frame = new Window()
  #state: State = 'unproven'

  constructor(gapMs: number, maxBytes: number) {
    this.gapMs = gapMs
    this.#maxBytes = maxBytes
  }

  push(chunk: Buffer, to: FrameReceiver): void {
    if (chunk.length === 0 || this.#state === 'unproven' || this.#state === 'skipping') return
    this.#state = 'inside'
    if (this.#frame.length + chunk.length <= this.#maxBytes) this.#frame.pushAll(chunk)
    else {
      to.fault('too-long', this.#frame.length + chunk.length)
      this.#frame.clear()
      this.#state = 'skipping'
    }
  }

  pause(to: FrameReceiver): void {
    if (this.#state === 'inside') to.frame(this.#frame.copy())
    this.#frame.clear()
    this.#state = 'between'
  }

  reset(to: FrameReceiver): void {
    if (this.#frame.length > 0) to.fault('incomplete', this.#frame.length)
    this.#frame.clear()
    this.#state = 'unproven'
  }

  encode(payload: Buffer): Buffer {
    return payload
  }
}
