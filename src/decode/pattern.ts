// Regular expressions without backtracking, second half: all ways to match are followed at once (Thompson's construction, as
// Pike extended it to groups), so that time is bounded by pattern length × text length, whatever the pattern and the text.
// What matches, and what groups hold, is what JavaScript's own regular expressions say.

import { type Assertion, type CodeTest, isWord, type PatternNode, parsePattern } from './pattern-syntax.ts'

export interface Pattern {
  /** Steps that one character of text costs at most. */
  readonly size: number
  /** Names of its groups. */
  readonly names: readonly string[]
  /** The first match that begins at or after `from`. */
  match(text: string, from: number): PatternMatch | undefined
}

export interface PatternMatch {
  readonly start: number
  readonly end: number
  /** Groups with a name that took part. */
  readonly groups: ReadonlyMap<string, string>
}

type Instruction =
  | { readonly op: 'unit'; readonly accepts: CodeTest }
  | { readonly op: 'assert'; readonly what: Assertion }
  | { readonly op: 'split'; first: number; second: number }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'save'; readonly slot: number }
  | { readonly op: 'clear'; readonly from: number; readonly to: number }
  | { readonly op: 'match' }

/** Positions by slot: start and end of each group; -1: it took no part. */
type Slots = readonly number[]

interface Threads {
  readonly at: number[]
  readonly slots: Slots[]
}

/** Counted repetitions are written out; what is larger is no pattern for a line of a sensor. */
const MAX_INSTRUCTIONS = 1_000

/** Throws an Error that says what is wrong, for the author of the pattern. */
export const compilePattern = (text: string, ignoreCase: boolean): Pattern => {
  const { node, names } = parsePattern(text, ignoreCase)
  const program: Instruction[] = []
  emit(program, { kind: 'group', index: 0, node })
  program.push({ op: 'match' })
  const known = names.filter((name) => name !== undefined)
  const none: Slots = new Array<number>(names.length * 2).fill(-1)
  return {
    size: program.length,
    names: known,
    match: (line, from) => {
      const slots = run(program, none, line, from)
      return slots === undefined ? undefined : found(slots, names, line)
    },
  }
}

const found = (slots: Slots, names: readonly (string | undefined)[], text: string): PatternMatch => {
  const groups = new Map<string, string>()
  for (const [index, name] of names.entries()) {
    const start = slots[index * 2] ?? -1
    const end = slots[index * 2 + 1] ?? -1
    if (name !== undefined && start >= 0 && end >= 0) groups.set(name, text.slice(start, end))
  }
  return { start: slots[0] ?? 0, end: slots[1] ?? 0, groups }
}

const emit = (program: Instruction[], node: PatternNode): void => {
  if (program.length > MAX_INSTRUCTIONS)
    throw new Error(`the pattern is too large: more than ${MAX_INSTRUCTIONS} steps`)
  switch (node.kind) {
    case 'empty':
      return
    case 'unit':
      program.push({ op: 'unit', accepts: node.accepts })
      return
    case 'assert':
      program.push({ op: 'assert', what: node.what })
      return
    case 'all':
      for (const part of node.nodes) emit(program, part)
      return
    case 'group':
      program.push({ op: 'save', slot: node.index * 2 })
      emit(program, node.node)
      program.push({ op: 'save', slot: node.index * 2 + 1 })
      return
    case 'any':
      emitChoice(program, node.nodes)
      return
    case 'repeat':
      emitRepeat(program, node)
  }
}

const emitChoice = (program: Instruction[], nodes: readonly PatternNode[]): void => {
  const jumps: { to: number }[] = []
  for (const [index, node] of nodes.entries()) {
    if (index === nodes.length - 1) {
      emit(program, node)
      continue
    }
    const split = { op: 'split' as const, first: program.length + 1, second: 0 }
    program.push(split)
    emit(program, node)
    const jump = { op: 'jump' as const, to: 0 }
    program.push(jump)
    jumps.push(jump)
    split.second = program.length
  }
  for (const jump of jumps) jump.to = program.length
}

