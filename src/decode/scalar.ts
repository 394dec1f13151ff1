// A payload that is one value: a number with or without a unit (21.5, 21,5, 25°C, 21.5 C), a switch (ON, off, true) or a
// word. What stands for "no value" (nan, null, …) and what is no text is a DecodeError.

import { DecodeError } from '../core/errors.ts'
import type { ReadingValue } from '../core/profile.ts'
import { convertUnit, unitSpelling } from '../core/unit.ts'
import { MAX_TEXT_LENGTH, nameFault, shortened } from './limits.ts'

export interface ScalarValue {
  readonly value: ReadingValue
  readonly unit?: string
}

/** The longest spelling of a unit, with room to spare. */
const MAX_UNIT_LENGTH = 16

const PLAIN_NUMBER = /^[-+\d.eE]+$/
const NUMBER_AND_UNIT = /^([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)\s*(.*)$/su
// `ovf` is what Arduino prints for a number too large for it; dashes are what displays show.
const NO_NUMBER = /^(?:[-+]?(?:nan|infinity|inf|ovf)(?!\p{L})|[-–—]+(?:[.,:][-–—]+)?)\s*(.*)$/isu
const NO_VALUE: ReadonlySet<string> = new Set(['null', 'undefined', 'n/a'])
const SWITCHES: ReadonlyMap<string, boolean> = new Map([
  ['on', true],
  ['off', false],
  ['true', true],
  ['false', false],
])
const LONGEST_SWITCH = 5
const LONGEST_NO_VALUE = 32
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/** `text` is trimmed and not empty; `name` helps to tell what a percentage is of. */
export const parseScalar = (text: string, name: string): ScalarValue => {
  checkName(name)
  if (text.length > MAX_TEXT_LENGTH)
    throw new DecodeError(
      `the payload is text of ${text.length} characters, more than the ${MAX_TEXT_LENGTH} of a value`,
    )
  if (text.length <= LONGEST_SWITCH) {
    const state = SWITCHES.get(text.toLowerCase())
    if (state !== undefined) return { value: state }
  }
  return parseNumber(text, name) ?? parseWord(text, name)
}

/** A quoted JSON string is text, whatever it says. */
export const jsonString = (value: unknown, name: string): ScalarValue => {
  checkName(name)
  if (typeof value !== 'string' || value.length > MAX_TEXT_LENGTH)
    throw new DecodeError(`the payload is text of more than ${MAX_TEXT_LENGTH} characters`)
  return { value }
}

const checkName = (name: string): void => {
  const fault = nameFault(name)
  if (fault !== undefined) throw new DecodeError(fault)
}

const parseNumber = (text: string, name: string): ScalarValue | undefined => {
  const first = text.charCodeAt(0)
  const plain = first === 0x2212 ? `-${text.slice(1)}` : text // the minus sign of typographers
  if (plain === text && (first < 0x2b || first > 0x39)) return undefined
  if (PLAIN_NUMBER.test(plain)) {
    const number = Number(plain)
    if (!Number.isNaN(number)) return { value: checkedNumber(number, plain) }
  }
  const match = NUMBER_AND_UNIT.exec(plain)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  const number = Number(match[1].replace(',', '.'))
  if (match[2] === '') return { value: checkedNumber(number, plain) }
  const spelling = match[2].length > MAX_UNIT_LENGTH ? undefined : unitSpelling(match[2], name)
  if (spelling === undefined) return undefined
  const value = checkedNumber(number, match[1])
  // An integer that only a string can hold cannot be converted: it stays the text that came, unit and all.
  if (typeof value === 'string') return undefined
  return { value: convertUnit(value, spelling), unit: spelling.unit }
}

/** Integers beyond 2^53 stay text: as numbers they would silently be others. */
const checkedNumber = (number: number, text: string): number | string => {
  if (!Number.isFinite(number)) throw new DecodeError(`${shortened(text)} is too large for a number`)
  return Number.isInteger(number) && !Number.isSafeInteger(number) && /^[-+]?\d+$/.test(text) ? text : number
}

/** Whether the text is how devices write that they have no value: `nan`, `inf`, `ovf`, `---`, `null`; also with a unit. */
export const saysNoValue = (text: string, name: string): boolean => {
  const first = text.charCodeAt(0)
  if (text.length > LONGEST_NO_VALUE || (first >= 0x30 && first <= 0x39)) return false
  const unit = NO_NUMBER.exec(text)?.[1]
  if (unit !== undefined && (unit === '' || unitSpelling(unit, name) !== undefined)) return true
  return NO_VALUE.has(text.toLowerCase())
}

const parseWord = (text: string, name: string): ScalarValue => {
  if (saysNoValue(text, name)) throw new DecodeError(`the payload says that there is no value: ${shortened(text)}`)
  if (CONTROL.test(text)) throw new DecodeError('the payload is binary: it contains control characters')
  return { value: text }
}
