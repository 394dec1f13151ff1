// Which bytes answer a request. Modbus RTU has no transaction numbers: what does not fit unit, function and length of the
// request, or does not repeat what was written, is no answer to it, whoever sent it.

import { modbusCrc } from '../../core/modbus.ts'

export const CRC_BYTES = 2
const EXCEPTION_FLAG = 0x80
const EXCEPTION_BYTES = 5
/** Bytes of the answer to a write, CRC included. */
const WRITTEN_BYTES = 8
/** Functions 1 and 2 read bits, 3 and 4 registers; from 5 on they write. */
const LAST_BIT_READ = 2
const FIRST_WRITE = 5

/** `answer`: so many bytes are it. `more`: it may be, when more comes. `no`: never. */
export type Match = { readonly answer: number } | 'more' | 'no'

/** Whether an answer begins at `start`. The request and the bytes are RTU frames: unit, function, data, CRC. */
export const matchAnswer = (request: Buffer, bytes: Buffer, start: number): Match => {
  const available = bytes.length - start
  if (available < 1) return 'more'
  if (bytes[start] !== request[0]) return 'no'
  if (available < 2) return 'more'
  const requested = request[1] ?? 0
  const code = bytes[start + 1]
  if (code === (requested | EXCEPTION_FLAG)) return checked(bytes, start, EXCEPTION_BYTES)
  if (code !== requested) return 'no'
  if (requested >= FIRST_WRITE) {
    // The answer to a write repeats address and value, or address and number (6.5, 6.6, 6.11, 6.12).
    for (let index = 2; index < WRITTEN_BYTES - CRC_BYTES && index < available; index++)
      if (bytes[start + index] !== request[index]) return 'no'
    return checked(bytes, start, WRITTEN_BYTES)
  }
  if (available < 3) return 'more'
  const count = request.readUInt16BE(4)
  const dataBytes = requested <= LAST_BIT_READ ? Math.ceil(count / 8) : 2 * count
  return bytes[start + 2] === dataBytes ? checked(bytes, start, 3 + dataBytes + CRC_BYTES) : 'no'
}

const checked = (bytes: Buffer, start: number, length: number): Match => {
  if (bytes.length - start < length) return 'more'
  const end = start + length - CRC_BYTES
  return modbusCrc(bytes, start, end) === bytes.readUInt16LE(end) ? { answer: length } : 'no'
}
