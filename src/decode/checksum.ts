// Checksums of frames, by the names under which the catalogue of parametrised CRC algorithms and the makers of sensors know
// them. Each is a function over bytes start…end (end excluded); no copy is made. The numbers are not negative.

/** `sum8-negated` is what makes the sum of all bytes, itself included, zero. */
export type ChecksumName = keyof typeof algorithms

export interface Checksum {
  readonly sizeBytes: 1 | 2 | 4
  of(bytes: Uint8Array, start?: number, end?: number): number
}

interface CrcParameters {
  readonly bits: 8 | 16 | 32
  readonly polynomial: number
  readonly initial: number
  /** Lowest bit first. */
  readonly reflected: boolean
  readonly xorOut: number
}

const sum = (bytes: Uint8Array, start: number, end: number): number => {
  let total = 0
  for (let index = start; index < end; index++) total += bytes[index] ?? 0
  return total
}

const xor = (bytes: Uint8Array, start: number, end: number): number => {
  let total = 0
  for (let index = start; index < end; index++) total ^= bytes[index] ?? 0
  return total
}

const simple = (sizeBytes: 1 | 2, compute: typeof sum): Checksum => ({
  sizeBytes,
  of: (bytes, start = 0, end = bytes.length) => compute(bytes, start, end),
})

const crc = ({ bits, polynomial, initial, reflected, xorOut }: CrcParameters): Checksum => {
  const table = new Uint32Array(256)
  const top = 2 ** (bits - 1)
  for (let index = 0; index < 256; index++) {
    let value = reflected ? index : index << (bits - 8)
    for (let bit = 0; bit < 8; bit++) {
      if (reflected) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
      else value = value & top ? (value << 1) ^ polynomial : value << 1
    }
    table[index] = value
  }
  const mask = bits === 32 ? 0xffff_ffff : 2 ** bits - 1
  const of = (bytes: Uint8Array, start = 0, end = bytes.length): number => {
    let value = initial
    for (let index = start; index < end; index++) {
      const byte = bytes[index] ?? 0
      value = reflected
        ? (value >>> 8) ^ (table[(value ^ byte) & 0xff] ?? 0)
        : (value << 8) ^ (table[((value >>> (bits - 8)) ^ byte) & 0xff] ?? 0)
    }
    return ((value ^ xorOut) & mask) >>> 0
  }
  return { sizeBytes: (bits / 8) as 1 | 2 | 4, of }
}

const algorithms = {
  sum8: simple(1, (bytes, start, end) => sum(bytes, start, end) & 0xff),
  'sum8-negated': simple(1, (bytes, start, end) => -sum(bytes, start, end) & 0xff),
  xor8: simple(1, xor),
  sum16: simple(2, (bytes, start, end) => sum(bytes, start, end) & 0xffff),
  /** CRC-8/SMBUS. */
  crc8: crc({ bits: 8, polynomial: 0x07, initial: 0, reflected: false, xorOut: 0 }),
  /** CRC-8/MAXIM-DOW: 1-Wire. */
  'crc8-maxim': crc({ bits: 8, polynomial: 0x8c, initial: 0, reflected: true, xorOut: 0 }),
  /** CRC-8/NRSC-5: Sensirion sensors. */
  'crc8-sensirion': crc({ bits: 8, polynomial: 0x31, initial: 0xff, reflected: false, xorOut: 0 }),
  /** CRC-16/ARC: DSMR P1. */
  'crc16-arc': crc({ bits: 16, polynomial: 0xa001, initial: 0, reflected: true, xorOut: 0 }),
  'crc16-modbus': crc({ bits: 16, polynomial: 0xa001, initial: 0xffff, reflected: true, xorOut: 0 }),
  /** CRC-16/CCITT-FALSE, also known as IBM-3740. */
  'crc16-ccitt': crc({ bits: 16, polynomial: 0x1021, initial: 0xffff, reflected: false, xorOut: 0 }),
  'crc16-xmodem': crc({ bits: 16, polynomial: 0x1021, initial: 0, reflected: false, xorOut: 0 }),
  'crc16-kermit': crc({ bits: 16, polynomial: 0x8408, initial: 0, reflected: true, xorOut: 0 }),
  /** CRC-16/IBM-SDLC: HDLC, SML. */
  'crc16-x25': crc({ bits: 16, polynomial: 0x8408, initial: 0xffff, reflected: true, xorOut: 0xffff }),
  /** CRC-32/ISO-HDLC: zip, Ethernet. */
  crc32: crc({ bits: 32, polynomial: 0xedb8_8320, initial: 0xffff_ffff, reflected: true, xorOut: 0xffff_ffff }),
} as const satisfies Readonly<Record<string, Checksum>>

export const checksums: Readonly<Record<ChecksumName, Checksum>> = algorithms

/** For schemas. */
export const CHECKSUM_NAMES = Object.keys(algorithms) as readonly ChecksumName[]
