// A configuration file as YAML, with the position of everything in it, so that each problem can name its line and column.

import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Pair, parseDocument } from 'yaml'
import { describe } from '../core/errors.ts'

/** Larger files are refused before they are parsed: a configuration with hundreds of sinks has tens of kilobytes. */
const MAX_DOCUMENT_BYTES = 1_048_576
/** Aliases that may be resolved; more is an attack by expansion. */
const MAX_ALIASES = 100
/** Syntax errors that are reported: after the first few, the rest are their echo. */
const MAX_SYNTAX_PROBLEMS = 20

/** No key of the configuration is a fifth as deep. An alias inside its own anchor is endless. */
const MAX_DEPTH = 40

const PARSE_OPTIONS = { merge: true, prettyErrors: false, version: '1.2', logLevel: 'error' } as const

export type Path = readonly (string | number)[]

export interface Position {
  readonly line: number
  readonly column: number
}

export interface Problem extends Position {
  readonly message: string
}

export class ConfigDocument {
  readonly text: string
  /** May be changed (placeholders) before value() is taken. */
  readonly tree: Document
  /** What the parser has against the text. */
  readonly problems: readonly Problem[]
  readonly #lines: LineCounter

  /** Never throws: what is wrong with the text is in `problems`. */
  constructor(text: string) {
    this.#lines = new LineCounter()
    const options = { ...PARSE_OPTIONS, lineCounter: this.#lines }
    const refuse = (message: string) => ({
      tree: parseDocument('', PARSE_OPTIONS),
      problems: [{ line: 1, column: 1, message }],
    })
    const parse = () => {
      if (Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) return refuse(`is larger than ${MAX_DOCUMENT_BYTES} bytes`)
      try {
        const tree = parseDocument(text, options)
        const problems = [...tree.errors, ...tree.warnings].map((error) => ({
          ...this.positionAt(error.pos[0]),
          message: syntaxMessage(error.message) + hint(text, error.pos[0]),
        }))
        return { tree, problems: firstOfEachLine(problems).slice(0, MAX_SYNTAX_PROBLEMS) }
      } catch (error) {
        return refuse(`cannot be parsed: ${syntaxMessage(describe(error))}`)
      }
    }
    const { tree, problems } = parse()
    this.text = text
    this.tree = tree
    this.problems = problems
  }

  /** The plain value, or the problem that keeps it from being one. */
  value(): { readonly value: unknown; readonly problem?: Problem } {
    try {
      const value: unknown = this.tree.toJS({ maxAliasCount: MAX_ALIASES })
      if (deeperThan(value, MAX_DEPTH)) throw new Error(`is nested more than ${MAX_DEPTH} deep, or refers to itself`)
      return { value }
    } catch (error) {
      return { value: undefined, problem: { line: 1, column: 1, message: oneLine(describe(error)) } }
    }
  }

  positionAt(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }

  /** Where the value of the path stands, or the nearest thing around it that exists. */
  valuePosition(path: Path): Position {
    let node: unknown = this.tree.contents
    let found = node
    for (const key of path) {
      node = this.#child(node, key)?.value
      if (!isNode(node)) break
      found = node
    }
    return this.positionAt(startOf(found))
  }

  /** Where the key of the path stands; a list item has none, so its value answers. */
  keyPosition(path: Path): Position {
    let node: unknown = this.tree.contents
    for (const key of path.slice(0, -1)) node = this.#child(node, key)?.value
    const last = path.at(-1)
    const key = last === undefined ? undefined : this.#child(node, last)?.key
    return isNode(key) ? this.positionAt(startOf(key)) : this.valuePosition(path)
  }

  #child(parent: unknown, key: string | number): Child | undefined {
    const node = isAlias(parent) ? parent.resolve(this.tree) : parent
    if (isSeq(node)) return typeof key === 'number' ? { value: node.items[key] } : undefined
    if (!isMap(node)) return undefined
    const own = node.items.find((pair) => keyText(pair) === String(key))
    if (own !== undefined) return own
    // A key that came in through `<<: *alias` stands where the alias points to.
    const merges = node.items.filter((pair) => keyText(pair) === '<<').map((pair) => pair.value)
    for (const source of merges.flatMap((value): readonly unknown[] => (isSeq(value) ? value.items : [value]))) {
      const found = this.#child(source, key)
      if (found !== undefined) return found
    }
    return undefined
  }
}

interface Child {
  readonly key?: unknown
  readonly value: unknown
}

const deeperThan = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((member) => deeperThan(member, levels - 1)))

const startOf = (node: unknown): number => (isNode(node) ? (node.range?.[0] ?? 0) : 0)

const keyText = (pair: Pair): string | undefined => {
  if (!isScalar(pair.key)) return undefined
  return typeof pair.key.value === 'symbol' ? '<<' : String(pair.key.value)
}

// One slip makes the parser stumble over everything behind it.
const firstOfEachLine = (problems: readonly Problem[]): readonly Problem[] =>
  problems.filter((problem, index) => problems.findIndex(({ line }) => line === problem.line) === index)

// `{ key: ${NAME} }`: inside braces and brackets YAML reads the brace of a placeholder as its own.
const hint = (text: string, offset: number): string =>
  text.startsWith('${', offset - 1) ? '; put quotes around a placeholder that stands inside { } or [ ]' : ''

// The parser is recursive: thousands of nested brackets exhaust the stack.
const syntaxMessage = (message: string): string => {
  if (message.includes('call stack')) return 'is nested too deeply'
  if (message.includes('multiple documents')) return 'holds multiple documents: remove the --- and what follows it'
  return oneLine(message)
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim()
