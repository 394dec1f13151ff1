// InfluxDB line protocol: measurement `reading`, tags device, name, unit and (unless the clock was set) timeQuality, a field for each type of value (so that none is
// of two types), and the seq. Line protocol has no way to write a backslash before a comma, a space, an equals sign or the end
// of a tag; it becomes the full-width one. Control characters in tags become spaces.

import type { LiveReading } from '../live/reading.ts'
import type { Exported, ExportFormat } from './export-format.ts'

const MEASUREMENT = 'reading'
/** What fits into 64 bits of nanoseconds, with a day to spare: the years 1677 to 2262. */
const LIMIT_MS = 2 ** 63 / 1e6 - 86_400_000

export const influx = (): ExportFormat => ({
  head: '',
  tail: '',
  message: ({ readings }: Exported): string => readings.map(line).join(''),
})

const line = ({ device, name, unit, value, seq, timeMs, timeQuality }: LiveReading): string => {
  if (Math.abs(timeMs) > LIMIT_MS) return ''
  const tags = [tag('device', device), tag('name', name), tag('unit', unit), tag('timeQuality', timeQuality)].join('')
  const nanoseconds = BigInt(Math.round(timeMs * 1_000)) * 1_000n
  return `${MEASUREMENT}${tags} ${field(value)},seq=${seq}i ${nanoseconds}\n`
}

/** An empty tag value is not allowed. */
const tag = (key: string, value = ''): string => (value === '' ? '' : `,${key}=${tagValue(value)}`)

const tagValue = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    .replace(/[\u0000-\u001f\u007f]/g, ' ')
    .replace(/\\(?=[, =\\]|$)/g, '\uff3c')
    .replace(/[, =]/g, '\\$&')

const field = (value: number | string | boolean): string => {
  if (typeof value === 'number') return `value=${value}`
  if (typeof value === 'boolean') return `state=${value}`
  return `text="${value.replace(/[\\"]/g, '\\$&').replace(/\r/g, '\\r').replace(/\n/g, '\\n')}"`
}
