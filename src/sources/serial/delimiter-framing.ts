// Frames between known bytes: an optional start, an end, and what belongs to the frame after the end (a checksum, the rest of
// the line). Without a start a frame begins where the one before it ended, and what comes before the first end is discarded.

import { AsideReader } from './aside-reader.ts'
import { type FrameReceiver, type Framing, NO_BYTES } from './framing.ts'
import { Matcher } from './matcher.ts'
import { Window } from './window.ts'

const LF = 0x0a

export interface DelimiterSettings {
  readonly start: Buffer | undefined
  readonly end: Buffer
  readonly trailing: number
  readonly throughLine: boolean
  readonly restart: boolean
  readonly aside: { readonly start: number; readonly end: Buffer } | undefined
  readonly strip: boolean
  readonly maxBytes: number
}

/** outside: before a start, or before the first end. after: behind the end, in what still belongs to the frame. */
type State = 'outside' | 'inside' | 'after'

export class DelimiterFraming implements Framing {
  readonly terminator = NO_BYTES
  readonly #settings: DelimiterSettings
  readonly #start: Matcher | undefined
  readonly #end: Matcher
  readonly #aside: AsideReader | undefined
  readonly #frame = new Window()
  #state: State = 'outside'
  /** Bytes that are no part of a frame. */
  #skipped = 0
  /** Of the frame, before what follows the end. */
  #bodyBytes = 0
  #synced = false

  constructor(settings: DelimiterSettings) {
    const { start, end, aside, maxBytes } = settings
    this.#settings = settings
    this.#start = start === undefined ? undefined : new Matcher(start)
    this.#end = new Matcher(end)
    this.#aside = aside === undefined ? undefined : new AsideReader(aside.start, aside.end, maxBytes)
  }

  push(chunk: Buffer, to: FrameReceiver): void {
    for (const byte of chunk) {
      if (this.#state !== 'after' && this.#aside?.take(byte, to) === true) continue
      if (this.#state === 'outside') this.#pass(byte, to)
      else this.#add(byte, to)
    }
  }

  reset(to: FrameReceiver): void {
    this.#aside?.reset(to)
    if (this.#frame.length > 0) to.fault('incomplete', this.#frame.length)
    this.#leave()
    this.#skipped = 0
    this.#synced = false
  }

  encode(payload: Buffer): Buffer {
    return payload
  }

  #pass(byte: number, to: FrameReceiver): void {
    const { maxBytes } = this.#settings
    this.#skipped++
    if (this.#start === undefined) {
      // The tail of a frame whose beginning is not known; what follows its end is a part of it.
      if (this.#end.step(byte)) this.#enterAfter(0, to)
      else if (this.#skipped >= maxBytes) this.#tellSkipped('too-long', to)
      return
    }
    if (this.#start.step(byte)) this.#begin(to)
    else if (this.#skipped >= maxBytes + this.#start.pattern.length) this.#tellSkipped('noise', to)
  }

  #begin(to: FrameReceiver): void {
    const start = this.#settings.start ?? NO_BYTES
    this.#skipped -= start.length
    if (this.#synced && this.#skipped > 0) to.fault('noise', this.#skipped)
    this.#skipped = 0
    this.#synced = true
    this.#enter(start)
  }

  #enter(start: Buffer): void {
    this.#frame.clear()
    this.#frame.pushAll(start)
    this.#end.reset()
    this.#start?.reset()
    this.#state = 'inside'
  }

  #add(byte: number, to: FrameReceiver): void {
    const { trailing, throughLine, maxBytes } = this.#settings
    // The rest of a frame that began before the opening is not kept, but bounded all the same.
    if (this.#frame.length >= maxBytes) {
      this.#giveUp(to)
      this.#pass(byte, to)
      return
    }
    this.#frame.push(byte)
    if (this.#state === 'inside') {
      if (this.#end.step(byte)) this.#enterAfter(this.#frame.length, to)
      else this.#restart(byte, to)
      return
    }
    const isComplete = throughLine ? byte === LF : this.#frame.length - this.#bodyBytes >= trailing
    if (isComplete) this.#finish(to)
  }

  #enterAfter(bodyBytes: number, to: FrameReceiver): void {
    const { start, end, trailing, throughLine } = this.#settings
    // Between two frames with the same mark on both sides, an end has been taken for a start.
    if (start?.equals(end) === true && bodyBytes === start.length + end.length) {
      this.#enter(start)
      return
    }
    this.#bodyBytes = bodyBytes
    this.#state = 'after'
    const endsInLine = throughLine && end.at(-1) === LF
    if (endsInLine || (trailing === 0 && !throughLine)) this.#finish(to)
  }

  #finish(to: FrameReceiver): void {
    const { start, end, strip } = this.#settings
    const isWhole = this.#synced
    const from = strip ? (start?.length ?? 0) : 0
    const until = strip ? this.#bodyBytes - end.length : this.#frame.length
    if (isWhole && until > from) to.frame(this.#frame.copy(from, until))
    this.#leave()
    this.#skipped = 0
    this.#synced = true
    if (start === undefined) this.#state = 'inside'
  }

  #restart(byte: number, to: FrameReceiver): void {
    const { restart, start } = this.#settings
    if (!restart || start === undefined || this.#start?.step(byte) !== true) return
    to.fault('incomplete', this.#frame.length - start.length)
    this.#enter(start)
  }

  // Without a start, the next frame is known to begin only behind the next end, which may have begun already.
  #giveUp(to: FrameReceiver): void {
    to.fault('too-long', this.#frame.length)
    this.#frame.clear()
    this.#start?.reset()
    this.#state = 'outside'
    this.#skipped = 0
    this.#synced = this.#settings.start !== undefined
  }

  #leave(): void {
    this.#frame.clear()
    this.#end.reset()
    this.#start?.reset()
    this.#state = 'outside'
  }

  #tellSkipped(reason: 'too-long' | 'noise', to: FrameReceiver): void {
    to.fault(reason, this.#skipped)
    this.#skipped = 0
  }
}
