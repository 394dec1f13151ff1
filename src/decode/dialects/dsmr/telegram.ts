// P1 telegrams found in bytes and checked (DSMR 5.0.2 P1, 6.2): '/' and the identification, an empty line, data objects,
// '!' and from version 4 on the CRC over everything from '/' to '!'. What stands before, between and behind is named.

import { checksums } from '../../checksum.ts'

export interface Telegram {
  /** Its lines without the identification. */
  readonly lines: readonly string[]
}

export interface Telegrams {
  readonly telegrams: readonly Telegram[]
  readonly faults: readonly string[]
}

export type CrcCheck = 'by-version' | 'required' | 'ignored'

const CRC = /^[0-9A-Fa-f]{1,4}/
/** 1-3:0.2.8(42) is DSMR 4.2; Belgium states 0-0:96.1.4(50217). Both have a CRC. 2.2 states nothing and has none. */
const VERSION_WITH_CRC = /^(?:1-3:0\.2\.8\([4-9]|0-0:96\.1\.4\()/m

export const parseTelegrams = (payload: Buffer, check: CrcCheck): Telegrams => {
  const text = payload.toString('latin1')
  const telegrams: Telegram[] = []
  const faults: string[] = []
  let position = 0
  for (const { index: end } of text.matchAll(/^!/gm)) {
    const start = lastStart(text, position, end)
    if (start === undefined) faults.push('a telegram has no beginning')
    else {
      const strange = text.slice(position, start).trim().length
      if (strange > 0) faults.push(`${strange} bytes before the telegram are none of it`)
      const crc = CRC.exec(text.slice(end + 1, end + 5))?.[0]
      const fault = crcFault(payload, text, start, end, crc, check)
      if (fault === undefined)
        telegrams.push({
          lines: text
            .slice(start, end)
            .split(/\r?\n|\r/)
            .slice(1),
        })
      else faults.push(fault)
    }
    position = end + 1
    while (position < text.length && !isLineEnd(text.charCodeAt(position))) position++
  }
  const found = telegrams.length + faults.length > 0
  if (!found) faults.push('there is no telegram, or it is cut off')
  else if (text.slice(position).trim() !== '') faults.push('a telegram is cut off')
  return { telegrams, faults }
}

/** The last line that begins with '/': one that never ended may be before it. Looks no further back than `from`. */
const lastStart = (text: string, from: number, end: number): number | undefined => {
  const part = text.slice(from, end)
  for (let index = part.lastIndexOf('/'); index >= 0; index = index === 0 ? -1 : part.lastIndexOf('/', index - 1))
    if (from + index === 0 || isLineEnd(text.charCodeAt(from + index - 1))) return from + index
  return undefined
}

const isLineEnd = (code: number): boolean => code === 0x0a || code === 0x0d

const crcFault = (
  payload: Buffer,
  text: string,
  start: number,
  end: number,
  stated: string | undefined,
  check: CrcCheck,
): string | undefined => {
  if (check === 'ignored') return undefined
  const body = text.slice(start, end + 1)
  if (stated === undefined)
    return check === 'required' || VERSION_WITH_CRC.test(body) ? 'the CRC of the telegram is missing' : undefined
  // Some meters leave out leading zeros: !B9F stands for 0B9F.
  const expected = Number.parseInt(stated, 16)
  const actual = crc.of(payload, start, end + 1)
  if (actual === expected) return undefined
  // What read the line for us may have turned CRLF into LF.
  if (!body.includes('\r') && crc.of(Buffer.from(body.replaceAll('\n', '\r\n'), 'latin1')) === expected)
    return undefined
  return `the CRC of the telegram is ${stated}, but ${actual.toString(16).toUpperCase().padStart(4, '0')} would be right`
}

const crc = checksums['crc16-arc']
