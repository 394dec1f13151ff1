// RFC 8428, Sensor Measurement Lists (SenML) in JSON: Packs to readings and readings to Packs. Clause numbers are those
// of RFC 8428 unless another is named.
//
// Device and name. SenML knows one name; a reading has a device and a name. A base name that ends in '/' or ':' states
// the device, and the rest of the resolved name is the name ("urn:dev:ow:10e2073a01080063:" + "voltage"). Else the last
// part of the resolved name after a '/' is the name and what stands before it the device. Else the device is the topic.
//
// Names beyond the characters of 4.5.1 (spaces, umlauts) are taken and sent as they are: a device keeps one identity.

import type { Reading, Seq, TimeQuality, UnixMs } from './contract.ts'
import { DecodeError } from './errors.ts'

/** Times below it are relative to now (4.5.3): 2^28 seconds. */
const RELATIVE_BELOW_S = 2 ** 28
/** A time before this is no date but a distance from the arrival, whatever a clock that was never set made of it. */
export const EARLIEST_DATE_MS = RELATIVE_BELOW_S * 1_000
/** The version of RFC 8428 (4.1). */
const BASE_VERSION = 10
/** Feature codes of RFC 9100 (versions from 16 on are sums of them) that this parser knows: 16 = secondary units. */
const KNOWN_FEATURES = 16
/** Records of one Pack; a message of the default size limit cannot usefully hold more. */
export const MAX_SENML_RECORDS = 5_000
/** A name or a value is a word or a measurement, not a file. */
const MAX_TEXT_LENGTH = 4_096

const LABEL_TYPES: ReadonlyMap<string, 'string' | 'number' | 'boolean'> = new Map([
  ['bn', 'string'],
  ['bt', 'number'],
  ['bu', 'string'],
  ['bv', 'number'],
  ['bs', 'number'],
  ['bver', 'number'],
  ['n', 'string'],
  ['u', 'string'],
  ['v', 'number'],
  ['vs', 'string'],
  ['vb', 'boolean'],
  ['vd', 'string'],
  ['s', 'number'],
  ['t', 'number'],
  ['ut', 'number'],
])
const VALUE_LABELS = ['v', 'vs', 'vb', 'vd'] as const
const MEASURING_LABELS = [...VALUE_LABELS, 's', 'bv'] as const
const REGULAR_LABELS = [...VALUE_LABELS, 'n', 'u', 's', 't', 'ut'] as const

/** A record whose labels have the types of 4.3, table 1. */
interface SenmlRecord {
  readonly bn?: string
  readonly bt?: number
  readonly bu?: string
  readonly bv?: number
  readonly bs?: number
  readonly bver?: number
  readonly n?: string
  readonly u?: string
  /** A bigint where it is an integer that no double holds: it becomes text, with all its digits. */
  readonly v?: number | bigint
  readonly vs?: string
  readonly vb?: boolean
  readonly vd?: string
  readonly s?: number
  readonly t?: number
  readonly ut?: number
}

/** Whether parsed JSON is meant as a Pack: records with a name, and a value under a SenML label somewhere. */
export const isSenmlPack = (value: unknown): value is readonly unknown[] => {
  if (!Array.isArray(value)) return false
  const first: unknown = value[0]
  if (!isObject(first) || (typeof first['bn'] !== 'string' && typeof first['n'] !== 'string')) return false
  return value.some(
    (record: unknown) => isObject(record) && MEASURING_LABELS.some((label) => Object.hasOwn(record, label)),
  )
}

/** Readings of a Pack in JSON. Throws DecodeError. `now` is the arrival. */
export const parseSenml = (text: string, topic: string, now: UnixMs): readonly Reading[] => {
  let pack: unknown
  try {
    pack = JSON.parse(text)
  } catch (error) {
    throw new DecodeError('the SenML Pack is not valid JSON', { cause: error })
  }
  return resolveSenml(pack, topic, now)
}

