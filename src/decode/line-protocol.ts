// InfluxDB line protocol to points: measurement, tags, fields with their types, the digits of the timestamp. A line that is
// none is a fault with its number, and the others count. One pass over the text; what is quoted back is bounded.
//
//   measurement[,tag=value…] field=value[,field=value…] [timestamp]
//
// As InfluxDB 1 and 2 read it: a backslash escapes what would end the word (comma, space, and = but in measurements) and is a
// backslash elsewhere; texts in quotes may hold line ends, and escape " and \ only; `#` begins a line that is a comment.

import { MAX_TEXT_LENGTH, nameFault, shortened } from './limits.ts'

export interface Point {
  /** From 1. */
  readonly line: number
  /** Where it stands in the text, without the end of the line. */
  readonly start: number
  readonly end: number
  readonly measurement: string
  readonly tags: ReadonlyMap<string, string>
  readonly fields: readonly (readonly [name: string, value: number | string | boolean])[]
  /** Digits, possibly with a sign; their unit is the precision of whoever wrote it. */
  readonly timestamp?: string
}

export interface LineFault {
  readonly line: number
  readonly reason: string
}

export interface Lines {
  readonly points: readonly Point[]
  /** The first ones, at most MAX_SHOWN_FAULTS. */
  readonly faults: readonly LineFault[]
  readonly faultCount: number
}

/** Beyond, lines that are none are only counted. */
const MAX_SHOWN_FAULTS = 8
/** With so many faults it is something else: the rest is not looked at. */
const MAX_FAULTS = 1_000
/** A series with more tags is refused: its name would be longer than any topic. */
const MAX_TAGS = 64
/** Of a measurement, a tag or its value. */
const MAX_WORD_LENGTH = 256
/** Of the measurement and all tags together: most of it becomes the name of a device. */
const MAX_SERIES_LENGTH = 1_024
/** A signed 64-bit integer. */
const TIMESTAMP = /^-?\d{1,19}$/
const INTEGER = /^[-+]?\d{1,20}i$/
const UNSIGNED = /^\+?\d{1,20}u$/
const FLOAT = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/
const LONGEST_NUMBER = 400
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['t', 'T', 'true', 'True', 'TRUE'].map((text) => [text, true] as const),
  ...['f', 'F', 'false', 'False', 'FALSE'].map((text) => [text, false] as const),
])
const LEAST_INTEGER = -(2n ** 63n)
const GREATEST_INTEGER = 2n ** 63n - 1n
const GREATEST_UNSIGNED = 2n ** 64n - 1n

const LF = 0x0a
const CR = 0x0d
const TAB = 0x09
const SPACE = 0x20
const QUOTE = 0x22
const HASH = 0x23
const COMMA = 0x2c
const EQUALS = 0x3d
const BACKSLASH = 0x5c

/** Stops behind so many faults. */
export const parseLines = (text: string, maxFaults = MAX_FAULTS): Lines => {
  const scanner = new Scanner(text)
  const points: Point[] = []
  const faults: LineFault[] = []
  let faultCount = 0
  while (faultCount < maxFaults && scanner.nextLine()) {
    const point = scanner.point()
    if (typeof point !== 'string') {
      points.push(point)
      continue
    }
    faultCount++
    if (faults.length < MAX_SHOWN_FAULTS) faults.push({ line: scanner.line, reason: point })
    scanner.skipLine()
  }
  return { points, faults, faultCount }
}

class LineError extends Error {}

class Scanner {
  readonly #text: string
  #at = 0
  /** Where the present line begins, and its number. */
  #start = 0
  line = 0
  /** Line ends that stood inside of texts of the present line. */
  #inner = 0
  #behind = false

  constructor(text: string) {
    this.#text = text
  }

