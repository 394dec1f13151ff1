// The dialect 'regex': named groups of a regular expression are readings. It runs without backtracking (decode/pattern.ts):
// patterns are the profile's, but payloads are strangers', and no payload may hold up the gateway.

import type { Decoded } from '../../core/contract.ts'
import type { DecoderInput } from '../../core/decoder-contract.ts'
import { DecodeError } from '../../core/errors.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { shortened } from '../limits.ts'
import { compilePattern, type Pattern, type PatternMatch } from '../pattern.ts'
import { payloadText } from '../payload.ts'
import { type LineOptions, lineOptionsSchema, lineTime, payloadLines, valueOptions } from '../text-options.ts'
import { type TextValueOptions, TextValues } from '../text-values.ts'

interface RegexOptions extends LineOptions {
  readonly patterns: readonly string[]
  readonly ignoreCase: boolean
  readonly lines: boolean
  readonly every: boolean
  readonly unmatched: 'fault' | 'ignore'
}

interface Compiled extends Omit<RegexOptions, 'patterns'> {
  readonly patterns: readonly Pattern[]
  readonly values: TextValueOptions
}

/** Steps over the whole payload, about a tenth of a second: 200 kB with a pattern of usual length. */
const MAX_STEPS = 10_000_000
/** Of one line: a pattern with `every` looks at it again and again. */
const MAX_LINE_LENGTH = 4_096

const decodeRegex = (options: Compiled, { payload, device }: DecoderInput): Decoded => {
  const lines = options.lines ? payloadLines(payload, options) : [payloadText(payload, options.encoding)]
  const budget = { steps: MAX_STEPS }
  const values = new TextValues(device, options.values)
  for (const line of lines) {
    if (options.lines && line.length > MAX_LINE_LENGTH) {
      values.fault(`a line has ${line.length} characters, more than ${MAX_LINE_LENGTH}`)
      continue
    }
    const matches = lineMatches(options, line, budget)
    if (matches.length === 0 && options.unmatched === 'fault') values.fault(`no pattern matches: ${shortened(line)}`)
    for (const { groups } of matches) {
      const timeMs = options.time === undefined ? undefined : lineTime(groups.get(options.time.name), options)
      for (const [name, text] of groups) if (name !== options.time?.name) values.add(name, text, timeMs)
    }
  }
  return values.decoded()
}

/** Of the first pattern that matches. */
const lineMatches = (
  { patterns, every }: Compiled,
  line: string,
  budget: { steps: number },
): readonly PatternMatch[] => {
  for (const pattern of patterns) {
    const matches: PatternMatch[] = []
    for (let from = 0; from <= line.length; ) {
      budget.steps -= pattern.size * (line.length - from + 1)
      if (budget.steps < 0) throw new DecodeError('the payload is too long for the patterns')
      const match = pattern.match(line, from)
      if (match === undefined) break
      matches.push(match)
      if (!every) break
      from = match.end > match.start ? match.end : match.end + 1
    }
    if (matches.length > 0) return matches
  }
  return []
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'regex',
  schema: {
    description: 'Named groups of regular expressions',
    required: ['patterns'],
    properties: {
      patterns: {
        type: 'array',
        minItems: 1,
        maxItems: 64,
        items: { type: 'string', minLength: 1, maxLength: 2_000 },
        description: 'The first that matches a line decides; its named groups are readings',
      },
      ignoreCase: { type: 'boolean', default: false },
      lines: { type: 'boolean', default: true, description: 'Each line for itself; false: the whole payload at once' },
      every: { type: 'boolean', default: false, description: 'All matches of a line, not the first alone' },
      unmatched: { enum: ['fault', 'ignore'], default: 'fault', description: 'What a line is that nothing matches' },
      ...lineOptionsSchema,
    },
  },
  create: (given) => {
    const written = given as RegexOptions
    const patterns = written.patterns.map((pattern) => compilePattern(pattern, written.ignoreCase))
    for (const [index, { names }] of patterns.entries())
      if (names.length === 0)
        throw new Error(`pattern ${index + 1} has no named group, such as (?<temperature>[-\\d.]+)`)
    const options: Compiled = { ...written, patterns, values: valueOptions(written) }
    return { decode: (input) => decodeRegex(options, input) }
  },
}
