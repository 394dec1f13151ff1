// What a framing promises: bytes in any portions give the same frames and faults in the same order (but for `idle` and `gap`,
// which look at time), in time linear in the bytes and memory bounded by the longest frame. What cannot be a frame is told
// as a fault, and the framing goes on with the next frame that it can find. Pure: clocks and ports are elsewhere.

/**
 * too-long: longer than maxFrameBytes. noise: bytes between frames. malformed: something that began like a frame and is none.
 * incomplete: cut off, by the line's end, by a gap, or by the start of the next one.
 */
export type FrameFault = 'too-long' | 'noise' | 'malformed' | 'incomplete'

export interface FrameReceiver {
  /** Its own copy of the bytes. */
  frame(bytes: Buffer): void
  fault(reason: FrameFault, sizeBytes: number): void
}

export interface Framing {
  /** Of the frame that has begun, nothing came for so long: call pause(). Absent: time means nothing. */
  readonly gapMs?: number
  push(chunk: Buffer, to: FrameReceiver): void
  pause?(to: FrameReceiver): void
  /** The line is gone: what has begun is given up, and what comes next may begin in the middle of a frame. */
  reset(to: FrameReceiver): void
  /** How a command is written, without its terminator. */
  encode(payload: Buffer): Buffer
  /** Sent after each command where the configuration does not say. */
  readonly terminator: Buffer
}

export const NO_BYTES: Buffer = Buffer.alloc(0)
