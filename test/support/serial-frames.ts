// What a framing makes of bytes, in whatever portions they come.

import type { FrameFault, Framing } from '../../src/sources/serial/framing.ts'

export interface Framed {
  readonly frames: Buffer[]
  readonly faults: { readonly reason: FrameFault; readonly sizeBytes: number }[]
}

/** Pushes the bytes in chunks of these sizes, again and again; in one where there are none. */
export const frame = (framing: Framing, bytes: Buffer, sizes: readonly number[] = []): Framed => {
  const framed: Framed = { frames: [], faults: [] }
  const to = {
    frame: (found: Buffer) => void framed.frames.push(found),
    fault: (reason: FrameFault, sizeBytes: number) => void framed.faults.push({ reason, sizeBytes }),
  }
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes.length === 0 ? bytes.length : Math.max(1, sizes[turn % sizes.length] ?? 1)
    // A buffer that is used again for the next bytes, as a port does.
    const chunk = Buffer.from(bytes.subarray(at, at + size))
    framing.push(chunk, to)
    chunk.fill(0xee)
    at += size
  }
  return framed
}

export const texts = ({ frames }: Framed): string[] => frames.map((found) => found.toString('latin1'))