/** Readings of a parsed Pack: records resolved as 4.6 says. Throws DecodeError. */
export const resolveSenml = (pack: unknown, topic: string, now: UnixMs): readonly Reading[] => {
  if (!Array.isArray(pack) || pack.length === 0) throw new DecodeError('a SenML Pack is an array of records') // 5
  if (pack.length > MAX_SENML_RECORDS)
    throw new DecodeError(`the SenML Pack has ${pack.length} records, more than ${MAX_SENML_RECORDS}`)
  const readings: Reading[] = []
  const base: { -readonly [Label in 'bn' | 'bt' | 'bu' | 'bv' | 'bs' | 'bver']?: SenmlRecord[Label] } = {}
  for (const [index, item] of pack.entries()) {
    const record = checkedRecord(item, index)
    // Base fields hold from here on, until the same field comes again (4.1).
    if (record.bn !== undefined) base.bn = record.bn
    if (record.bt !== undefined) base.bt = record.bt
    if (record.bu !== undefined) base.bu = record.bu
    if (record.bv !== undefined) base.bv = record.bv
    if (record.bs !== undefined) base.bs = record.bs
    if (record.bver !== undefined) {
      checkVersion(record.bver, base.bver, index)
      base.bver = record.bver
    }
    // A record of base fields alone sets the stage for those that follow; only a base value makes it a measurement.
    if (base.bv === undefined && !REGULAR_LABELS.some((label) => record[label] !== undefined)) continue
    resolveRecord(record, base, index, topic, now, readings)
  }
  return readings
}

const resolveRecord = (
  record: SenmlRecord,
  base: SenmlRecord,
  index: number,
  topic: string,
  now: UnixMs,
  readings: Reading[],
): void => {
  const { device, name } = deviceAndName(base.bn ?? '', record.n ?? '', index, topic)
  const unit = record.u ?? base.bu // 4.5.2
  const timeMs = resolvedTimeMs((base.bt ?? 0) + (record.t ?? 0), now, index)
  const rest = { ...(unit === undefined || unit === '' ? {} : { unit }), ...(timeMs === undefined ? {} : { timeMs }) }
  const value = record.vs ?? record.vb ?? record.vd ?? sumOf(base.bv, record.v) // 4.5.4: a missing one of bv and v is 0
  // The sum alone may stand for the value (4.2): then, and next to a value, it is a reading of its own, in unit x seconds.
  const sum = record.s === undefined ? undefined : sumOf(base.bs, record.s)
  if (value === undefined && sum === undefined)
    throw new DecodeError(`SenML record ${index} has neither a value nor a sum`) // 4.2
  for (const number of [value, sum])
    if (typeof number === 'number' && !Number.isFinite(number))
      throw new DecodeError(`SenML record ${index} has a number that is not finite`)
  if (value !== undefined) readings.push({ device, name, value, ...rest })
  if (sum !== undefined)
    readings.push({ device, name: `${name}.sum`, value: sum, ...(timeMs === undefined ? {} : { timeMs }) })
}

const sumOf = (base: number | undefined, own: number | bigint | undefined): number | string | undefined => {
  if (base !== undefined) return base + Number(own ?? 0)
  return typeof own === 'bigint' ? String(own) : own
}

const checkedRecord = (item: unknown, index: number): SenmlRecord => {
  if (!isObject(item)) throw new DecodeError(`SenML record ${index} is not an object`)
  let values = 0
  for (const label of Object.keys(item)) {
    const type = LABEL_TYPES.get(label)
    const value = item[label]
    if (type === undefined) {
      // Unknown labels are ignored, unless they say that they must not be (4.4).
      if (label.endsWith('_'))
        throw new DecodeError(`SenML record ${index} needs the unknown extension '${cut(label)}'`)
    } else if (label === 'v' && typeof value === 'bigint') {
      values++
    } else if (typeof value !== type || (type === 'number' && !Number.isFinite(value))) {
      throw new DecodeError(`SenML record ${index}: '${label}' is not a ${type}`) // 4.3, table 1
    } else if (typeof value === 'string' && value.length > MAX_TEXT_LENGTH) {
      throw new DecodeError(`SenML record ${index}: '${label}' is longer than ${MAX_TEXT_LENGTH} characters`)
    } else if (label === 'v' || label === 'vs' || label === 'vb' || label === 'vd') {
      values++
    }
  }
  if (values > 1) throw new DecodeError(`SenML record ${index} has more than one value`) // 4.2
  const record: SenmlRecord = item
  if (record.vd !== undefined && !/^[A-Za-z0-9_-]*={0,2}$/.test(record.vd))
    throw new DecodeError(`SenML record ${index}: 'vd' is not base64url`) // 5
  return record
}

