// What a profile or a sink says about the shape in which readings are shown and forwarded: fewer of them, other names, other
// units. Plain data and its schema; decode/shaper.ts does it. The log keeps everything in any case.

export interface ShapeRule {
  /** Topic Filters over the device; all where absent. */
  readonly devices?: readonly string[]
  /** Globs over the name, as in `fields` of a profile; all where absent. */
  readonly names?: readonly string[]
  readonly drop?: boolean
  /** Template of the new name; {name} is the old one. */
  readonly rename?: string
  /** SenML unit that numbers are converted into. */
  readonly unit?: string
  /** A number passes when it differs by more than this from the one that passed last; `2%` is a part of that one. */
  readonly deadband?: number | string
  /** A value passes when it differs from the one that passed last. */
  readonly changeOnly?: boolean
  /** With the two above: milliseconds after which a value passes although it is the same. */
  readonly heartbeat?: number
  /** Milliseconds: at most one value passes in so long, the first of each step. */
  readonly every?: number
  readonly window?: WindowRule
}

/** Numbers are collected over steps of time; what passes are figures of each step, when it is over. */
export interface WindowRule {
  /** Milliseconds; steps begin at multiples of it. */
  readonly per: number
  readonly of: readonly WindowFigure[]
}

export type WindowFigure = 'min' | 'mean' | 'max' | 'first' | 'last' | 'sum' | 'count'

/** An hour unseen is a device that may have died. */
const DEFAULT_HEARTBEAT = '1h'

const texts = (description: string, format?: string) => ({
  type: 'array',
  minItems: 1,
  maxItems: 100,
  items: { type: 'string', minLength: 1, maxLength: 256, ...(format === undefined ? {} : { format }) },
  description,
})

/** JSON Schema of a list of rules; the first that fits a reading decides. */
export const shapeSchema = {
  type: 'array',
  minItems: 1,
  maxItems: 100,
  description: 'What is shown and forwarded of readings; the first rule that fits one decides',
  items: {
    type: 'object',
    additionalProperties: false,
    properties: {
      devices: texts('Topic Filters over the device', 'topic-filter'),
      names: texts('Globs over the name: * is any part between dots, ** any number of parts'),
      drop: { type: 'boolean', description: 'Nothing passes' },
      rename: { type: 'string', minLength: 1, maxLength: 256, description: 'New name; {name} is the old one' },
      unit: { type: 'string', format: 'unit', description: 'SenML unit to convert numbers into' },
      deadband: {
        anyOf: [
          { type: 'number', minimum: 0 },
          { type: 'string', pattern: '^[0-9]{1,6}(\\.[0-9]{1,6})?%$' },
        ],
        description:
          'A number passes when it differs by more than this from the one that passed last; 2% is a part of it',
      },
      changeOnly: { type: 'boolean', description: 'A value passes when it differs from the one that passed last' },
      heartbeat: {
        type: 'string',
        format: 'duration',
        formatMinimum: '1s',
        description: `With deadband or changeOnly: the same value passes after so long (default: ${DEFAULT_HEARTBEAT})`,
      },
      every: {
        type: 'string',
        format: 'duration',
        formatMinimum: '100ms',
        formatMaximum: '24h',
        description: 'At most one value passes in so long',
      },
      window: {
        type: 'object',
        additionalProperties: false,
        required: ['per', 'of'],
        description: 'Figures over steps of time pass instead of the numbers, as NAME.FIGURE',
        properties: {
          per: { type: 'string', format: 'duration', formatMinimum: '1s', formatMaximum: '1h' },
          of: {
            type: 'array',
            minItems: 1,
            uniqueItems: true,
            items: { enum: ['min', 'mean', 'max', 'first', 'last', 'sum', 'count'] },
          },
        },
      },
    },
  },
} as const
