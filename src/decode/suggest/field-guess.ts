// What the name of a value, and the values that were seen, say about it: its unit, or that it is noise. Guesses, for a draft
// that a person looks through.

import type { ReadingValue } from '../../core/profile.ts'

export interface SeenValue {
  readonly name: string
  readonly values: ReadonlySet<ReadingValue>
}

/** Parts of names, in the order in which they decide; a name is cut at . _ - and where its case changes. */
const UNITS: readonly (readonly [words: RegExp, unit: string])[] = [
  [/^(temp|temperature|dewpoint|dew|celsius|degc|tc)$/, 'Cel'],
  [/^(humidity|hum|rh|moisture)$/, '%RH'],
  [/^(pressure|baro|barometer)$/, 'hPa'],
  [/^(batt|bat|battery|soc)$/, '%EL'],
  [/^(co2|eco2|tvoc|voc)$/, 'ppm'],
  [/^(pm1|pm10|pm25|pm2|pm4)$/, 'ug/m3'],
  [/^(lux|illuminance|brightness)$/, 'lux'],
  [/^(kwh)$/, 'kWh'],
  [/^(wh)$/, 'Wh'],
  [/^(energy)$/, 'kWh'],
  [/^(power|watt|watts)$/, 'W'],
  [/^(voltage|volt|volts|vbat|vcc|vdd)$/, 'V'],
  [/^(current|amps|ampere)$/, 'A'],
  [/^(freq|frequency)$/, 'Hz'],
  [/^(rssi)$/, 'dBm'],
  [/^(snr)$/, 'dB'],
  [/^(wind|gust)$/, 'm/s'],
  [/^(rain|rainfall|precipitation)$/, 'mm'],
  [/^(direction|heading|azimuth)$/, 'deg'],
  [/^(lat|latitude)$/, 'lat'],
  [/^(lon|lng|longitude)$/, 'lon'],
  [/^(altitude|alt|elevation|distance|depth|level)$/, 'm'],
  [/^(weight|mass)$/, 'kg'],
  [/^(flow)$/, 'l/s'],
  [/^(volume)$/, 'm3'],
  [/^(uptime|runtime)$/, 's'],
]

/** Credible values of a unit: a "level" of 87 is no altitude that anybody meant to be sure of, but a temperature of 4000 is none. */
const CREDIBLE: Readonly<Record<string, readonly [number, number]>> = {
  Cel: [-100, 400],
  '%RH': [0, 100],
  '%EL': [0, 100],
  hPa: [300, 1_200],
  V: [-1_000, 1_000],
  deg: [-360, 360],
  lat: [-90, 90],
  lon: [-180, 180],
}

const NOISE =
  /^(id|uid|uuid|mac|ip|ssid|bssid|fw|firmware|version|ver|model|manufacturer|vendor|hostname|host|serial|sn|heap|chip|type|topic|url)$/

const TIME = /^(time|ts|timestamp|date|datetime|utc|epoch|unixtime)$/

const wordsOf = (name: string): readonly string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '')
    .map((word) => word.toLowerCase())

/** The unit that the name stands for, where the numbers that were seen can be in it. */
export const guessUnit = ({ name, values }: SeenValue): string | undefined => {
  const numbers = [...values].map(Number).filter((value) => Number.isFinite(value))
  if (numbers.length === 0 || [...values].some((value) => typeof value === 'boolean')) return undefined
  const words = wordsOf(name).toReversed()
  // A battery in volts is no percentage: the more particular word comes last in a name.
  for (const word of words) {
    const unit = UNITS.find(([pattern]) => pattern.test(word))?.[1]
    const range = unit === undefined ? undefined : CREDIBLE[unit]
    if (unit !== undefined && (range === undefined || numbers.every((value) => value >= range[0] && value <= range[1])))
      return unit
  }
  return undefined
}

/** Texts that say what the device is rather than what it measures. */
export const isNoise = ({ name, values }: SeenValue): boolean =>
  NOISE.test(wordsOf(name).at(-1) ?? '') && [...values].every((value) => typeof value !== 'boolean')

export const isTimeName = (name: string): boolean => TIME.test(wordsOf(name).at(-1) ?? '')

const MISSING = [
  '',
  'nan',
  'NaN',
  'null',
  'None',
  'none',
  'unknown',
  'unavailable',
  'N/A',
  'n/a',
  '-',
  '--',
  '---',
  'ovf',
]

/** What texts that are no number seem to mean "no value", where the others are numbers. */
export const missingTexts = ({ values }: SeenValue): readonly string[] => {
  const texts = [...values].filter((value) => typeof value === 'string')
  const missing = texts.filter((text) => MISSING.includes(text))
  const isNumeric = [...values].every(
    (value) => typeof value === 'number' || missing.includes(String(value)) || isNumber(value),
  )
  return isNumeric && missing.length < values.size ? missing : []
}

/** Numbers that are written as texts. */
export const isNumberText = ({ values }: SeenValue): boolean =>
  [...values].some((value) => typeof value === 'string' && isNumber(value))

const isNumber = (value: ReadingValue): boolean =>
  typeof value === 'string' && /^[-+]?(?:0|[1-9]\d*)(?:[.,]\d+)?$/.test(value.trim())
