// The sentences of instruments on board and of weather stations: heading, water, depth, wind, transducers (IEC 61162-1, 8.3).

import { convertUnit, unitSpelling } from '../../../core/unit.ts'
import type { Report } from './report.ts'
import { KNOT, type SentenceType } from './sentence-type.ts'

const FATHOM = 1.8288
const FOOT = 0.3048

/** Units of speed in MWV, in metres a second. */
const SPEEDS: ReadonlyMap<string, number> = new Map([
  ['K', 1 / 3.6],
  ['M', 1],
  ['N', KNOT],
  ['S', 0.44704],
])

/** XDR: transducer type and its unit, and what both mean. */
const TRANSDUCERS: ReadonlyMap<string, string> = new Map([
  ['CC', 'C'],
  ['CF', 'F'],
  ['CK', 'K'],
  ['AD', 'deg'],
  ['PB', 'bar'],
  ['PP', 'Pa'],
  ['HP', '%RH'],
  ['UV', 'V'],
  ['IA', 'A'],
  ['FH', 'Hz'],
  ['NN', 'N'],
  ['TR', 'rpm'],
  ['RL', 'l/s'],
  ['VM', 'm3'],
  ['VP', '%'],
  ['DM', 'm'],
  ['LS', 'ppt'],
])
const DEFAULT_UNITS: ReadonlyMap<string, string> = new Map([
  ['C', 'C'],
  ['A', 'D'],
  ['P', 'B'],
  ['H', 'P'],
  ['U', 'V'],
  ['I', 'A'],
  ['F', 'H'],
  ['N', 'N'],
  ['T', 'R'],
  ['R', 'L'],
  ['V', 'M'],
  ['D', 'M'],
  ['L', 'S'],
])

const inUnit = (report: Report, name: string, value: number | undefined, spelt: string): void => {
  const spelling = unitSpelling(spelt, name)
  if (value === undefined) return
  if (spelling === undefined) report.value(name, value)
  else report.value(name, convertUnit(value, spelling), spelling.unit)
}

/** The first of several units that has a value, each with its factor. */
const firstOf = (report: Report, ...choices: readonly (readonly [field: number, factor: number])[]) => {
  for (const [field, factor] of choices) {
    const value = report.number(field)
    if (value !== undefined) return value * factor
  }
  return undefined
}

const heading = (name: string): SentenceType => ({
  fields: 1,
  read: (report) => report.value(name, report.number(1), 'deg'),
})

const xdr = (report: Report): void => {
  const { fields } = report.sentence
  for (let first = 1; first + 2 <= fields.length; first += 4) {
    const type = report.text(first)
    const unit = report.text(first + 2)
    const name = `xdr.${report.text(first + 3) || `${type}${(first + 3) / 4}`}`
    // A switch is 0 or 1; generic transducers have no unit.
    if (type === 'S')
      report.value(name, report.number(first + 1) === undefined ? undefined : report.number(first + 1) !== 0)
    else
      inUnit(
        report,
        name,
        report.number(first + 1),
        TRANSDUCERS.get(type + (unit || (DEFAULT_UNITS.get(type) ?? ''))) ?? '',
      )
  }
}

export const instrumentSentences: Readonly<Record<string, SentenceType>> = {
  HDT: heading('heading.true'),
  HDM: heading('heading.magnetic'),
  // Heading, deviation and variation.
  HDG: {
    fields: 1,
    read: (report) => {
      report.value('heading.magnetic', report.number(1), 'deg')
      report.value('heading.deviation', report.signed(2, 'W'), 'deg')
      report.value('magnetic-variation', report.signed(4, 'W'), 'deg')
    },
  },
  // Water temperature.
  MTW: {
    fields: 1,
    read: (report) => inUnit(report, 'water.temperature', report.number(1), report.text(2) || 'C'),
  },
  // Depth below transducer, in feet, metres and fathoms.
  DBT: {
    fields: 4,
    read: (report) => report.value('depth.below-transducer', firstOf(report, [3, 1], [1, FOOT], [5, FATHOM]), 'm'),
  },
  // Depth. The offset is the distance from the transducer up to the water line, or (negative) down to the keel.
  DPT: {
    fields: 1,
    read: (report) => {
      const depth = report.number(1)
      const offset = report.number(2)
      report.value('depth.below-transducer', depth, 'm')
      if (depth === undefined || offset === undefined || offset === 0) return
      report.value(offset > 0 ? 'depth.below-surface' : 'depth.below-keel', depth + offset, 'm')
    },
  },
  // Wind speed and angle, relative to the bow or (T) as it blows over the ground.
  MWV: {
    fields: 4,
    read: (report) => {
      report.doubtful = report.text(5) === 'V'
      const kind = report.text(2) === 'T' ? 'true' : 'relative'
      report.value(`wind.${kind}.angle`, report.number(1), 'deg')
      const factor = SPEEDS.get(report.text(4))
      const speed = report.number(3)
      if (factor !== undefined) report.value(`wind.${kind}.speed`, speed === undefined ? speed : speed * factor, 'm/s')
      else if (speed !== undefined) report.fault(`field 4 is no unit of speed: ${report.text(4).slice(0, 10)}`)
    },
  },
  // Wind direction and speed.
  MWD: {
    fields: 7,
    read: (report) => {
      report.value('wind.direction', report.number(1), 'deg')
      report.value('wind.direction.magnetic', report.number(3), 'deg')
      report.value('wind.speed', firstOf(report, [7, 1], [5, KNOT]), 'm/s')
    },
  },
  // Water speed and heading.
  VHW: {
    fields: 5,
    read: (report) => {
      report.value('heading.true', report.number(1), 'deg')
      report.value('heading.magnetic', report.number(3), 'deg')
      report.value('water.speed', firstOf(report, [5, KNOT], [7, 1 / 3.6]), 'm/s')
    },
  },
  // Transducer measurements: type, value, unit and name, repeated.
  XDR: { fields: 4, read: xdr },
  // Meteorological composite; withdrawn, and sent by every weather station all the same.
  MDA: {
    fields: 15,
    read: (report) => {
      const bar = report.number(3)
      const inches = report.number(1)
      inUnit(report, 'pressure', bar ?? inches, bar === undefined ? 'inHg' : 'bar')
      report.value('air.temperature', report.number(5), 'Cel')
      report.value('water.temperature', report.number(7), 'Cel')
      report.value('humidity', report.number(9), '%RH')
      report.value('dew-point', report.number(11), 'Cel')
      report.value('wind.direction', report.number(13), 'deg')
      report.value('wind.direction.magnetic', report.number(15), 'deg')
      report.value('wind.speed', firstOf(report, [19, 1], [17, KNOT]), 'm/s')
    },
  },
}
