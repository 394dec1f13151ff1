// Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): a code byte n stands before n - 1 bytes that are not zero, and
// for a zero after them unless n is 255. Zero itself ends a packet.

const FULL = 0xff

/** Without the zero at the end. undefined when a code points beyond the end. */
export const cobsDecode = (encoded: Buffer): Buffer | undefined => {
  const decoded = Buffer.allocUnsafe(encoded.length)
  let length = 0
  for (let at = 0; at < encoded.length; ) {
    const code = encoded[at] ?? 0
    const next = at + code
    if (code === 0 || next > encoded.length) return undefined
    length += encoded.copy(decoded, length, at + 1, next)
    if (code !== FULL && next < encoded.length) decoded[length++] = 0
    at = next
  }
  return decoded.subarray(0, length)
}

/** With a zero before it, which ends what noise may have begun, and the one at its end. */
export const cobsEncode = (payload: Buffer): Buffer => {
  const bytes: number[] = [0, 0]
  let codeAt = 1
  let code = 1
  const finish = () => {
    bytes[codeAt] = code
    codeAt = bytes.length
    bytes.push(0)
    code = 1
  }
  payload.forEach((byte, index) => {
    if (byte !== 0) {
      bytes.push(byte)
      code++
    }
    if (byte === 0 || (code === FULL && index < payload.length - 1)) finish()
  })
  bytes[codeAt] = code
  bytes.push(0)
  return Buffer.from(bytes)
}
