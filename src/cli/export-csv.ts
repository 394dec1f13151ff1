// CSV (RFC 4180), a row for each reading, and one without a name for a message that could not be decoded. Texts that a
// spreadsheet would take for a formula begin with an apostrophe: they come from whoever may publish.

import type { LiveReading } from '../live/reading.ts'
import type { Exported, ExportFormat } from './export-format.ts'

const COLUMNS = ['seq', 'time', 'timeQuality', 'topic', 'device', 'name', 'value', 'unit', 'fault']

export const csv = (): ExportFormat => ({ head: row(COLUMNS), tail: '', message: rows })

const rows = ({ entry, decoding, readings }: Exported): string => {
  const { fault = '' } = decoding
  let text = ''
  for (const reading of readings) {
    const { seq, device, name, value, unit = '' } = reading
    const cells = [...timeCells(reading), safe(entry.topic), safe(device), safe(name), valueCell(value), safe(unit)]
    text += row([String(seq), ...cells, safe(fault)])
  }
  if (text !== '' || fault === '') return text
  const time = [new Date(entry.receivedAt).toISOString(), entry.timeQuality ?? '']
  return row([String(entry.seq), ...time, safe(entry.topic), safe(decoding.device), '', '', '', safe(fault)])
}

const timeCells = ({ timeMs, timeQuality }: LiveReading): string[] => [
  new Date(timeMs).toISOString(),
  timeQuality ?? '',
]

const valueCell = (value: number | string | boolean): string =>
  typeof value === 'string' ? safe(value) : String(value)

const safe = (text: string): string => (/^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text)

const row = (cells: readonly string[]): string => `${cells.map(quoted).join()}\r\n`

const quoted = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)
