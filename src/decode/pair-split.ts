// A line of names and values to pairs, in one pass. Quoted values may hold anything. Where spaces separate, words that stand
// before a name belong to it if they are no number, and what follows a number belongs to that if it is a unit.

import { unitSpelling } from '../core/unit.ts'

export interface Pair {
  /** Absent: the value stands alone. */
  readonly name?: string
  readonly value: string
}

export interface PairFormat {
  /** Characters that separate pairs. */
  readonly separators: string
  /** Spaces separate pairs, too, unless they stand around names and units. */
  readonly loose: boolean
  /** Characters between name and value. */
  readonly assigns: string
}

const NUMBER = /^[-+\u2212]?(?:\d|[.,]\d)/
const LONGEST_UNIT = 12

export const splitPairs = (line: string, format: PairFormat): readonly Pair[] => {
  const pairs: Pair[] = []
  let start = 0
  let assign = -1
  let quoted = false
  const end = (at: number) => {
    const value = line.slice(assign < 0 ? start : assign + 1, at)
    // One by one: spread over arguments, a long line would not fit on the stack.
    if (format.loose && !quoted) for (const one of loosePairs(line.slice(start, at), format.assigns)) pairs.push(one)
    else if (assign >= 0)
      pairs.push({ name: line.slice(start, assign).trim(), value: quoted ? value.slice(1, -1) : value })
    else if (value.trim() !== '') pairs.push({ value })
    start = at + 1
    assign = -1
    quoted = false
  }
  for (let index = 0; index < line.length; index++) {
    const character = line.charAt(index)
    if (format.separators.includes(character)) end(index)
    else if (assign < 0 && format.assigns.includes(character)) {
      assign = index
      const quote = line[index + 1] === '"' ? line.indexOf('"', index + 2) : -1
      // Only where the quotation is the whole value; otherwise the mark is a character like others.
      if (quote < 0 || !(quote + 1 === line.length || format.separators.includes(line.charAt(quote + 1)))) continue
      quoted = true
      index = quote
    }
  }
  end(line.length)
  return pairs
}

/** `a:1 b:2`, `temp: 21.5 C hum: 40 %`, `Sensor 1:23`, `12 13`. */
const loosePairs = (text: string, assigns: string): readonly Pair[] => {
  const pairs: Pair[] = []
  let name: string | undefined
  let words: string[] = []
  const flush = () => {
    if (name !== undefined) pairs.push({ name, value: words.join(' ') })
    else if (words.length > 0) pairs.push({ value: words.join(' ') })
    name = undefined
    words = []
  }
  for (const word of text.split(/\s+/)) {
    const at = firstOf(word, assigns)
    const number = NUMBER.test(words[0] ?? '')
    if (at >= 0) {
      const before = name === undefined && !number ? words : []
      if (before === words) words = []
      flush()
      name = [...before, word.slice(0, at)].filter((part) => part !== '').join(' ')
      if (at + 1 < word.length) words.push(word.slice(at + 1))
    } else if (word !== '') {
      // Text with a name goes on up to the next name; a number ends where no unit follows.
      const goesOn = number ? words.length === 1 && isUnit(word) : name !== undefined || !NUMBER.test(word)
      if (!goesOn) flush()
      words.push(word)
    }
  }
  flush()
  return pairs
}

const firstOf = (word: string, characters: string): number => {
  for (let index = 0; index < word.length; index++) if (characters.includes(word.charAt(index))) return index
  return -1
}

const isUnit = (word: string): boolean => word.length <= LONGEST_UNIT && unitSpelling(word, '') !== undefined
