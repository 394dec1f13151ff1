// JSON text to values. Integers beyond 2^53 lose digits in JSON.parse, so they can be quoted first and arrive as strings.

import { DecodeError } from '../core/errors.ts'

/** Integers below it with fewer digits are always exact. */
const FIRST_INEXACT_DIGITS = 16

const NAN = /^[-+]?(?:nan|inf|infinity|ovf)$/i
const LONGEST_NAN = 9
const TOO_LARGE = '1e999'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

/** Throws DecodeError. Nesting is not limited here: JSON.parse does not recurse, and whoever walks the value has a limit. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    const repaired = withoutNan(text)
    if (repaired !== text) return parseRepaired(repaired)
    throw new DecodeError(`the payload is not valid JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const parseRepaired = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new DecodeError(`the payload is not valid JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

// Python, C and Arduino write NaN, inf or ovf where JSON has no word for it. They become a number that is too large, so that
// this one value is a fault, and what stands beside it still counts.
const withoutNan = (json: string): string => {
  const parts: string[] = []
  let copied = 0
  let index = 0
  while (index < json.length) {
    const code = json.charCodeAt(index)
    if (code === QUOTE) {
      index = afterString(json, index)
    } else if (isWordPart(code)) {
      let end = index + 1
      while (end < json.length && isWordPart(json.charCodeAt(end))) end++
      if (end - index <= LONGEST_NAN && NAN.test(json.slice(index, end))) {
        parts.push(json.slice(copied, index), TOO_LARGE)
        copied = end
      }
      index = end
    } else {
      index++
    }
  }
  return parts.length === 0 ? json : parts.join('') + json.slice(copied)
}

/** Valid JSON with every integer beyond 2^53 in quotes; strings stay as they are. */
export const quoteLargeIntegers = (json: string): string => {
  const parts: string[] = []
  let copied = 0
  let index = 0
  while (index < json.length) {
    const code = json.charCodeAt(index)
    if (code === QUOTE) {
      index = afterString(json, index)
    } else if (code === MINUS || isDigit(code)) {
      const end = afterNumber(json, index)
      if (end - index >= FIRST_INEXACT_DIGITS && isLargeInteger(json.slice(index, end))) {
        parts.push(json.slice(copied, index), '"', json.slice(index, end), '"')
        copied = end
      }
      index = end
    } else {
      index++
    }
  }
  return parts.length === 0 ? json : parts.join('') + json.slice(copied)
}

const afterString = (json: string, start: number): number => {
  let index = start + 1
  while (index < json.length) {
    const code = json.charCodeAt(index)
    if (code === QUOTE) return index + 1
    index += code === BACKSLASH ? 2 : 1
  }
  return index
}

const afterNumber = (json: string, start: number): number => {
  let index = start + 1
  while (index < json.length && isNumberPart(json.charCodeAt(index))) index++
  return index
}

const isLargeInteger = (token: string): boolean => /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token))

const isDigit = (code: number): boolean => code >= ZERO && code <= NINE

// Digits, '.', 'e', 'E', '+', '-'.
const isNumberPart = (code: number): boolean =>
  isDigit(code) || code === 0x2e || code === 0x65 || code === 0x45 || code === 0x2b || code === MINUS

// Letters, digits and signs.
const isWordPart = (code: number): boolean =>
  (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || isNumberPart(code)
