// Frames that begin with known bytes and whose length is known: fixed, or told by a field near the start. Every place where the
// start stands is a candidate; one whose length or end is wrong gives way to the next, which may begin inside it. Each byte is
// looked at a constant number of times, whatever comes.

import { type FrameFault, type FrameReceiver, type Framing, NO_BYTES } from './framing.ts'
import { Matcher } from './matcher.ts'
import { Window } from './window.ts'

export interface MeasuredSettings {
  readonly start: Buffer
  readonly end: Buffer
  /** How many bytes must be there before the length is known. */
  readonly headerBytes: number
  /** Bytes of the whole frame whose first byte is the first of the window. */
  readonly measure: (window: Window) => number
  readonly maxBytes: number
  readonly gapMs: number | undefined
}

export class MeasuredFraming implements Framing {
  readonly terminator = NO_BYTES
  readonly gapMs?: number
  readonly #settings: MeasuredSettings
  readonly #start: Matcher
  /** Begins with the first candidate; empty where there is none. */
  readonly #window = new Window()
  /** Positions of candidates in the stream, ascending; those before #next are done with. */
  #candidates: number[] = []
  #next = 0
  /** Length of the first candidate, once known. */
  #total: number | undefined
  #position = 0
  /** Up to here everything was a frame, or has been told as a fault. */
  #settled = 0
  #rejected = false
  /** There was a frame since the line was opened: what is between frames is a fault from then on. */
  #synced = false

  constructor(settings: MeasuredSettings) {
    this.#settings = settings
    this.#start = new Matcher(settings.start)
    if (settings.gapMs !== undefined) this.gapMs = settings.gapMs
  }

  push(chunk: Buffer, to: FrameReceiver): void {
    for (const byte of chunk) {
      this.#position++
      if (this.#window.length > 0) this.#window.push(byte)
      if (this.#start.step(byte)) this.#addCandidate()
      if (this.#window.length > 0) this.#examine(to)
      else if (this.#position - this.#settled >= this.#settings.maxBytes + this.#settings.start.length)
        this.#tellBefore(this.#position - this.#start.matched, to, true)
    }
  }

  pause(to: FrameReceiver): void {
    if (this.#window.length > 0) this.#giveUp(to)
  }

  reset(to: FrameReceiver): void {
    if (this.#window.length > 0) this.#giveUp(to)
    this.#start.reset()
    this.#settled = this.#position
    this.#rejected = false
    this.#synced = false
  }

  encode(payload: Buffer): Buffer {
    return payload
  }

  get #first(): number | undefined {
    return this.#candidates[this.#next]
  }

  #addCandidate(): void {
    const { start } = this.#settings
    if (this.#window.length === 0) this.#window.pushAll(start)
    this.#candidates.push(this.#position - start.length)
  }

  // Is the first candidate a frame by now, or none? In the second case, the next one?
  #examine(to: FrameReceiver): void {
    const { headerBytes, measure, maxBytes, end } = this.#settings
    for (;;) {
      const { length } = this.#window
      if (length === 0 || length < headerBytes) return
      this.#total ??= measure(this.#window)
      const total = this.#total
      const possible = total >= Math.max(headerBytes, this.#settings.start.length) && total <= maxBytes
      if (possible && length < total) return
      if (possible && this.#endsWith(end, total)) {
        this.#emit(total, to)
        return
      }
      this.#reject(to)
    }
  }

  #endsWith(end: Buffer, total: number): boolean {
    for (let index = 0; index < end.length; index++)
      if (this.#window.at(total - end.length + index) !== end[index]) return false
    return true
  }

  #emit(total: number, to: FrameReceiver): void {
    this.#tellBefore(this.#first ?? 0, to, this.#synced)
    to.frame(this.#window.copy(0, total))
    this.#synced = true
    this.#settled = this.#position
    this.#forget()
  }

  #reject(to: FrameReceiver): void {
    const rejected = this.#first ?? 0
    this.#next++
    this.#total = undefined
    this.#rejected = true
    const following = this.#first
    if (following === undefined) {
      this.#window.clear()
      this.#candidates = []
      this.#next = 0
    } else this.#window.drop(following - rejected)
    // The list of those that are done with stays short, and is cut at a cost that each of them has paid for.
    if (this.#next > 64 && this.#next * 2 > this.#candidates.length) {
      this.#candidates = this.#candidates.slice(this.#next)
      this.#next = 0
    }
    const before = following ?? this.#position - this.#start.matched
    if (before - this.#settled >= this.#settings.maxBytes) this.#tellBefore(before, to, true)
  }

  #giveUp(to: FrameReceiver): void {
    this.#tellBefore(this.#first ?? 0, to, this.#synced)
    to.fault('incomplete', this.#window.length)
    this.#settled = this.#position
    this.#forget()
  }

  #forget(): void {
    this.#window.clear()
    this.#candidates = []
    this.#next = 0
    this.#total = undefined
    this.#start.reset()
  }

  #tellBefore(position: number, to: FrameReceiver, isFault: boolean): void {
    const count = position - this.#settled
    const reason: FrameFault = this.#rejected ? 'malformed' : 'noise'
    if (isFault && count > 0) to.fault(reason, count)
    this.#settled = position
    this.#rejected = false
  }
}
