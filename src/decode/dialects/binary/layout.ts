// What the options of the dialect 'binary' say, as types and as JSON Schema. How to write them: devices/README.md.

import { CHECKSUM_NAMES, type ChecksumName } from '../../checksum.ts'

export type Endian = 'big' | 'little'

export type NumberType =
  | 'u8'
  | 'i8'
  | 'u16'
  | 'i16'
  | 'u24'
  | 'i24'
  | 'u32'
  | 'i32'
  | 'u48'
  | 'u64'
  | 'i64'
  | 'f32'
  | 'f64'

export interface FieldLayout {
  readonly name: string
  readonly type: NumberType | 'bool' | 'bcd' | 'text' | 'hex'
  /** Position of the first byte; a negative one counts from the end. */
  readonly at: number
  /** Of bcd, text and hex. */
  readonly length?: number
  readonly endian?: Endian
  /** The lowest and the highest bit that count, 0 being the lowest. */
  readonly bits?: readonly [low: number, high: number]
  readonly scale?: number
  readonly offset?: number
  readonly unit?: string
  /** Raw values, or bytes in hexadecimal digits, that mean "no value": no reading, and no fault. */
  readonly missing?: readonly (number | string)[]
  /** Raw values, or bytes, with which the device says that its sensor is faulty. */
  readonly faulty?: readonly (number | string)[]
  readonly range?: readonly [number, number]
  /** May lie beyond the end of the payload: then it is not there. */
  readonly optional?: boolean
}

export interface GroupLayout {
  readonly at: number
  readonly sizeBytes: number
  /** As many as fit where neither is given. */
  readonly count?: number
  /** Position of a byte that holds the count. */
  readonly countAt?: number
  /** Where the groups end at the latest; a negative position counts from the end. */
  readonly until?: number
  /** Before the names of its fields; {index} counts from 1. */
  readonly prefix: string
  readonly fields: readonly FieldLayout[]
}

export interface ChecksumLayout {
  readonly type: ChecksumName
  readonly at: number
  readonly from: number
  /** The first byte that does not count; `at` where absent. */
  readonly to?: number
  readonly endian?: Endian
}

export interface Layout {
  readonly length?: number
  readonly minLength?: number
  readonly magic?: readonly { readonly at: number; readonly hex: string }[]
  readonly endian: Endian
  readonly checksum?: ChecksumLayout
  readonly fields: readonly FieldLayout[]
  readonly groups: readonly GroupLayout[]
}

const position = { type: 'integer', minimum: -65_536, maximum: 65_535 } as const
const endian = { enum: ['big', 'little'] } as const
const sentinels = {
  type: 'array',
  minItems: 1,
  maxItems: 64,
  items: { anyOf: [{ type: 'number' }, { type: 'string', pattern: '^([0-9a-fA-F]{2})+$' }] },
} as const

const fields = {
  type: 'array',
  maxItems: 1_000,
  default: [],
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'type', 'at'],
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 200, description: 'Of the reading' },
      type: {
        enum: [
          ...['u8', 'i8', 'u16', 'i16', 'u24', 'i24', 'u32', 'i32', 'u48', 'u64', 'i64', 'f32', 'f64'],
          ...['bool', 'bcd', 'text', 'hex'],
        ],
      },
      at: { ...position, description: 'Position of the first byte; negative: from the end' },
      length: { type: 'integer', minimum: 1, maximum: 1_024, description: 'Bytes of bcd, text and hex' },
      endian: { ...endian, description: 'Byte order, where it is another than that of the layout' },
      bits: {
        type: 'array',
        minItems: 2,
        maxItems: 2,
        items: { type: 'integer', minimum: 0, maximum: 63 },
        description: 'Lowest and highest bit that count',
      },
      scale: { type: 'number', description: 'Factor' },
      offset: { type: 'number', description: 'Added after the factor' },
      unit: { type: 'string', minLength: 1, description: 'SenML unit' },
      missing: { ...sentinels, description: 'Raw values that mean "no value"' },
      faulty: { ...sentinels, description: 'Raw values with which the device says that its sensor is faulty' },
      range: { type: 'array', minItems: 2, maxItems: 2, items: { type: 'number' }, description: 'Credible values' },
      optional: { type: 'boolean', description: 'May lie beyond the end' },
    },
  },
} as const

const layout = {
  length: { type: 'integer', minimum: 1, maximum: 65_536, description: 'Bytes, exactly' },
  minLength: { type: 'integer', minimum: 1, maximum: 65_536, description: 'Bytes, at least' },
  magic: {
    type: 'array',
    minItems: 1,
    maxItems: 8,
    description: 'Bytes that must stand there',
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['at', 'hex'],
      properties: { at: position, hex: { type: 'string', pattern: '^([0-9a-fA-F]{2}\\s*)+$' } },
    },
  },
  endian: { ...endian, default: 'big', description: 'Byte order' },
  checksum: {
    type: 'object',
    additionalProperties: false,
    required: ['type', 'at'],
    properties: {
      type: { enum: CHECKSUM_NAMES },
      at: { ...position, description: 'Where it stands; negative: from the end' },
      from: { ...position, default: 0, description: 'The first byte that counts' },
      to: {
        ...position,
        description: 'The first byte that does not count any more; where the checksum stands if absent',
      },
      endian,
    },
  },
  fields,
  groups: {
    type: 'array',
    maxItems: 16,
    default: [],
    description: 'Fields that repeat',
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['at', 'sizeBytes', 'fields'],
      properties: {
        at: { ...position, description: 'Position of the first group' },
        sizeBytes: { type: 'integer', minimum: 1, maximum: 65_536, description: 'Of one group' },
        count: { type: 'integer', minimum: 1, maximum: 5_000 },
        countAt: { ...position, description: 'Position of a byte that holds the count' },
        until: { ...position, description: 'Where groups end at the latest' },
        prefix: { type: 'string', maxLength: 200, default: '{index}.', description: '{index} counts from 1' },
        fields,
      },
    },
  },
} as const

export const binarySchema = {
  description: 'Fields at positions in bytes',
  properties: {
    encoding: {
      enum: ['raw', 'hex', 'base64'],
      default: 'raw',
      description: 'Whether the payload is the bytes or a text that holds them',
    },
    ...layout,
    layouts: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      description: 'Several layouts; the first whose length and magic fit decides',
      items: { type: 'object', additionalProperties: false, properties: layout },
    },
  },
} as const
