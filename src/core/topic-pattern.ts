// Topic patterns of device profiles: an MQTT Topic Filter whose wildcards have names.
//
//   tele/{device}/SENSOR            {x} is one level, never empty
//   zigbee2mqtt/{device...}         {x...} is one or more levels; at most one a pattern
//   {device...}/status/{type}:{id}  inside a level, {x} is any part of it, possibly empty
//   zigbee2mqtt/bridge/#            + and # as in MQTT
//
// The most specific pattern wins. Specificity is read from the left, like the topic itself: at the first level where two
// patterns differ in kind, a literal beats a literal with captures, that beats one whole level, that beats many levels.

import { TidegateError } from './errors.ts'

export type Captures = ReadonlyMap<string, string>

export interface TopicPattern {
  readonly text: string
  /** Names of the captures. */
  readonly captures: readonly string[]
  /** Patterns sort by it, the most specific first. */
  readonly rank: string
  match(topic: string): Captures | undefined
}

/** Longer patterns are a mistake: no profile needs them, and matching costs time on every new topic. */
const MAX_PATTERN_LENGTH = 512

const CAPTURE = /\{([a-z][A-Za-z0-9]*)(\.\.\.)?\}/g
// Rank of a kind of level; the end of a pattern ranks between one level and many.
const RANK = { literal: 'a', mixed: 'b', single: 'c', end: 'd', multi: 'e', rest: 'f' } as const

/** Why the text is no topic pattern, or undefined when it is one. */
export const topicPatternFault = (text: string): string | undefined => {
  if (text.length === 0) return 'is empty'
  if (text.length > MAX_PATTERN_LENGTH) return `is longer than ${MAX_PATTERN_LENGTH} characters`
  const names = [...text.matchAll(CAPTURE)].map((match) => match[1])
  if (new Set(names).size !== names.length) return 'captures a name twice'
  const levels = text.split('/')
  let many = 0
  for (const [index, level] of levels.entries()) {
    if (level === '#') {
      if (index !== levels.length - 1) return 'has # before its last level' // [MQTT-4.7.1-2]
      many++
    } else if (level !== '+') {
      const literal = level.replace(CAPTURE, '')
      if (/[+#{}]/.test(literal)) return `has a misplaced wildcard or brace in level '${level}'`
      if (/\}\{/.test(level)) return `has two captures without anything between them in level '${level}'`
      if (level.includes('...}')) {
        if (!/^\{[^{}]*\}$/.test(level)) return `mixes {x...} with other text in level '${level}'`
        many++
      }
    }
  }
  return many > 1 ? 'has more than one wildcard for many levels' : undefined
}

/** Compiles a pattern; throws TidegateError where it is none. */
export const compileTopicPattern = (text: string): TopicPattern => {
  const fault = topicPatternFault(text)
  if (fault !== undefined) throw new TidegateError('TG_PROFILE_INVALID', `topic pattern '${text}' ${fault}`)
  const captures: string[] = []
  let source = ''
  let rank = ''
  for (const [index, level] of text.split('/').entries()) {
    if (level === '#') {
      // "a/#" also matches "a" itself (MQTT 3.1.1, 4.7.1.2).
      source += index === 0 ? '.*' : '(?:/.*)?'
      rank += RANK.rest
      continue
    }
    if (index > 0) source += '/'
    const compiled = compileLevel(level, captures)
    source += compiled.source
    rank += compiled.rank
  }
  const expression = new RegExp(`^${source}$`)
  const startsWild = /^[+#{]/.test(text)
  return {
    text,
    captures,
    rank: rank + RANK.end,
    match: (topic) => {
      if (startsWild && topic.startsWith('$')) return undefined // [MQTT-4.7.2-1]
      const match = expression.exec(topic)
      return match === null ? undefined : new Map(captures.map((name, index) => [name, match[index + 1] ?? '']))
    },
  }
}

const compileLevel = (level: string, captures: string[]): { source: string; rank: string } => {
  if (level === '+') return { source: '[^/]*', rank: RANK.single }
  const whole = /^\{([A-Za-z0-9]+)(\.\.\.)?\}$/.exec(level)
  if (whole?.[1] !== undefined) {
    captures.push(whole[1])
    return whole[2] === undefined ? { source: '([^/]+)', rank: RANK.single } : { source: '(.+)', rank: RANK.multi }
  }
  let source = ''
  let end = 0
  for (const match of level.matchAll(CAPTURE)) {
    captures.push(match[1] ?? '')
    source += `${escapeLiteral(level.slice(end, match.index))}([^/]*)`
    end = match.index + match[0].length
  }
  source += escapeLiteral(level.slice(end))
  return { source, rank: end === 0 ? RANK.literal : RANK.mixed }
}

const escapeLiteral = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')

/** Puts captured text in place of `{name}`; names that are not captures (`{path}`) stay. */
export const expandTemplate = (template: string, captures: Captures): string =>
  template.includes('{') ? template.replace(CAPTURE, (whole, name: string) => captures.get(name) ?? whole) : template

/** The names in braces: those that a pattern captures, or a template asks for. */
export const templateNames = (template: string): readonly string[] =>
  [...template.matchAll(CAPTURE)].map((match) => match[1] ?? '')
