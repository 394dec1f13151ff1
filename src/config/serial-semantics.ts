// What a schema cannot say about serial lines: ports that two sources want, framings that contradict themselves.

import { normalize } from 'node:path'
import type { Path } from './document.ts'
import { list, record } from './schema.ts'
import { parseSize } from './units.ts'
import { type Finding, pathText } from './validation.ts'

/** Sources whose `path` is a serial port. */
const SERIAL_TYPES = ['serial', 'modbus']
/** As the source has it where nothing is said. */
const DEFAULT_MAX_FRAME_BYTES = 16 * 1024

/** `value` is the configuration. */
export const serialFindings = (value: unknown): readonly Finding[] => {
  const sources = list(record(value)['sources']).map(record)
  const paths = sources.map(({ type, path }) =>
    SERIAL_TYPES.includes(String(type)) && typeof path === 'string' ? normalize(path) : undefined,
  )
  return sources.flatMap((source, index): Finding[] => {
    const path = paths[index]
    const earlier = path === undefined ? -1 : paths.indexOf(path)
    const at = ['sources', index, 'path']
    const taken =
      earlier < 0 || earlier === index
        ? []
        : [finding(at, `${pathText(at)} ${path} is already the port of sources[${earlier}]; one source reads a port`)]
    return [...taken, ...(source['type'] === 'serial' ? framingFindings(source, ['sources', index]) : [])]
  })
}

/** Of one source, or the section `serial` of a profile, which stands at `at`. */
export const framingFindings = (settings: unknown, at: Path): readonly Finding[] => {
  const { framing, maxFrameBytes } = record(settings)
  const { type, length, trailing, through, start, end } = record(framing)
  if (type === 'delimiter' && trailing !== undefined && through !== undefined)
    return [finding([...at, 'framing'], `${pathText([...at, 'framing'])} has both trailing and through; keep one`)]
  const maxBytes = typeof maxFrameBytes === 'string' ? parseSize(maxFrameBytes) : DEFAULT_MAX_FRAME_BYTES
  if (type !== 'fixed' || typeof length !== 'number') return []
  const path = [...at, 'framing', 'length']
  const known = byteCount(start) + byteCount(end)
  // Such frames would never come, and everything would be noise.
  if (length < known)
    return [finding(path, `${pathText(path)} is shorter than start and end together (${known} bytes)`)]
  if (maxBytes === undefined || length <= maxBytes) return []
  return [finding(path, `${pathText(path)} is longer than maxFrameBytes (${maxBytes} bytes)`)]
}

/** Of a text with one byte to a character, or hexadecimal digits. */
const byteCount = (text: unknown): number => {
  if (typeof text === 'string') return text.length
  const { hex } = record(text)
  return typeof hex === 'string' ? hex.replaceAll(/\s/g, '').length / 2 : 0
}

const finding = (path: Path, message: string): Finding => ({ path, at: 'value', message })
