// Numbers and texts as bytes: little endian, unsigned, variable length where most are small.

/** Longest varint: seven bits a byte, 53 bits. */
export const MAX_VARINT_BYTES = 8
const TWO_32 = 2 ** 32

/** Writes an integer of 0 to 2^53 - 1 in as few bytes as it needs; returns the position behind it. */
export const writeVarint = (bytes: Buffer, at: number, value: number): number => {
  let position = at
  let rest = value
  while (rest >= 0x80) {
    // `| 0x80` would cut the value to 32 bits; the low byte of it is all that is kept.
    bytes[position++] = (rest % 0x80) | 0x80
    rest = rest < TWO_32 ? rest >>> 7 : Math.floor(rest / 0x80)
  }
  bytes[position++] = rest
  return position
}

/** An integer of either sign as one of none, small ones small. */
export const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value)

export const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2)

export const varintBytes = (value: number): number => {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}

/** Writes an integer of 0 to 2^53 - 1 in eight bytes. */
export const writeUint53 = (bytes: Buffer, at: number, value: number): void => {
  bytes.writeUInt32LE(value % TWO_32, at)
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4)
}

/** Damaged bytes may give an unsafe integer; whoever reads them has checked a CRC first. */
export const readUint53 = (bytes: Buffer, at: number): number =>
  bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32

/** Reads from bytes whose CRC was right. What does not parse all the same throws a RangeError, and is treated as damage. */
export class ByteReader {
  readonly bytes: Buffer
  readonly end: number
  position: number

  constructor(bytes: Buffer, position: number, end: number) {
    this.bytes = bytes
    this.position = position
    this.end = end
  }

  varint(): number {
    let byte = this.byte()
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    let factor = 0x80
    do {
      byte = this.byte()
      value += (byte & 0x7f) * factor
      factor *= 0x80
    } while (byte >= 0x80)
    if (!Number.isSafeInteger(value)) throw new RangeError('a number is too large')
    return value
  }

  byte(): number {
    if (this.position >= this.end) throw new RangeError('the bytes end too early')
    return this.bytes[this.position++] as number
  }

  /** Where `length` bytes begin; the position moves behind them. */
  take(length: number): number {
    const start = this.position
    if (length > this.end - start) throw new RangeError('the bytes end too early')
    this.position = start + length
    return start
  }

  text(): string {
    const length = this.varint()
    const start = this.take(length)
    return this.bytes.toString('utf8', start, start + length)
  }

  uint53(): number {
    return readUint53(this.bytes, this.take(8))
  }

  uint32(): number {
    return this.bytes.readUInt32LE(this.take(4))
  }
}
