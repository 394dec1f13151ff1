// The dialect 'pairs': `temp:21.5,hum:40`, `temp=21.5 hum=40`, `temp: 21.5 C`. It is what the Arduino Serial Plotter reads
// (labels and values, separated by comma, tab or space), and what most sketches and scripts print.

import type { Decoded } from '../../core/contract.ts'
import type { DecoderInput } from '../../core/decoder-contract.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { type Pair, splitPairs } from '../pair-split.ts'
import {
  checkText,
  type LineOptions,
  lineOptionsSchema,
  lineTime,
  payloadLines,
  valueOptions,
} from '../text-options.ts'
import { type TextValueOptions, TextValues } from '../text-values.ts'

interface PairOptions extends LineOptions {
  readonly separator: string
  readonly assign: string
  readonly names: readonly string[]
}

/** What `separator` may say instead of a text; the rest stands for itself. */
const WORDS: Readonly<Record<string, string>> = { tab: '\t', space: ' ', line: '\n' }

type Compiled = PairOptions & { readonly values: TextValueOptions }

const decodePairs = (options: Compiled, { payload, device }: DecoderInput): Decoded => {
  const { separator, assign, decimal, names, time } = options
  const values = new TextValues(device, options.values)
  // A comma that is the decimal mark separates nothing.
  const separators = separator === 'auto' ? (decimal === ',' ? ';\t' : ',;\t') : (WORDS[separator] ?? separator)
  const format = {
    separators,
    loose: separator === 'auto' || separator === 'space',
    assigns: assign === 'auto' ? ':=' : assign,
  }
  // With `line`, all lines are one record, with one time.
  const lines = payloadLines(payload, options)
  for (const record of separator === 'line' ? [lines] : lines.map((line) => [line])) {
    const pairs = record.flatMap((line) => {
      checkText(line)
      return splitPairs(line, format)
    })
    addRecord(values, pairs, options, names, time)
  }
  return values.decoded()
}

const addRecord = (
  values: TextValues,
  pairs: readonly Pair[],
  options: PairOptions,
  names: readonly string[],
  time: PairOptions['time'],
): void => {
  const named = pairs.map(({ name, value }, index) => ({ name: name ?? names[index] ?? `value${index + 1}`, value }))
  const timeMs = time === undefined ? undefined : lineTime(named.find(({ name }) => name === time.name)?.value, options)
  for (const [index, { name, value }] of named.entries()) {
    const noise = name === '' && pairs[index]?.name === undefined
    if (!noise && name !== time?.name) values.add(name, value, timeMs)
  }
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'pairs',
  schema: {
    description: 'Names and values: temp:21.5,hum:40',
    properties: {
      separator: {
        type: 'string',
        minLength: 1,
        maxLength: 8,
        default: 'auto',
        description:
          'Between pairs: auto (comma, semicolon, tab, spaces), tab, space, line, or any of the given characters',
      },
      assign: {
        type: 'string',
        minLength: 1,
        maxLength: 8,
        default: 'auto',
        description: 'Between name and value: auto (: and =), or any of the given characters',
      },
      names: {
        type: 'array',
        items: { type: 'string' },
        maxItems: 1_000,
        default: [],
        description: "Names of values without one, by place; '' for noise; value1, value2 … where it is too short",
      },
      ...lineOptionsSchema,
    },
  },
  create: (given) => {
    const options = { ...(given as PairOptions), values: valueOptions(given as LineOptions) }
    return { decode: (input) => decodePairs(options, input) }
  },
}