const checkVersion = (version: number, before: number | undefined, index: number): void => {
  if (!Number.isInteger(version) || version < 1)
    throw new DecodeError(`SenML record ${index}: 'bver' is not a positive integer`)
  // All records of a Pack have the same version (4.1).
  if (before !== undefined && before !== version)
    throw new DecodeError(`SenML record ${index}: 'bver' ${version} contradicts ${before}`)
  if (version <= BASE_VERSION) return
  // RFC 9100, 2: the version is 10 plus the codes of the features that the Pack needs.
  const features = version - BASE_VERSION
  if (features !== KNOWN_FEATURES) throw new DecodeError(`SenML version ${version} is not supported`) // 4.4
}

/** 4.5.3: the sum of base time and time; small ones, negative ones included, are relative to now. */
const resolvedTimeMs = (seconds: number, now: UnixMs, index: number): UnixMs | undefined => {
  if (seconds === 0) return undefined
  const timeMs = seconds < RELATIVE_BELOW_S ? now + seconds * 1_000 : seconds * 1_000
  if (Math.abs(timeMs) > 8.64e15) throw new DecodeError(`SenML record ${index}: the time is out of range`)
  return Math.round(timeMs * 1_000) / 1_000
}

const deviceAndName = (bn: string, n: string, index: number, topic: string): { device: string; name: string } => {
  const resolved = bn + n // 4.5.1
  if (resolved === '') throw new DecodeError(`SenML record ${index} has no name`)
  if (resolved.length > MAX_TEXT_LENGTH)
    throw new DecodeError(`SenML record ${index}: the name is longer than ${MAX_TEXT_LENGTH} characters`)
  if (bn.length > 1 && n !== '' && (bn.endsWith('/') || bn.endsWith(':'))) return { device: bn.slice(0, -1), name: n }
  const slash = resolved.lastIndexOf('/')
  if (slash > 0 && slash < resolved.length - 1)
    return { device: resolved.slice(0, slash), name: resolved.slice(slash + 1) }
  return { device: topic, name: resolved }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const cut = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text)

// ---------------------------------------------------------------------------------------------------------------------
// Writing

/** What a Pack says about one reading of its device. */
export interface SenmlReading {
  readonly name: string
  readonly value: number | string | boolean
  readonly unit?: string
  /** The reading's own time, or the arrival. */
  readonly timeMs: UnixMs
  /** Of a time that is the arrival; absent where the clock had been set. */
  readonly timeQuality?: TimeQuality
  readonly seq: Seq
}

/**
 * A Pack of one device's readings. The first record carries the base name `DEVICE/`; each record its absolute time and
 * its seq ("seq" and "timeQuality" are no SenML labels, so readers that do not know them ignore them: 4.4).
 *
 * An arrival by a clock that was never set is left out: in 1970 it would be read as relative, and later as a date that it is
 * not. No time means that the sensor knows none (4.5.3), which is the truth.
 */
export const writeSenmlPack = (device: string, readings: readonly SenmlReading[]): string => {
  let pack = '['
  for (const [index, reading] of readings.entries()) {
    pack += index === 0 ? `{"bn":${quoted(`${device}/`)},"n":` : ',{"n":'
    pack += quoted(reading.name)
    if (reading.unit !== undefined) pack += `,"u":${quoted(reading.unit)}`
    pack += writtenValue(reading.value)
    if (reading.timeQuality !== 'unsynced' && reading.timeMs >= EARLIEST_DATE_MS)
      pack += `,"t":${reading.timeMs / 1_000}`
    if (reading.timeQuality !== undefined) pack += `,"timeQuality":"${reading.timeQuality}"`
    pack += `,"seq":${reading.seq}}`
  }
  return `${pack}]`
}

const writtenValue = (value: number | string | boolean): string => {
  if (typeof value === 'string') return `,"vs":${quoted(value)}`
  if (typeof value === 'boolean') return value ? ',"vb":true' : ',"vb":false'
  return Number.isFinite(value) ? `,"v":${value}` : `,"vs":"${value}"`
}

// Most texts need no escape; looking is three times cheaper than JSON.stringify.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what JSON must escape
const NEEDS_ESCAPE = /["\\\u0000-\u001f\ud800-\udfff]/

const quoted = (text: string): string => (NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`)