  /** Goes to the next line that is not empty and no comment. False at the end. */
  nextLine(): boolean {
    for (;;) {
      if (this.#behind) {
        if (this.#at >= this.#text.length) return false
        this.#at++ // the line feed
      }
      this.line += 1 + this.#inner
      this.#inner = 0
      this.#behind = true
      this.#skipSpace()
      this.#start = this.#at
      if (this.#at >= this.#text.length) return false
      if (this.#code() === HASH) this.#at = this.#lineEnd(this.#at)
      else if (this.#atLineEnd()) this.#endLine()
      else return true
    }
  }

  /** After a fault: to the end of the line it is in, as if no quote had been opened. */
  skipLine(): void {
    this.#inner = 0
    this.#at = this.#lineEnd(this.#start)
  }

  /** The point of this line, or what is wrong with it. Stands on the line feed afterwards. */
  point(): Point | string {
    try {
      return this.#point()
    } catch (error) {
      if (error instanceof LineError) return error.message
      throw error
    }
  }

  #point(): Point {
    const start = this.#start
    const measurement = this.#word(false)
    if (measurement === '') throw new LineError('there is no measurement')
    const tags = new Map<string, string>()
    while (this.#code() === COMMA) {
      this.#at++
      const [key, value] = this.#tag()
      if (tags.has(key)) throw new LineError(`tag '${shortened(key)}' stands twice`)
      if (tags.size >= MAX_TAGS) throw new LineError(`there are more than ${MAX_TAGS} tags`)
      tags.set(key, value)
    }
    if (this.#at - start > MAX_SERIES_LENGTH)
      throw new LineError(`the series is longer than ${MAX_SERIES_LENGTH} characters`)
    if (!this.#skipSpace()) throw new LineError('there are no fields')
    const fields: [string, number | string | boolean][] = []
    for (;;) {
      fields.push(this.#field())
      if (this.#code() !== COMMA) break
      this.#at++
    }
    const timestamp = this.#skipSpace() ? this.#timestamp() : undefined
    this.#skipSpace()
    if (!this.#atLineEnd())
      throw new LineError(`there is more behind the ${timestamp === undefined ? 'fields' : 'time'}`)
    const end = this.#at
    this.#endLine()
    const point = { line: this.line, start, end, measurement, tags, fields }
    return timestamp === undefined ? point : { ...point, timestamp }
  }

  #tag(): [key: string, value: string] {
    const key = this.#word(true)
    if (key === '') throw new LineError('a tag has no name')
    if (this.#code() !== EQUALS) throw new LineError(`tag '${shortened(key)}' has no value`)
    this.#at++
    const value = this.#word(true)
    if (value === '') throw new LineError(`tag '${shortened(key)}' has no value`)
    return [key, value]
  }

  #field(): [name: string, value: number | string | boolean] {
    const name = this.#word(true)
    const fault = name === '' ? 'a field has no name' : nameFault(name)
    if (fault !== undefined) throw new LineError(fault)
    if (this.#code() !== EQUALS) throw new LineError(`field '${shortened(name)}' has no value`)
    this.#at++
    return [name, this.#code() === QUOTE ? this.#string(name) : this.#bareValue(name)]
  }

  /** Up to an unescaped comma or space, or `=` where that ends it too. */
  #word(endsAtEquals: boolean): string {
    const first = this.#at
    let copied = first
    let word = ''
    for (; !this.#atLineEnd(); this.#at++) {
      const code = this.#code()
      if (code === COMMA || code === SPACE || code === TAB || (endsAtEquals && code === EQUALS)) break
      if (this.#at - first > 2 * MAX_WORD_LENGTH)
        throw new LineError(`a word is longer than ${MAX_WORD_LENGTH} characters`)
      if (code !== BACKSLASH || !isEscapable(this.#text.charCodeAt(this.#at + 1), endsAtEquals)) continue
      word += this.#text.slice(copied, this.#at)
      copied = ++this.#at
    }
    word += this.#text.slice(copied, this.#at)
    if (word.length > MAX_WORD_LENGTH) throw new LineError(`a word is longer than ${MAX_WORD_LENGTH} characters`)
    return word
  }

  #string(name: string): string {
    let copied = ++this.#at
    let inner = 0
    let value = ''
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#code()
      if (code === QUOTE) {
        value += this.#text.slice(copied, this.#at++)
        if (value.length > MAX_TEXT_LENGTH) break
        this.#inner += inner
        return value
      }
      if (code === LF) inner++
      if (value.length + this.#at - copied > MAX_TEXT_LENGTH) break
      const next = code === BACKSLASH ? this.#text.charCodeAt(this.#at + 1) : 0
      if (next !== QUOTE && next !== BACKSLASH) continue
      value += this.#text.slice(copied, this.#at)
      copied = ++this.#at
    }
    const why = this.#at < this.#text.length ? `is longer than ${MAX_TEXT_LENGTH} characters` : 'has no closing quote'
    throw new LineError(`the text of field '${shortened(name)}' ${why}`)
  }

  #bareValue(name: string): number | string | boolean {
    const first = this.#at
    for (; !this.#atLineEnd(); this.#at++) {
      const code = this.#code()
      if (code === COMMA || code === SPACE || code === TAB) break
    }
    const token = this.#text.slice(first, this.#at)
    const value = token.length > LONGEST_NUMBER ? undefined : (BOOLEANS.get(token) ?? numberFrom(token))
    if (value !== undefined) return value
    throw new LineError(
      `field '${shortened(name)}' has the value '${shortened(token)}', which is no number, boolean or text in quotes`,
    )
  }

  #timestamp(): string | undefined {
    const first = this.#at
    while (!this.#atLineEnd() && !isBlank(this.#code())) this.#at++
    if (this.#at === first) return undefined
    const digits = this.#text.slice(first, this.#at)
    if (!TIMESTAMP.test(digits)) throw new LineError(`the time '${shortened(digits)}' is no integer`)
    return digits
  }

  /** Spaces and tabs. Whether there were any. */
  #skipSpace(): boolean {
    const first = this.#at
    while (isBlank(this.#code())) this.#at++
    return this.#at > first
  }

  /** A carriage return ends a line only together with the line feed. */
  #atLineEnd(): boolean {
    const code = this.#code()
    if (code !== CR) return Number.isNaN(code) || code === LF
    const next = this.#text.charCodeAt(this.#at + 1)
    return next === LF || Number.isNaN(next)
  }

  /** From the carriage return, if there is one, onto the line feed. */
  #endLine(): void {
    if (this.#code() === CR) this.#at++
  }

  #lineEnd(from: number): number {
    const found = this.#text.indexOf('\n', from)
    return found === -1 ? this.#text.length : found
  }

  #code(): number {
    return this.#text.charCodeAt(this.#at)
  }
}

/** Integers beyond 2^53 stay text, with all their digits. Undefined for what is no number of 64 bits. */
const numberFrom = (token: string): number | string | undefined => {
  if (INTEGER.test(token)) return integerFrom(token, LEAST_INTEGER, GREATEST_INTEGER)
  if (UNSIGNED.test(token)) return integerFrom(token, 0n, GREATEST_UNSIGNED)
  if (!FLOAT.test(token)) return undefined
  const number = Number(token)
  return Number.isFinite(number) ? number : undefined
}

const integerFrom = (token: string, least: bigint, greatest: bigint): number | string | undefined => {
  const integer = BigInt(token.slice(token[0] === '+' ? 1 : 0, -1))
  if (integer < least || integer > greatest) return undefined
  const number = Number(integer)
  return Number.isSafeInteger(number) ? number : String(integer)
}

const isEscapable = (code: number, equals: boolean): boolean =>
  code === COMMA || code === SPACE || (equals && code === EQUALS)

const isBlank = (code: number): boolean => code === SPACE || code === TAB
