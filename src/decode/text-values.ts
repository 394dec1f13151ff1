// Values that stand as text in a line (CSV cells, name:value pairs, groups of a regular expression), as readings: numbers with
// or without a unit, switches, words. An empty text says nothing; what says "no value" (nan, ovf, ---) is a fault of its own.

import type { UnixMs } from '../core/contract.ts'
import { DecodeError } from '../core/errors.ts'
import { convertUnit, type UnitSpelling } from '../core/unit.ts'
import { Collected } from './collected.ts'
import { MAX_TEXT_LENGTH, nameFault, shortened } from './limits.ts'
import { parseScalar, saysNoValue } from './scalar.ts'

/** What a decimal comma and a decimal point are: `auto` takes either for it, the last of them where both are there. */
export type DecimalMark = '.' | ',' | 'auto'

export interface TextValueOptions {
  readonly decimal: DecimalMark
  /** Names whose values stay text, whatever they look like: identifiers with leading zeros. */
  readonly text: ReadonlySet<string>
  /** Texts that mean "no value". */
  readonly missing: ReadonlySet<string>
}

const THOUSANDS_POINT = /^([-+]?\d{1,3}(?:\.\d{3})+)(,\d+)?(?!\d)/
const THOUSANDS_COMMA = /^([-+]?\d{1,3}(?:,\d{3})+)(\.\d+)?(?!\d)/

export class TextValues extends Collected {
  readonly #device: string
  readonly #options: TextValueOptions

  constructor(device: string, options: TextValueOptions) {
    super()
    this.#device = device
    this.#options = options
  }

  /** `unit` is that of a number which states none itself. */
  add(name: string, written: string, timeMs?: UnixMs, unit?: UnitSpelling, device = this.#device): void {
    const text = written.trim()
    if (text === '' || this.#options.missing.has(text)) return
    const fault = nameFault(name) ?? textFault(name, text)
    if (fault !== undefined) {
      this.fault(fault)
      return
    }
    if (saysNoValue(text, name)) {
      this.doubt({ device, name, reason: 'faulty', value: text })
      this.fault(`${shortened(name)} has no value: ${shortened(text)}`)
      return
    }
    const scalar = this.#options.text.has(name) ? { value: text } : this.#scalar(name, text)
    if (scalar === undefined) return
    const converted =
      unit !== undefined && typeof scalar.value === 'number' && scalar.unit === undefined
        ? { value: convertUnit(scalar.value, unit), unit: unit.unit }
        : scalar
    this.push({ device, name, ...converted, ...(timeMs === undefined ? {} : { timeMs }) })
  }

  #scalar(name: string, text: string) {
    try {
      return parseScalar(withPoint(text, this.#options.decimal), name)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.fault(`${shortened(name)}: ${error.message}`)
      return undefined
    }
  }
}

const textFault = (name: string, text: string): string | undefined =>
  text.length > MAX_TEXT_LENGTH
    ? `${shortened(name)} is text of ${text.length} characters, more than ${MAX_TEXT_LENGTH}`
    : undefined

/** A number with groups of thousands as one without; a decimal comma as a point where it is one. */
const withPoint = (text: string, decimal: DecimalMark): string => {
  const first = text.charCodeAt(0)
  if ((first < 0x30 || first > 0x39) && first !== 0x2b && first !== 0x2d) return text
  const point = decimal === '.' ? null : THOUSANDS_POINT.exec(text)
  // With `auto`, one kind of mark alone may always be the decimal one.
  if (point?.[1] !== undefined && (decimal === ',' || point[2] !== undefined || /\..*\./.test(point[1])))
    return point[1].replaceAll('.', '') + (point[2] ?? '').replace(',', '.') + text.slice(point[0].length)
  const comma = decimal === ',' ? null : THOUSANDS_COMMA.exec(text)
  if (comma?.[1] !== undefined && (decimal === '.' || comma[2] !== undefined || /,.*,/.test(comma[1])))
    return comma[1].replaceAll(',', '') + (comma[2] ?? '') + text.slice(comma[0].length)
  return text
}
