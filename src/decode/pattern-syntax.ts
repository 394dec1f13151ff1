// Regular expressions without backtracking, first half: from the text of a pattern to a tree. It is JavaScript's syntax
// without what no automaton can do (back references, look-around); \p{…} and the v flag are left out, too.

export type PatternNode =
  | { readonly kind: 'empty' }
  | { readonly kind: 'unit'; readonly accepts: CodeTest }
  | { readonly kind: 'assert'; readonly what: Assertion }
  | { readonly kind: 'all' | 'any'; readonly nodes: readonly PatternNode[] }
  | { readonly kind: 'group'; readonly index: number; readonly node: PatternNode }
  | {
      readonly kind: 'repeat'
      readonly node: PatternNode
      readonly min: number
      readonly max: number
      readonly lazy: boolean
      /** Groups first…last (last excluded) are inside: each turn forgets what they held. */
      readonly groups: readonly [first: number, last: number]
    }

export type Assertion = 'start' | 'end' | 'word' | 'no-word'
export type CodeTest = (code: number) => boolean

export interface PatternTree {
  readonly node: PatternNode
  /** By index; group 0 is the whole match. */
  readonly names: readonly (string | undefined)[]
}

/** Counted repetition is written out when it is compiled. */
const MAX_COUNT = 1_000
/** Deeper ones are made by programs, and would overflow the stack. */
const MAX_DEPTH = 50

const isDigit: CodeTest = (code) => code >= 0x30 && code <= 0x39
export const isWord: CodeTest = (code) =>
  isDigit(code) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x5f
const isSpace: CodeTest = (code) => /\s/.test(String.fromCharCode(code))
const isLineEnd: CodeTest = (code) => code === 0x0a || code === 0x0d || code === 0x2028 || code === 0x2029
const not =
  (test: CodeTest): CodeTest =>
  (code) =>
    !test(code)

const SETS: ReadonlyMap<string, CodeTest> = new Map([
  ['d', isDigit],
  ['D', not(isDigit)],
  ['w', isWord],
  ['W', not(isWord)],
  ['s', isSpace],
  ['S', not(isSpace)],
])
const CONTROLS: ReadonlyMap<string, number> = new Map([
  ['t', 9],
  ['n', 10],
  ['v', 11],
  ['f', 12],
  ['r', 13],
  ['0', 0],
])

/** Throws an Error that says what is wrong, for the author of the pattern. */
export const parsePattern = (pattern: string, ignoreCase: boolean): PatternTree =>
  new Parser(pattern, ignoreCase).parse()

class Parser {
  readonly #text: string
  readonly #ignoreCase: boolean
  readonly #names: (string | undefined)[] = [undefined]
  #at = 0
  #depth = 0

  constructor(text: string, ignoreCase: boolean) {
    this.#text = text
    this.#ignoreCase = ignoreCase
  }

