// The sentences of satellite receivers (IEC 61162-1, 8.3).

import type { Report } from './report.ts'
import { KNOT, type SentenceType } from './sentence-type.ts'

/** Field 6 of GGA. */
const QUALITIES = ['none', 'gps', 'dgps', 'pps', 'rtk', 'rtk-float', 'estimated', 'manual', 'simulated']

/** The mode indicator of RMC, GLL, VTG and GNS. */
const MODES: ReadonlyMap<string, string> = new Map([
  ['N', 'none'],
  ['A', 'gps'],
  ['D', 'dgps'],
  ['P', 'pps'],
  ['R', 'rtk'],
  ['F', 'rtk-float'],
  ['E', 'estimated'],
  ['M', 'manual'],
  ['S', 'simulated'],
])
/** Where each constellation of GNS has a mode of its own, the best one counts. */
const BEST_FIRST = 'RFPDAEMSN'

const DIMENSIONS: ReadonlyMap<string, string> = new Map([
  ['1', 'none'],
  ['2', '2d'],
  ['3', '3d'],
])

const position = (report: Report, first: number): void => {
  const lat = report.angle(first, 'N', 'S', 90)
  const lon = report.angle(first + 2, 'E', 'W', 180)
  if (lat === undefined || lon === undefined) return
  report.value('lat', lat, 'lat')
  report.value('lon', lon, 'lon')
}

/** That there is no fix is itself a fact. */
const fix = (report: Report, meaning: string | undefined, invalid: boolean): void => {
  const none = invalid || meaning === 'none'
  report.value('fix', none ? 'none' : meaning)
  report.doubtful = none
}

export const positionSentences: Readonly<Record<string, SentenceType>> = {
  // Global positioning system fix data.
  GGA: {
    fields: 14,
    time: 1,
    invalid: (report) => Number(report.text(6)) === 0,
    read: (report) => {
      const quality = report.number(6)
      fix(report, quality === undefined ? undefined : QUALITIES[quality], quality === undefined)
      position(report, 2)
      report.value('altitude', report.number(9), 'm')
      report.value('geoid-separation', report.number(11), 'm')
      report.value('hdop', report.number(8))
      report.value('dgps.age', report.number(13), 's')
      report.doubtful = false
      report.value('satellites', report.number(7), 'count')
    },
  },
  // GNSS fix data.
  GNS: {
    fields: 12,
    time: 1,
    invalid: (report) => /^N*$/.test(report.text(6)),
    read: (report) => {
      const best = [...BEST_FIRST].find((mode) => report.text(6).includes(mode))
      fix(report, MODES.get(best ?? 'N'), false)
      position(report, 2)
      report.value('altitude', report.number(9), 'm')
      report.value('geoid-separation', report.number(10), 'm')
      report.value('hdop', report.number(8))
      report.value('dgps.age', report.number(11), 's')
      report.doubtful = false
      report.value('satellites', report.number(7), 'count')
    },
  },
  // Recommended minimum specific GNSS data.
  RMC: {
    fields: 11,
    time: 1,
    invalid: (report) => report.text(2) !== 'A' || report.text(12) === 'N',
    read: (report) => {
      fix(report, MODES.get(report.text(12)), report.text(2) !== 'A')
      position(report, 3)
      const knots = report.number(7)
      report.value('speed', knots === undefined ? undefined : knots * KNOT, 'm/s')
      report.value('course', report.number(8), 'deg')
      report.value('magnetic-variation', report.signed(10, 'W'), 'deg')
    },
  },
  // Geographic position. Version 1.5 ends after the position.
  GLL: {
    fields: 4,
    time: 5,
    invalid: (report) => report.text(6) === 'V' || report.text(7) === 'N',
    read: (report) => {
      fix(report, MODES.get(report.text(7)), report.text(6) === 'V')
      position(report, 1)
    },
  },
  // Course over ground and ground speed.
  VTG: {
    fields: 8,
    read: (report) => {
      fix(report, MODES.get(report.text(9)), false)
      report.value('course', report.number(1), 'deg')
      report.value('course.magnetic', report.number(3), 'deg')
      const knots = report.number(5)
      const kmh = report.number(7)
      report.value('speed', knots === undefined ? (kmh === undefined ? kmh : kmh / 3.6) : knots * KNOT, 'm/s')
    },
  },
  // GNSS DOP and active satellites.
  GSA: {
    fields: 17,
    read: (report) => {
      report.value('fix.mode', DIMENSIONS.get(report.text(2)))
      report.doubtful = report.text(2) === '1'
      report.value('pdop', report.number(15))
      report.value('hdop', report.number(16))
      report.value('vdop', report.number(17))
    },
  },
  // GNSS satellites in view: four in each of up to nine sentences, whose first one is enough for their number.
  GSV: {
    fields: 3,
    read: (report, { satellites }) => {
      const { talker, fields } = report.sentence
      if (report.text(2) === '1') report.value(`satellites.in-view.${talker}`, report.number(3), 'count')
      if (!satellites) return
      for (let first = 4; first + 3 <= fields.length; first += 4) {
        const number = report.number(first)
        if (number === undefined) continue
        const name = `satellite.${talker}.${number}`
        report.value(`${name}.elevation`, report.number(first + 1), 'deg')
        report.value(`${name}.azimuth`, report.number(first + 2), 'deg')
        report.value(`${name}.snr`, report.number(first + 3), 'dB')
      }
    },
  },
  // GNSS pseudorange error statistics: standard deviations.
  GST: {
    fields: 8,
    time: 1,
    read: (report) => {
      report.value('error.rms', report.number(2), 'm')
      report.value('error.lat', report.number(6), 'm')
      report.value('error.lon', report.number(7), 'm')
      report.value('error.altitude', report.number(8), 'm')
    },
  },
  // Time and date: they are the time of the other sentences, and no reading.
  ZDA: { fields: 4, time: 1, read: () => undefined },
}
