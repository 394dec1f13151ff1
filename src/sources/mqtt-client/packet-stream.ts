// Cuts the bytes of a connection into MQTT Control Packets. A packet above the limit is passed over without being kept, and
// told; everything else comes out whole, in order, whatever the chunks were.

/** MQTT 2.2.3: the Remaining Length has at most four bytes. */
const MAX_LENGTH_BYTES = 4

export interface PacketStreamOptions {
  /** Largest packet, headers included. */
  readonly maxBytes: number
  /** A packet above the limit begins; `start` holds at least its head, up to the packet identifier of a PUBLISH. */
  readonly tooLarge: (start: Buffer, sizeBytes: number) => void
}

/** Fixed header, the longest topic, packet identifier. */
const HEAD_BYTES = 5 + 2 + 65_535 + 2

export class PacketStream {
  readonly #options: PacketStreamOptions
  #chunks: Buffer[] = []
  #held = 0
  /** Bytes of a packet that is too large and still to come. */
  #skipping = 0

  constructor(options: PacketStreamOptions) {
    this.#options = options
  }

  push(chunk: Buffer): void {
    const skipped = Math.min(this.#skipping, chunk.length)
    this.#skipping -= skipped
    if (skipped === chunk.length) return
    this.#chunks.push(skipped === 0 ? chunk : chunk.subarray(skipped))
    this.#held += chunk.length - skipped
  }

  /** The next whole packet, or undefined until more arrives. Throws RangeError when the bytes are no MQTT. */
  next(): Buffer | undefined {
    for (;;) {
      const sizeBytes = this.#sizeOfNext()
      if (sizeBytes === undefined) return undefined
      if (sizeBytes > this.#options.maxBytes) {
        if (this.#held < Math.min(sizeBytes, HEAD_BYTES)) return undefined
        this.#skip(sizeBytes)
        continue
      }
      return this.#held < sizeBytes ? undefined : this.#take(sizeBytes)
    }
  }

  #sizeOfNext(): number | undefined {
    let length = 0
    for (let index = 1; index <= MAX_LENGTH_BYTES; index++) {
      const byte = this.#byteAt(index)
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * 128 ** (index - 1)
      if (byte < 0x80) return 1 + index + length
    }
    throw new RangeError('the Remaining Length of a packet is malformed') // MQTT 2.2.3
  }

  #byteAt(index: number): number | undefined {
    let rest = index
    for (const chunk of this.#chunks) {
      if (rest < chunk.length) return chunk[rest]
      rest -= chunk.length
    }
    return undefined
  }

  #skip(sizeBytes: number): void {
    const here = Math.min(sizeBytes, this.#held)
    const bytes = this.#take(here)
    this.#skipping = sizeBytes - here
    this.#options.tooLarge(bytes.subarray(0, HEAD_BYTES), sizeBytes)
  }

  #take(count: number): Buffer {
    const [first] = this.#chunks
    this.#held -= count
    if (first !== undefined && first.length >= count) {
      if (first.length === count) this.#chunks.shift()
      else this.#chunks[0] = first.subarray(count)
      return first.subarray(0, count)
    }
    // Once a packet: the chunks that it spans are joined, and what is behind it stays one chunk.
    const all = Buffer.concat(this.#chunks)
    this.#chunks = all.length > count ? [all.subarray(count)] : []
    return all.subarray(0, count)
  }
}