  parse(): PatternTree {
    const node = this.#alternatives()
    if (this.#at < this.#text.length) throw new Error(`the pattern has a ) too many at ${this.#at}`)
    return { node, names: this.#names }
  }

  #alternatives(): PatternNode {
    if (++this.#depth > MAX_DEPTH) throw new Error(`the pattern is nested deeper than ${MAX_DEPTH} groups`)
    const nodes = [this.#sequence()]
    while (this.#take('|')) nodes.push(this.#sequence())
    this.#depth--
    return nodes.length === 1 ? (nodes[0] ?? { kind: 'empty' }) : { kind: 'any', nodes }
  }

  #sequence(): PatternNode {
    const nodes: PatternNode[] = []
    while (this.#at < this.#text.length && this.#peek() !== '|' && this.#peek() !== ')') {
      const first = this.#names.length
      const node = this.#atom()
      nodes.push(this.#repeated(node, [first, this.#names.length]))
    }
    return { kind: 'all', nodes }
  }

  #repeated(node: PatternNode, groups: readonly [number, number]): PatternNode {
    const bounds = this.#quantifier()
    if (bounds === undefined) return node
    if (node.kind === 'assert') throw new Error(`the pattern repeats nothing at ${this.#at}`)
    const lazy = this.#take('?')
    if (this.#quantifier() !== undefined) throw new Error(`the pattern repeats nothing at ${this.#at}`)
    return { kind: 'repeat', node, ...bounds, lazy, groups }
  }

  #quantifier(): { readonly min: number; readonly max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY }
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY }
    if (this.#take('?')) return { min: 0, max: 1 }
    const counted = /^\{(\d{1,9})(,(\d{1,9})?)?\}/.exec(this.#text.slice(this.#at, this.#at + 24))
    if (counted === null) return undefined
    this.#at += counted[0].length
    const min = Number(counted[1])
    const max =
      counted[2] === undefined ? min : counted[3] === undefined ? Number.POSITIVE_INFINITY : Number(counted[3])
    if (max < min || min > MAX_COUNT || (max > MAX_COUNT && max !== Number.POSITIVE_INFINITY))
      throw new Error(`the pattern cannot repeat ${counted[0]}`)
    return { min, max }
  }

  #atom(): PatternNode {
    const character = this.#next()
    switch (character) {
      case '^':
        return { kind: 'assert', what: 'start' }
      case '$':
        return { kind: 'assert', what: 'end' }
      case '.':
        return { kind: 'unit', accepts: not(isLineEnd) }
      case '(':
        return this.#group()
      case '[':
        return { kind: 'unit', accepts: this.#class() }
      case '\\':
        return this.#escaped()
      case '*':
      case '+':
      case '?':
        throw new Error(`the pattern repeats nothing at ${this.#at - 1}`)
      default:
        return { kind: 'unit', accepts: this.#same(character.charCodeAt(0)) }
    }
  }

  #group(): PatternNode {
    let index: number | undefined
    if (this.#take('?:')) index = undefined
    else if (/^\?(?:<?[=!])/.test(this.#text.slice(this.#at, this.#at + 3)))
      throw new Error('the pattern looks ahead or behind, which is not supported')
    else if (this.#take('?<')) {
      const name = /^([A-Za-z_][\w.-]{0,63})>/.exec(this.#text.slice(this.#at, this.#at + 66))?.[1]
      if (name === undefined) throw new Error(`the pattern has a group without a valid name at ${this.#at}`)
      if (this.#names.includes(name)) throw new Error(`the pattern has two groups ${name}`)
      this.#at += name.length + 1
      index = this.#names.push(name) - 1
    } else if (this.#take('?')) throw new Error(`the pattern has an unknown group at ${this.#at - 2}`)
    else index = this.#names.push(undefined) - 1
    const node = this.#alternatives()
    if (!this.#take(')')) throw new Error('the pattern lacks a )')
    return index === undefined ? node : { kind: 'group', index, node }
  }

  #escaped(): PatternNode {
    const character = this.#peek()
    if (character === 'b' || character === 'B') {
      this.#at++
      return { kind: 'assert', what: character === 'b' ? 'word' : 'no-word' }
    }
    const found = this.#escape()
    return { kind: 'unit', accepts: typeof found === 'number' ? this.#same(found) : found }
  }

  /** What follows a backslash: one code, or a set of them. */
  #escape(): number | CodeTest {
    const character = this.#next()
    const known = SETS.get(character) ?? CONTROLS.get(character)
    if (known !== undefined) return known
    if (character === 'x' || character === 'u') {
      const length = character === 'x' ? 2 : 4
      const digits = this.#text.slice(this.#at, this.#at + length)
      if (digits.length < length || !/^[\da-f]+$/i.test(digits))
        throw new Error(`\\${character} needs ${length} digits`)
      this.#at += length
      return Number.parseInt(digits, 16)
    }
    if (character === 'k' || (character >= '1' && character <= '9'))
      throw new Error('the pattern refers back to a group, which is not supported')
    if (/[A-Za-z]/.test(character)) throw new Error(`the pattern has an unknown \\${character}`)
    return character.charCodeAt(0)
  }

  #class(): CodeTest {
    const negated = this.#take('^')
    const tests: CodeTest[] = []
    while (!this.#take(']')) {
      const first = this.#classItem()
      if (typeof first !== 'number') {
        tests.push(first)
        continue
      }
      if (this.#peek() !== '-' || this.#text[this.#at + 1] === ']') {
        tests.push(this.#same(first))
        continue
      }
      this.#at++
      const last = this.#classItem()
      if (typeof last !== 'number') tests.push(this.#same(first), this.#same(0x2d), last)
      else if (last < first) throw new Error('the pattern has a class whose range is empty')
      else tests.push(this.#range(first, last))
    }
    const any: CodeTest = (code) => tests.some((test) => test(code))
    return negated ? not(any) : any
  }

  #classItem(): number | CodeTest {
    const character = this.#next()
    if (character !== '\\') return character.charCodeAt(0)
    if (this.#take('b')) return 8
    return this.#take('-') ? 0x2d : this.#escape()
  }

  #same(code: number): CodeTest {
    return this.#range(code, code)
  }

  #range(first: number, last: number): CodeTest {
    const inside: CodeTest = (code) => code >= first && code <= last
    return this.#ignoreCase ? (code) => inside(code) || caseVariants(code).some(inside) : inside
  }

  #peek(): string {
    return this.#text.charAt(this.#at)
  }

  #next(): string {
    if (this.#at >= this.#text.length) throw new Error('the pattern ends too early')
    return this.#text.charAt(this.#at++)
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }
}

const caseVariants = (code: number): readonly number[] => {
  const character = String.fromCharCode(code)
  return [character.toLowerCase(), character.toUpperCase()]
    .filter((variant) => variant.length === 1)
    .map((variant) => variant.charCodeAt(0))
}
