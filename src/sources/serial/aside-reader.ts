// What interrupts a frame at any place and is a frame of its own, such as the hex messages of VE.Direct between and inside its
// text blocks. Its start is one byte that frames do not hold otherwise.

import type { FrameReceiver } from './framing.ts'
import { Matcher } from './matcher.ts'
import { Window } from './window.ts'

export class AsideReader {
  readonly #start: number
  readonly #end: Matcher
  readonly #maxBytes: number
  readonly #aside = new Window()

  constructor(start: number, end: Buffer, maxBytes: number) {
    this.#start = start
    this.#end = new Matcher(end)
    this.#maxBytes = maxBytes
  }

  /** Whether the byte is a part of what interrupts, and so of nothing else. */
  take(byte: number, to: FrameReceiver): boolean {
    if (this.#aside.length === 0) {
      if (byte !== this.#start) return false
      this.#end.reset()
      this.#aside.push(byte)
      return true
    }
    this.#aside.push(byte)
    if (this.#end.step(byte)) {
      to.frame(this.#aside.copy())
      this.#aside.clear()
    } else if (this.#aside.length > this.#maxBytes) {
      to.fault('too-long', this.#aside.length)
      this.#aside.clear()
    }
    return true
  }

  reset(to: FrameReceiver): void {
    if (this.#aside.length > 0) to.fault('incomplete', this.#aside.length)
    this.#aside.clear()
  }
}
