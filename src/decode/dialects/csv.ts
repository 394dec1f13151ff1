// The dialect 'csv': values in columns, one or several lines a message. The columns are named by the profile or by a header
// line in the payload; a line with another number of columns is a fault of its own (half a line, another report).

import type { Decoded } from '../../core/contract.ts'
import type { DecoderInput } from '../../core/decoder-contract.ts'
import { DecodeError } from '../../core/errors.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { type UnitSpelling, unitSpelling } from '../../core/unit.ts'
import { csvRows } from '../csv-rows.ts'
import { payloadText } from '../payload.ts'
import { checkText, type LineOptions, lineOptionsSchema, lineTime, valueOptions } from '../text-options.ts'
import { type TextValueOptions, TextValues } from '../text-values.ts'

interface CsvOptions extends LineOptions {
  readonly columns?: readonly string[]
  readonly header: boolean
  readonly separator: keyof typeof SEPARATORS | 'auto'
  readonly tolerant: boolean
  readonly skipLines: number
  readonly device?: string
}

interface Column {
  /** Empty: no reading. */
  readonly name: string
  readonly unit?: UnitSpelling
}

const SEPARATORS = { ',': ',', ';': ';', '|': '|', tab: '\t', space: ' ' } as const

type Compiled = CsvOptions & { readonly values: TextValueOptions }

const decodeCsv = (options: Compiled, { payload, device }: DecoderInput): Decoded => {
  const { separator, comment, skipLines } = options
  const text = payloadText(payload, options.encoding)
  checkText(text)
  const rows = csvRows(text, {
    separator: separator === 'auto' ? undefined : SEPARATORS[separator],
    comment,
    skipLines,
  })
  const [first = []] = rows
  const columns = options.columns?.map(column) ?? (options.header ? first.map(headerColumn) : first.map(unnamed))
  if (columns.length === 0) throw new DecodeError('the payload has no line with values')
  const values = new TextValues(device, options.values)
  for (let index = options.header ? 1 : 0; index < rows.length; index++)
    addRow(options, values, columns, rows[index] ?? [], index + 1)
  return values.decoded()
}

const addRow = (
  { tolerant, time, device, ...rest }: CsvOptions,
  values: TextValues,
  columns: readonly Column[],
  row: readonly string[],
  number: number,
): void => {
  // Many devices end each line with a separator.
  const length = row.length === columns.length + 1 && row.at(-1)?.trim() === '' ? columns.length : row.length
  if (!tolerant && length !== columns.length) {
    values.fault(`line ${number} has ${length} columns instead of ${columns.length}`)
    return
  }
  const cell = (name: string | undefined) =>
    name === undefined ? undefined : row[columns.findIndex((one) => one.name === name)]?.trim()
  const timeMs = time === undefined ? undefined : lineTime(cell(time.name), { ...rest, time })
  const owner = cell(device)
  if (owner === '') {
    values.fault(`line ${number} names no device`)
    return
  }
  for (let index = 0; index < columns.length && index < length; index++) {
    const { name, unit } = columns[index] ?? { name: '' }
    if (name !== '' && name !== time?.name && name !== device) values.add(name, row[index] ?? '', timeMs, unit, owner)
  }
}

const column = (name: string): Column => ({ name })
const unnamed = (_: string, index: number): Column => ({ name: `value${index + 1}` })

/** `Temperature (°C)`, `temp [C]`: the name, and the unit of its values where it is one. */
const headerColumn = (cell: string): Column => {
  const text = cell.trim()
  const bracket = Math.max(text.lastIndexOf('('), text.lastIndexOf('['))
  if (bracket < 1 || !/[)\]]$/.test(text)) return { name: text }
  const name = text.slice(0, bracket).trim()
  const unit = unitSpelling(text.slice(bracket + 1, -1).trim(), name)
  return unit === undefined ? { name: text } : { name, unit }
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'csv',
  schema: {
    description: 'Values in columns',
    properties: {
      columns: {
        type: 'array',
        minItems: 1,
        maxItems: 1_000,
        items: { type: 'string' },
        description: "Names of the columns, in order; '' for one that is noise",
      },
      header: { type: 'boolean', default: false, description: 'The first line of each payload names the columns' },
      separator: { enum: [...Object.keys(SEPARATORS), 'auto'], default: 'auto', description: 'Between columns' },
      tolerant: { type: 'boolean', default: false, description: 'Lines may have more or fewer columns' },
      skipLines: { type: 'integer', minimum: 0, maximum: 100, default: 0, description: 'Lines before the values' },
      device: { type: 'string', minLength: 1, description: 'The column that names the device' },
      ...lineOptionsSchema,
    },
  },
  create: (given) => {
    const options = { ...(given as CsvOptions), values: valueOptions(given as LineOptions) }
    return {
      ...(options.device === undefined ? {} : { severalDevices: true as const }),
      decode: (input) => decodeCsv(options, input),
    }
  },
}
