// SenML (RFC 8428) in JSON: one Pack for everything, written as it is read. Each message's records begin with their base
// name, so a part of the Pack between two of them is a Pack, too.

import { type SenmlReading, writeSenmlPack } from '../core/senml.ts'
import type { LiveReading } from '../live/reading.ts'
import type { Exported, ExportFormat } from './export-format.ts'

export const senml = (): ExportFormat => {
  let separator = '\n'
  return {
    head: '[',
    tail: '\n]\n',
    message: ({ readings }: Exported): string => {
      let text = ''
      for (const group of byDevice(readings)) {
        const pack = writeSenmlPack(group[0]?.device ?? '', group.map(record))
        text += `${separator}${pack.slice(1, -1)}`
        separator = ',\n'
      }
      return text
    },
  }
}

const record = ({ name, value, unit, timeMs, timeQuality, seq }: LiveReading): SenmlReading => ({
  name,
  value,
  ...(unit === undefined ? {} : { unit }),
  timeMs,
  seq,
  ...(timeQuality === undefined ? {} : { timeQuality }),
})

/** Neighbours of one device. */
const byDevice = (readings: readonly LiveReading[]): LiveReading[][] => {
  const groups: LiveReading[][] = []
  for (const reading of readings) {
    const group = groups.at(-1)
    if (group?.[0]?.device === reading.device) group.push(reading)
    else groups.push([reading])
  }
  return groups
}
