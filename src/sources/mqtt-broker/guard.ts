// Stands between a socket and aedes: cuts the bytes into packets, looks at each, and passes on whole, well-formed ones only.
// A packet that is too large is refused at the end of its fixed header. What is held of an unfinished packet never exceeds
// twice of what has arrived, nor the packet itself.

import { type ConnectPacket, isRefusal, readConnect } from './connect-packet.ts'
import { MAX_CONNECT_BYTES, MAX_SLICE_PACKETS } from './limits.ts'
import { CONNECT, DISCONNECT, PINGREQ, PUBLISH } from './packet.ts'
import { bodyFault, headerFault } from './packet-check.ts'
import type { Refusal } from './refusal.ts'

/** Where packets go, in the order in which they came. */
export interface GuardedPackets {
  /** The first packet, once. */
  connect(bytes: Buffer, connect: ConnectPacket): void
  /** Consecutive packets. `publishes` is the highest QoS of a PUBLISH among them, -1 when there is none. */
  packets(bytes: Buffer, count: number, publishes: number): void
  ping(bytes: Buffer): void
  disconnect(bytes: Buffer): void
}

/** A fixed header has at most five bytes ([MQTT 3.1.1, 2.2]). */
const MAX_HEADER_BYTES = 5
/** First piece of memory for an unfinished packet. */
const FIRST_PARTIAL_BYTES = 512

export class Guard {
  readonly #maxPacketBytes: number
  readonly #sink: GuardedPackets
  #connected = false
  #partial = Buffer.alloc(0)
  #partialBytes = 0
  /** Of the header read last. */
  #headerBytes = 0
  #packetBytes = 0

  constructor(maxPacketBytes: number, sink: GuardedPackets) {
    this.#maxPacketBytes = maxPacketBytes
    this.#sink = sink
  }

  /** Bytes of a packet that has not arrived in full. */
  get heldBytes(): number {
    return this.#partialBytes
  }

  /** Takes the next bytes of the stream; after a refusal there must be no further call. */
  take(chunk: Buffer): Refusal | undefined {
    let offset = 0
    if (this.#partialBytes > 0) {
      const result = this.#complete(chunk)
      if (typeof result !== 'number') return result
      offset = result
    }
    return this.#walk(chunk, offset)
  }

  #walk(chunk: Buffer, from: number): Refusal | undefined {
    let offset = from
    let runStart = from
    let runPackets = 0
    let publishes = -1
    while (offset < chunk.length) {
      const refusal = this.#readHeader(chunk, offset, chunk.length)
      if (refusal !== undefined) return refusal
      const end = offset + this.#packetBytes
      if (this.#packetBytes === 0 || end > chunk.length) break
      const first = chunk[offset] ?? 0
      const type = first >> 4
      if (type === CONNECT || type === PINGREQ || type === DISCONNECT) {
        if (runPackets > 0) this.#sink.packets(chunk.subarray(runStart, offset), runPackets, publishes)
        const alone = this.#passAlone(type, chunk, offset, end)
        if (alone !== undefined) return alone
        runStart = end
        runPackets = 0
        publishes = -1
      } else {
        const fault = bodyFault(first, chunk, offset + this.#headerBytes, end)
        if (fault !== undefined) return fault
        if (type === PUBLISH) publishes = Math.max(publishes, (first >> 1) & 3)
        if (++runPackets === MAX_SLICE_PACKETS) {
          this.#sink.packets(chunk.subarray(runStart, end), runPackets, publishes)
          runStart = end
          runPackets = 0
          publishes = -1
        }
      }
      offset = end
    }
    if (runPackets > 0) this.#sink.packets(chunk.subarray(runStart, offset), runPackets, publishes)
    if (offset < chunk.length) this.#stash(chunk, offset, chunk.length)
    return undefined
  }

  /** Fills up the packet that began in an earlier chunk. Returns how much of this one it took, or a refusal. */
  #complete(chunk: Buffer): number | Refusal {
    let taken = 0
    for (;;) {
      const refusal = this.#readHeader(this.#partial, 0, this.#partialBytes)
      if (refusal !== undefined) return refusal
      if (this.#packetBytes > 0 && this.#partialBytes === this.#packetBytes) break
      if (taken === chunk.length) return taken
      const wanted = this.#packetBytes === 0 ? 1 : this.#packetBytes - this.#partialBytes
      const end = Math.min(chunk.length, taken + wanted)
      this.#stash(chunk, taken, end)
      taken = end
    }
    const packet = this.#partial.subarray(0, this.#partialBytes)
    this.#partial = Buffer.alloc(0)
    this.#partialBytes = 0
    return this.#walk(packet, 0) ?? taken
  }

  #stash(chunk: Buffer, start: number, end: number): void {
    const needed = this.#partialBytes + end - start
    if (needed > this.#partial.length) {
      const doubled = Math.max(FIRST_PARTIAL_BYTES, 2 * needed)
      const larger = Buffer.allocUnsafeSlow(this.#packetBytes === 0 ? doubled : Math.min(doubled, this.#packetBytes))
      this.#partial.copy(larger, 0, 0, this.#partialBytes)
      this.#partial = larger
    }
    chunk.copy(this.#partial, this.#partialBytes, start, end)
    this.#partialBytes = needed
  }

  /** Sets #headerBytes and #packetBytes; the latter is 0 while the header is unfinished. */
  #readHeader(bytes: Buffer, start: number, end: number): Refusal | undefined {
    const first = bytes[start] ?? 0
    this.#packetBytes = 0
    if (!this.#connected && first !== CONNECT << 4)
      return { reason: 'not-mqtt', detail: 'the first packet is not CONNECT' } // [MQTT-3.1.0-1]
    if (this.#connected && first >> 4 === CONNECT) return { reason: 'malformed', detail: 'a second CONNECT' } // [MQTT-3.1.0-2]
    let remaining = 0
    let unit = 1
    let offset = start + 1
    for (;;) {
      if (offset === end) return undefined
      const byte = bytes[offset] ?? 0
      remaining += (byte & 127) * unit
      unit *= 128
      offset++
      if (byte < 128) break
      if (offset - start === MAX_HEADER_BYTES)
        return { reason: 'malformed', detail: 'the remaining length is malformed' }
    }
    const fault = this.#connected ? headerFault(first, remaining, this.#maxPacketBytes) : connectFault(remaining)
    if (fault !== undefined) return fault
    this.#headerBytes = offset - start
    this.#packetBytes = this.#headerBytes + remaining
    return undefined
  }

  #passAlone(type: number, chunk: Buffer, start: number, end: number): Refusal | undefined {
    const packet = chunk.subarray(start, end)
    if (type === PINGREQ) this.#sink.ping(packet)
    else if (type === DISCONNECT) this.#sink.disconnect(packet)
    else {
      const result = readConnect(chunk, start + this.#headerBytes, end, this.#maxPacketBytes)
      if (isRefusal(result)) return result
      this.#connected = true
      this.#sink.connect(packet, result)
    }
    return undefined
  }
}

const connectFault = (remaining: number): Refusal | undefined =>
  remaining > MAX_CONNECT_BYTES
    ? { reason: 'packet-size', detail: `CONNECT of ${remaining} bytes, ${MAX_CONNECT_BYTES} are allowed` }
    : undefined
