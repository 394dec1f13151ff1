// Ruuvi's data in what carries it: alone, behind its manufacturer identifier, or in a whole Bluetooth advertisement.

/** Bluetooth assigned numbers: Ruuvi Innovations, least significant byte first. */
const RUUVI = Buffer.from([0x99, 0x04])
/** Core Specification Supplement, A.1.4. */
const MANUFACTURER_DATA = 0xff

/** By the first byte, how long the data are at least; undefined: no format of Ruuvi's. */
export type LengthOf = (format: number) => number | undefined

/** Format 3 is withdrawn, and begins as the advertisements of other makers often do (03 03 …). */
const WITHDRAWN = 0x03

/**
 * What Ruuvi's device says; `none`: this is the advertisement of another device; undefined: neither. `onAir`: the bytes are
 * what a gateway received, and so an advertisement.
 */
export const ruuviData = (bytes: Buffer, lengthOf: LengthOf, onAir: boolean): Buffer | 'none' | undefined => {
  const first = bytes[0] ?? 0
  const length = lengthOf(first)
  // Data of exactly the right length are rather data than structures that happen to fit.
  if (!onAir && length === bytes.length && first !== WITHDRAWN) return bytes
  if (lengthOf(bytes[2] ?? 0) !== undefined && bytes.subarray(0, 2).equals(RUUVI)) return bytes.subarray(2)
  const found = structures(bytes) ?? []
  const own = found.find((one) => one[0] === MANUFACTURER_DATA && one.subarray(1, 3).equals(RUUVI))
  if (own !== undefined) return own.subarray(3)
  // Data that were cut off may look like one structure; hardly like two.
  if (found.length > (onAir || length === undefined ? 0 : 1)) return 'none'
  // What is longer than its format is another thing that begins like it.
  return length === undefined || bytes.length > length ? undefined : bytes
}

/** Structures of length, type and data, to the end; zeros may fill it up. */
const structures = (bytes: Buffer): readonly Buffer[] | undefined => {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] ?? 0
    if (length === 0) return bytes.subarray(at).every((byte) => byte === 0) ? found : undefined
    if (at + 1 + length > bytes.length) return undefined
    found.push(bytes.subarray(at + 1, at + 1 + length))
    at += 1 + length
  }
  return found
}
