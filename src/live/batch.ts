// Readings on their way to clients: their JSON text, and whole frames, are written once however many clients get them.

import type { Seq } from '../core/contract.ts'
import { firstNewer, type LiveReading } from './reading.ts'

export class Batch {
  /** Everything that matches up to this seq has been seen by whoever takes this batch. */
  readonly seq: Seq
  /** Ascending by seq. */
  readonly readings: readonly LiveReading[]
  #text: string | undefined
  readonly #frames = new Map<string, Buffer>()

  constructor(seq: Seq, readings: readonly LiveReading[]) {
    this.seq = seq
    this.readings = readings
  }

  /** This batch without what is not newer than `after`; usually this batch itself. */
  newerThan(after: Seq): Batch {
    const start = firstNewer(this.readings, after)
    return start === 0 ? this : new Batch(this.seq, this.readings.slice(start))
  }

  /** The readings as a JSON array. */
  get text(): string {
    this.#text ??= jsonArray(this.readings)
    return this.#text
  }

  /** The text between `before` and `after` as bytes; the same bytes for everybody who asks for the same. */
  frame(before: string, after: string): Buffer {
    const key = before + after
    let frame = this.#frames.get(key)
    if (frame === undefined) {
      frame = Buffer.from(before + this.text + after)
      this.#frames.set(key, frame)
    }
    return frame
  }
}

export const jsonArray = (readings: readonly LiveReading[]): string => {
  let text = '['
  for (const reading of readings) text += text.length === 1 ? reading.json : `,${reading.json}`
  return `${text}]`
}
