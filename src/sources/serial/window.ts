// The bytes of the frame that is being read: grows as needed, up to what the framing lets in, and gives up bytes at its front
// at no cost.

const INITIAL_BYTES = 256

export class Window {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES)
  #from = 0
  #to = 0

  get length(): number {
    return this.#to - this.#from
  }

  push(byte: number): void {
    if (this.#to === this.#bytes.length) this.#makeRoom()
    this.#bytes[this.#to++] = byte
  }

  pushAll(bytes: Buffer): void {
    for (const byte of bytes) this.push(byte)
  }

  at(index: number): number {
    return this.#bytes[this.#from + index] ?? 0
  }

  drop(count: number): void {
    this.#from += count
    if (this.#from === this.#to) this.clear()
  }

  clear(): void {
    this.#from = 0
    this.#to = 0
  }

  /** A copy. */
  copy(from = 0, to = this.length): Buffer {
    return Buffer.from(this.#bytes.subarray(this.#from + from, this.#from + to))
  }

  readLength(offset: number, size: 1 | 2 | 4, endian: 'big' | 'little'): number {
    const at = this.#from + offset
    return endian === 'big' ? this.#bytes.readUIntBE(at, size) : this.#bytes.readUIntLE(at, size)
  }

  // Doubling, and moving only what is at most half: constant per byte in the mean.
  #makeRoom(): void {
    const { length } = this
    const target = length * 2 > this.#bytes.length ? Buffer.allocUnsafe(this.#bytes.length * 2) : this.#bytes
    this.#bytes.copy(target, 0, this.#from, this.#to)
    this.#bytes = target
    this.#from = 0
    this.#to = length
  }
}
