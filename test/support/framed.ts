// A recorded stream cut into messages as a serial source would, by the framing that a built-in profile states.

import { createFraming } from '../../src/sources/serial/framings.ts'
import { profiles } from './profiles.ts'

/** Bytes arrive in portions that respect nothing. */
const PORTION_BYTES = 61
/** Longer than any frame of the recordings. */
const MAX_FRAME_BYTES = 4_096

export interface Framed {
  readonly frames: readonly Buffer[]
  readonly faults: readonly string[]
}

export const framedBy = (profile: string, bytes: Buffer): Framed => {
  const settings = profiles.find(({ name }) => name === profile)?.serial?.framing
  if (settings === undefined) throw new Error(`profile ${profile} states no framing`)
  const framing = createFraming(settings, MAX_FRAME_BYTES)
  const frames: Buffer[] = []
  const faults: string[] = []
  const to = {
    frame: (frame: Buffer) => frames.push(frame),
    fault: (reason: string) => faults.push(reason),
  }
  for (let at = 0; at < bytes.length; at += PORTION_BYTES) framing.push(bytes.subarray(at, at + PORTION_BYTES), to)
  return { frames, faults }
}
