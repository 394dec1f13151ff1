// All open WebSockets and event streams: how many there are, how many bytes wait in their sockets altogether, a heartbeat for
// each, and an end for those that stall.

import type { Meter } from '../core/contract.ts'
import type { ApiLimits } from './options.ts'

/** A stream with more than this in its socket has enough to do. */
export const HIGH_WATER_BYTES = 64 * 1024

export interface Stream {
  /** Called at intervals: shows that we are there, and looks whether the client is. */
  heartbeat(): void
  /** Says goodbye. */
  close(): void
  /** Cuts the connection. */
  destroy(): void
}

export class Streams {
  readonly #limits: ApiLimits
  readonly #meter: Meter
  readonly #open = new Set<Stream>()
  #timer: NodeJS.Timeout | undefined
  #bufferedBytes = 0

  constructor(limits: ApiLimits, meter: Meter) {
    this.#limits = limits
    this.#meter = meter
  }

  get count(): number {
    return this.#open.size
  }

  get full(): boolean {
    return this.#open.size >= this.#limits.streams
  }

  add(stream: Stream): void {
    this.#open.add(stream)
    this.#timer ??= setInterval(() => this.#beat(), this.#limits.heartbeatMs)
  }

  remove(stream: Stream): void {
    this.#open.delete(stream)
    if (this.#open.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** A socket's buffer has grown or shrunk. */
  buffered(changeBytes: number): void {
    this.#bufferedBytes += changeBytes
  }

  /** How much a large message may hold now. */
  get roomBytes(): number {
    return Math.max(HIGH_WATER_BYTES, this.#limits.bufferBytes - this.#bufferedBytes)
  }

  /** Cuts a stream whose client takes nothing, or says nothing, any more. */
  stalled(stream: Stream): void {
    this.#meter.add('api_stalled_streams_total')
    stream.destroy()
  }

  close(): void {
    for (const stream of this.#open) stream.close()
  }

  destroy(): void {
    for (const stream of this.#open) stream.destroy()
  }

  #beat(): void {
    this.#meter.set('api_buffered_bytes', this.#bufferedBytes)
    for (const stream of this.#open) stream.heartbeat()
  }
}
