// What the dialects of lines (csv, pairs, regex) have in common: options, and their text in lines.

import type { UnixMs } from '../core/contract.ts'
import { DecodeError } from '../core/errors.ts'
import type { TimeFormat } from '../core/profile.ts'
import { shownFault } from './limits.ts'
import { payloadText, type TextEncoding } from './payload.ts'
import type { DecimalMark, TextValueOptions } from './text-values.ts'
import { payloadTime } from './time-field.ts'

export interface LineOptions {
  readonly decimal: DecimalMark
  readonly encoding: TextEncoding
  /** Names whose values stay text. */
  readonly text: readonly string[]
  /** Texts that mean "no value": no reading, and no fault. */
  readonly missing: readonly string[]
  /** Lines that start so are none. */
  readonly comment?: string
  /** The column, label or group that is the time, and not a reading. */
  readonly time?: { readonly name: string; readonly format: TimeFormat }
}

export const lineOptionsSchema = {
  decimal: {
    enum: ['.', ',', 'auto'],
    default: 'auto',
    description: 'Decimal mark; the other one separates thousands. auto: either',
  },
  encoding: { enum: ['utf-8', 'latin-1'], default: 'utf-8', description: 'Of the payload' },
  text: {
    type: 'array',
    items: { type: 'string', minLength: 1 },
    default: [],
    description: 'Names whose values are text even where they look like numbers',
  },
  missing: {
    type: 'array',
    items: { type: 'string', minLength: 1 },
    default: [],
    description: 'Texts that mean "no value"',
  },
  comment: { type: 'string', minLength: 1, maxLength: 16, description: 'Lines that start so are skipped' },
  time: {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'format'],
    properties: {
      name: { type: 'string', minLength: 1, description: 'Which value is the time' },
      format: { enum: ['unix', 'unix-ms', 'iso8601', 'any'] },
    },
  },
} as const

export const valueOptions = ({ decimal, text, missing }: LineOptions): TextValueOptions => ({
  decimal,
  text: new Set(text),
  missing: new Set(missing),
})

/** A payload with more lines is a file. */
const MAX_LINES = 10_000

/** Lines that are neither empty nor comments. Throws DecodeError. */
export const payloadLines = (payload: Buffer, { encoding, comment }: LineOptions): readonly string[] => {
  const lines = payloadText(payload, encoding).split(/\r\n|\n|\r/, MAX_LINES + 1)
  if (lines.length > MAX_LINES) throw new DecodeError(`the payload has more than ${MAX_LINES} lines`)
  return lines.filter((line) => line.trim() !== '' && (comment === undefined || !line.startsWith(comment)))
}

/** The time that a line states, where it can be trusted. */
export const lineTime = (text: string | undefined, { time }: LineOptions): UnixMs | undefined =>
  time === undefined || text === undefined ? undefined : payloadTime(text.trim(), time.format)

/** Control characters are no text: another baud rate, another dialect. */
export const checkText = (line: string): void => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(line))
    throw new DecodeError(shownFault('the payload is binary: it contains control characters'))
}
