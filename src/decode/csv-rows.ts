// Comma-separated values to rows of cells (RFC 4180, and what devices make of it): in one pass, whatever the text is.

import { DecodeError } from '../core/errors.ts'

export interface CsvFormat {
  /** One character; a space stands for any run of spaces and tabs. Absent: the first line shows it. */
  readonly separator: string | undefined
  /** Lines that start so are none. */
  readonly comment: string | undefined
  /** Lines at the start that are no rows. */
  readonly skipLines: number
}

/** A payload with more is a file. */
const MAX_CELLS = 50_000

const QUOTE = 0x22
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Rows without empty lines. Throws DecodeError. */
export const csvRows = (text: string, format: CsvFormat): readonly (readonly string[])[] => {
  const { comment, skipLines } = format
  let index = 0
  for (let line = 0; line < skipLines; line++) index = nextLine(text, index)
  while (comment !== undefined && text.startsWith(comment, index)) index = nextLine(text, index)
  const separator = format.separator ?? shownSeparator(text.slice(index, lineEnd(text, index)))
  const separatorCode = separator.charCodeAt(0)
  const spaces = separator === ' '
  const isSeparator = (code: number) => code === separatorCode || (spaces && code === 0x09)
  const rows: string[][] = []
  let cells = 0
  while (index < text.length) {
    if (comment !== undefined && text.startsWith(comment, index)) {
      index = nextLine(text, index)
      continue
    }
    const row: string[] = []
    for (let more = true; more; ) {
      const start = spaces ? pastSpaces(text, index) : index
      // RFC 4180, 2.5: a quoted field. Spaces before the quote are not foreseen there, but common.
      const quote = pastSpaces(text, start)
      let cell: string
      if (text.charCodeAt(quote) === QUOTE && !(quote > start && isSeparator(0x20))) {
        const end = afterQuoted(text, quote)
        cell = text.slice(quote + 1, end - 1).replaceAll('""', '"')
        index = end
        while (index < text.length && !isSeparator(text.charCodeAt(index)) && !isLineEnd(text.charCodeAt(index))) {
          if (text.charCodeAt(index) !== 0x20) throw new DecodeError('text follows a closing quotation mark')
          index++
        }
      } else {
        index = start
        while (index < text.length && !isSeparator(text.charCodeAt(index)) && !isLineEnd(text.charCodeAt(index)))
          index++
        cell = text.slice(start, index)
      }
      row.push(cell)
      if (++cells > MAX_CELLS) throw new DecodeError(`the payload has more than ${MAX_CELLS} cells`)
      if (spaces) index = pastSpaces(text, index)
      else if (isSeparator(text.charCodeAt(index))) {
        index++
        continue
      }
      more = spaces && index < text.length && !isLineEnd(text.charCodeAt(index))
    }
    index = pastLineEnd(text, index)
    if (row.length > 1 || row[0]?.trim() !== '') rows.push(row)
  }
  return rows
}

/** The separator that a line shows: the one that least likely stands in a value. */
const shownSeparator = (line: string): string => [';', '\t', '|', ','].find((one) => line.includes(one)) ?? ' '

const isLineEnd = (code: number): boolean => code === LINE_FEED || code === CARRIAGE_RETURN

const pastSpaces = (text: string, start: number): number => {
  let index = start
  while (text.charCodeAt(index) === 0x20 || text.charCodeAt(index) === 0x09) index++
  return index
}

const pastLineEnd = (text: string, index: number): number => {
  if (text.charCodeAt(index) === CARRIAGE_RETURN && text.charCodeAt(index + 1) === LINE_FEED) return index + 2
  return index + 1
}

const lineEnd = (text: string, start: number): number => {
  let index = start
  while (index < text.length && !isLineEnd(text.charCodeAt(index))) index++
  return index
}

const nextLine = (text: string, start: number): number => pastLineEnd(text, lineEnd(text, start))

// RFC 4180, 2.7: a quotation mark inside is doubled.
const afterQuoted = (text: string, start: number): number => {
  for (let index = start + 1; ; index += 2) {
    const quote = text.indexOf('"', index)
    if (quote < 0) throw new DecodeError('a quotation mark is not closed')
    if (text.charCodeAt(quote + 1) !== QUOTE) return quote + 1
    index = quote
  }
}
