// SLIP (RFC 1055): END ends a packet; inside, END and ESC are written as ESC ESC_END and ESC ESC_ESC.

export const SLIP_END = 0xc0
const ESC = 0xdb
const ESC_END = 0xdc
const ESC_ESC = 0xdd

/** Without the END. undefined when ESC stands before anything else: a byte has changed on the way. */
export const slipDecode = (encoded: Buffer): Buffer | undefined => {
  const decoded = Buffer.allocUnsafe(encoded.length)
  let length = 0
  let escaped = false
  for (const byte of encoded) {
    if (escaped) {
      if (byte !== ESC_END && byte !== ESC_ESC) return undefined
      decoded[length++] = byte === ESC_END ? SLIP_END : ESC
      escaped = false
    } else if (byte === ESC) escaped = true
    else decoded[length++] = byte
  }
  return escaped ? undefined : decoded.subarray(0, length)
}

/** With an END before it, which ends what noise may have begun. */
export const slipEncode = (payload: Buffer): Buffer => {
  const bytes: number[] = [SLIP_END]
  for (const byte of payload) {
    if (byte === SLIP_END) bytes.push(ESC, ESC_END)
    else if (byte === ESC) bytes.push(ESC, ESC_ESC)
    else bytes.push(byte)
  }
  bytes.push(SLIP_END)
  return Buffer.from(bytes)
}
