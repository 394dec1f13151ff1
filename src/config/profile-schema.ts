// JSON Schema of a device profile file. What the keys mean stands in devices/README.md; the types are in core/profile.ts.

import { PLAIN_DECODERS } from '../core/profile.ts'
import { serialProperties } from '../core/serial-settings.ts'
import { shapeSchema } from '../core/shape.ts'
import { modbusSchema } from './modbus-section.ts'
import type { JsonSchema } from './schema.ts'

/** Longer texts in a profile are a mistake. */
const MAX_TEXT = 4_000
const COMMAND_NAME = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'

const text = (description: string, more: JsonSchema = {}): JsonSchema => ({
  type: 'string',
  minLength: 1,
  maxLength: MAX_TEXT,
  description,
  ...more,
})
const list = (description: string, items: JsonSchema, more: JsonSchema = {}): JsonSchema => ({
  type: 'array',
  minItems: 1,
  description,
  items,
  ...more,
})
const object = (properties: Readonly<Record<string, JsonSchema>>, required: readonly string[]): JsonSchema => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
})

const value: JsonSchema = { type: ['number', 'string', 'boolean'] }
const path = text('Path of object keys, joined with "."')
const time = text('ISO 8601 with its zone', {
  pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|[+-]\\d\\d:\\d\\d)$',
})

const field = object(
  {
    match: { type: ['string', 'array'], items: path, minItems: 1, minLength: 1, description: 'Globs over the path' },
    ignore: { type: 'boolean', description: 'The leaf is noise' },
    name: text('Name of the reading; {path} and the captures of the topic may stand in it'),
    unit: text('SenML unit'),
    unitFrom: path,
    type: { enum: ['number', 'string', 'boolean'], description: 'Turns the value into this type' },
    values: { type: 'object', additionalProperties: value, minProperties: 1, description: 'What texts stand for' },
    scale: { type: 'number', description: 'Factor' },
    offset: { type: 'number', description: 'Added after the factor' },
    range: list('Least and greatest credible value', { type: 'number' }, { minItems: 2, maxItems: 2 }),
  },
  ['match'],
)

const defaults: Readonly<Record<string, JsonSchema>> = {
  fields: list('What to make of leaves; the first that matches decides', field),
  missing: list('Texts that mean "no value"', { type: 'string', maxLength: MAX_TEXT }),
  numbers: { type: 'boolean', description: 'Numeric strings are numbers' },
}

const presence: JsonSchema = {
  ...object(
    {
      path,
      online: list('Texts that mean that the device is there', text('Text')),
      offline: list('Texts that mean that the device is gone', text('Text')),
      device: text('Template of the device; that of the rule by default'),
      below: { type: 'boolean', description: 'The devices below its name are gone with it' },
    },
    [],
  ),
  description: 'What the payload says about the device being there',
  anyOf: [{ required: ['online'] }, { required: ['offline'] }],
}

const rule = (decoders: readonly string[]): JsonSchema =>
  object(
    {
      topics: {
        type: 'array',
        description: 'Topic patterns; none: for sources that name the profile, whatever the topic',
        default: [],
        items: { type: 'string' },
      },
      decoder: { enum: [...PLAIN_DECODERS, ...decoders], description: 'How the payload is read; or a dialect' },
      options: { type: 'object', description: 'Options of the dialect' },
      payloads: list('The rule applies to these payloads only', { type: 'string', maxLength: MAX_TEXT }),
      starts: list('The rule applies to payloads that start so', text('Start of the payload')),
      device: text('Template of the device; {device} by default'),
      deviceFrom: list('Paths of what tells the device in the payload; joined with "/" it is {device}', path),
      name: text('Template of the names; {path} stands for the path in JSON'),
      root: path,
      strip: list('Paths that are left out of the names of what is below them', path),
      time: object({ path, format: { enum: ['unix', 'unix-ms', 'iso8601', 'any'] } }, ['path', 'format']),
      lists: list(
        'Arrays whose elements have names',
        object({ path, key: text('Key that holds the name') }, ['path', 'key']),
      ),
      presence,
      ...defaults,
    },
    ['decoder'],
  )

const parameter = object(
  {
    type: { enum: ['number', 'string', 'boolean'], description: 'What the value must be' },
    title: text('Meaning, for people'),
    values: list('The only values that are allowed', value),
    range: list('Least and greatest value of a number', { type: 'number' }, { minItems: 2, maxItems: 2 }),
    integer: { type: 'boolean', description: 'A whole number' },
    unit: text('SenML unit'),
    maxLength: { type: 'integer', minimum: 1, maximum: MAX_TEXT, description: 'Longest text, in characters' },
    default: { ...value, description: 'Where the request leaves it out' },
    sends: { type: 'object', additionalProperties: value, minProperties: 1, description: 'What is sent for a value' },
  },
  ['type'],
)

const command = object(
  {
    name: text('Name of the command', { pattern: COMMAND_NAME }),
    title: text('Meaning, for people'),
    devices: list('Patterns over names of devices: those that have the command', text('Pattern')),
    topic: text('Template of the topic that the command is published to'),
    payload: { description: 'A text is a template; anything else is sent as JSON, with the parameters in it' },
    qos: { enum: [0, 1, 2], description: 'QoS; 1 by default' },
    parameters: {
      type: 'object',
      propertyNames: { pattern: '^[a-z][A-Za-z0-9]{0,63}$' },
      additionalProperties: parameter,
      minProperties: 1,
      description: 'What the command wants to know',
    },
  },
  ['name', 'payload'],
)

const reading = object(
  { device: text('Device'), name: text('Name'), value, unit: text('Unit'), time, historical: { type: 'boolean' } },
  ['name', 'value'],
)

const message: Readonly<Record<string, JsonSchema>> = {
  topic: text('Topic Name'),
  payload: { type: 'string', description: 'The payload as text' },
  hex: text('The payload in hexadecimal digits', { pattern: '^\\s*([0-9a-fA-F]{2}\\s*)*$' }),
}

const example = object(
  {
    ...message,
    before: list('Messages that came before it, oldest first', object(message, ['topic'])),
    receivedAt: time,
    device: text('Device of every expected reading'),
    readings: { type: 'array', items: reading, description: 'Exactly the readings that must come out' },
    fault: text('Part of the fault that must come out'),
    presence: {
      type: 'object',
      additionalProperties: { type: 'boolean' },
      description: 'Devices that must be reported to be there (true) or gone (false)',
    },
  },
  ['topic'],
)

/** `decoders`: the dialects that rules may name. */
export const profileSchema = (decoders: readonly string[]): JsonSchema =>
  object(
    {
      name: text('Name of the profile', { pattern: '^[a-z0-9][a-z0-9-]{0,63}$' }),
      title: text('Name for people'),
      source: text('Where the dialect is documented', { pattern: '^https?://' }),
      about: text('What is device, name, unit and time, and which fields are noise'),
      ...defaults,
      serial: { ...object(serialProperties, []), description: 'How a serial line to such a device is set up' },
      modbus: modbusSchema,
      shape: shapeSchema,
      rules: list('Topics, and how their payloads are read', rule(decoders)),
      interval: {
        type: 'string',
        format: 'duration',
        formatMinimum: '1s',
        description: 'How often such a device reports; learnt from each device by default',
      },
      commands: list('What such a device can be told', command),
      rawCommands: { type: 'boolean', description: 'false: only the commands listed here may be sent' },
      examples: list('Messages and what must come out of them; tests', example),
    },
    ['name', 'title', 'source', 'about', 'rules', 'examples'],
  )