const emitRepeat = (program: Instruction[], node: Extract<PatternNode, { kind: 'repeat' }>): void => {
  const { min, max, lazy, groups } = node
  const turn = () => {
    if (groups[1] > groups[0]) program.push({ op: 'clear', from: groups[0] * 2, to: groups[1] * 2 })
    emit(program, node.node)
  }
  const either = (split: { first: number; second: number }, inside: number, outside: number) => {
    split.first = lazy ? outside : inside
    split.second = lazy ? inside : outside
  }
  for (let count = 0; count < min; count++) turn()
  if (max === Number.POSITIVE_INFINITY) {
    const start = program.length
    const split = { op: 'split' as const, first: 0, second: 0 }
    program.push(split)
    turn()
    program.push({ op: 'jump', to: start })
    either(split, start + 1, program.length)
    return
  }
  const splits: (readonly [{ first: number; second: number }, number])[] = []
  for (let count = min; count < max; count++) {
    const split = { op: 'split' as const, first: 0, second: 0 }
    splits.push([split, program.length + 1])
    program.push(split)
    turn()
  }
  for (const [split, inside] of splits) either(split, inside, program.length)
}

const run = (program: readonly Instruction[], none: Slots, text: string, from: number): Slots | undefined => {
  // By instruction: the last position for which it was added. Positions count from 1 here.
  const seen = new Uint32Array(program.length)
  let current: Threads = { at: [], slots: [] }
  let matched: Slots | undefined
  for (let position = from; position <= text.length; position++) {
    // A later start has the lowest rank of all; once something matched, there is none.
    if (matched === undefined) add(program, seen, current, 0, none, text, position)
    if (current.at.length === 0 && matched !== undefined) break
    const next: Threads = { at: [], slots: [] }
    const code = position < text.length ? text.charCodeAt(position) : -1
    for (let index = 0; index < current.at.length; index++) {
      const at = current.at[index] ?? 0
      const slots = current.slots[index] ?? none
      const instruction = program[at]
      if (instruction?.op === 'match') {
        matched = slots
        break // what follows has a lower rank
      }
      if (instruction?.op === 'unit' && code >= 0 && instruction.accepts(code))
        add(program, seen, next, at + 1, slots, text, position + 1)
    }
    current = next
  }
  return matched
}

/** Follows everything that takes no character, in the order of rank. Its depth is bounded by the length of the program. */
const add = (
  program: readonly Instruction[],
  seen: Uint32Array,
  threads: Threads,
  at: number,
  slots: Slots,
  text: string,
  position: number,
): void => {
  if (seen[at] === position + 1) return
  seen[at] = position + 1
  const instruction = program[at]
  switch (instruction?.op) {
    case 'jump':
      add(program, seen, threads, instruction.to, slots, text, position)
      return
    case 'split':
      add(program, seen, threads, instruction.first, slots, text, position)
      add(program, seen, threads, instruction.second, slots, text, position)
      return
    case 'save':
      add(program, seen, threads, at + 1, slots.with(instruction.slot, position), text, position)
      return
    case 'clear': {
      const cleared = slots.map((slot, index) => (index >= instruction.from && index < instruction.to ? -1 : slot))
      add(program, seen, threads, at + 1, cleared, text, position)
      return
    }
    case 'assert':
      if (holds(instruction.what, text, position)) add(program, seen, threads, at + 1, slots, text, position)
      return
    default:
      threads.at.push(at)
      threads.slots.push(slots)
  }
}

const holds = (what: Assertion, text: string, position: number): boolean => {
  if (what === 'start') return position === 0
  if (what === 'end') return position === text.length
  const boundary =
    (position > 0 && isWord(text.charCodeAt(position - 1))) !==
    (position < text.length && isWord(text.charCodeAt(position)))
  return boundary === (what === 'word')
}
