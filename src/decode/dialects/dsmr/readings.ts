// The data objects of one telegram as readings: names, numbers, units and times. Whatever hangs on the M-Bus goes to a
// device of its own, named by what it meters.

import type { Doubt, Reading, UnixMs } from '../../../core/contract.ts'
import { convertUnit, unitSpelling } from '../../../core/unit.ts'
import { MAX_TEXT_LENGTH } from '../../limits.ts'
import { codeName, isCount, isHexText, medium } from './codes.ts'
import type { DataObject } from './data-object.ts'
import type { CrcCheck } from './telegram.ts'
import { parseTimestamp, type Timestamp } from './timestamp.ts'

export interface DsmrOptions {
  readonly crc: CrcCheck
  readonly winterOffsetHours: number
  readonly history: boolean
}

type Value = Pick<Reading, 'value' | 'unit'>

const CLOCK = '1.0.0'
const DEVICE_TYPE = '24.1.0'
/** DSMR 2.2: hourly value of an M-Bus device, with its unit before it. */
const HOURLY = '24.3.0'
const FAILURE_LOG = '99.97.0'
const MONTHLY_PEAKS = '98.1.0'

const NUMBER = /^-?\d{1,15}(?:\.\d{1,10})?$/
const HEX_TEXT = /^(?:[2-7][0-9A-Fa-f])+$/

export class TelegramReadings {
  readonly readings: Reading[] = []
  readonly doubtful: Doubt[] = []
  readonly faults: string[] = []
  readonly #device: string
  readonly #options: DsmrOptions
  #timeMs: UnixMs | undefined

  constructor(device: string, options: DsmrOptions) {
    this.#device = device
    this.#options = options
  }

  add(objects: readonly DataObject[]): void {
    const channels = this.#channels(objects)
    const clock = objects.find(({ a, b, code }) => a === 0 && b === 0 && code === CLOCK)?.values[0]
    const stamp = clock === undefined ? undefined : this.#stamp(clock)
    if (stamp === 'impossible') this.faults.push(`there is no such time: ${clock}`)
    else this.#timeMs = stamp?.timeMs
    for (const object of objects) {
      const { a, b, code } = object
      if (a === 0 && b > 0) this.#addOfChannel(object, channels.get(b) ?? `${this.#device}/mbus-${b}`)
      else if (code === FAILURE_LOG) this.#addLog(object, 'power-failure', 2)
      else if (code === MONTHLY_PEAKS) this.#addLog(object, 'power.import.peak', 3)
      else if (a !== 0 || code !== CLOCK) this.#addOwn(object)
    }
  }

  // The device of each channel. A second meter of the same kind, as after an exchange, has its channel in its name.
  #channels(objects: readonly DataObject[]): ReadonlyMap<number, string> {
    const channels = new Map<number, string>()
    const taken = new Set<string>()
    // One that has a value is meant before one that has only a type.
    const metering = new Set(objects.filter(({ code }) => code.startsWith('24.2') || code === HOURLY).map(({ b }) => b))
    const types = objects.filter(({ a, b, code }) => a === 0 && b > 0 && code === DEVICE_TYPE)
    const order = [...types].sort((x, y) => Number(metering.has(y.b)) - Number(metering.has(x.b)) || x.b - y.b)
    for (const { b, values } of order) {
      const name = medium(Number(values[0])) ?? 'mbus'
      channels.set(b, `${this.#device}/${name === 'mbus' || taken.has(name) ? `${name}-${b}` : name}`)
      taken.add(name)
    }
    return channels
  }

  #addOwn({ a, b, code, values }: DataObject): void {
    const name = codeName(a, b, code)
    const [first = '', second] = values
    const stamp = second === undefined ? undefined : this.#stamp(first)
    this.#push(this.#device, name, stamp === undefined ? first : (second ?? ''), stamp ?? { timeMs: this.#timeMs })
  }

  #addOfChannel({ a, b, code, values }: DataObject, device: string): void {
    const [first = '', second] = values
    if (code === DEVICE_TYPE) return
    if (code === HOURLY) {
      // (time)(status)(interval)(…)(code)(unit)(value)
      const stamp = this.#stamp(first)
      this.#push(device, this.#meteredName(values[5] ?? ''), `${values[6] ?? ''}*${values[5] ?? ''}`, stamp)
    } else if (/^24\.2\.\d+$/.test(code) && second !== undefined) {
      const name = this.#meteredName(/\*(.*)$/.exec(second)?.[1] ?? '')
      // E = 3 is not converted to standard temperature (e-MUCS P1).
      this.#push(device, code === '24.2.3' ? `${name}.uncorrected` : name, second, this.#stamp(first))
    } else this.#push(device, codeName(a, b, code), first, { timeMs: this.#timeMs })
  }

  #meteredName(unit: string): string {
    const base = unitSpelling(unit, '')?.unit
    return base === 'm3' || base === 'l'
      ? 'volume'
      : base === 'J' || base?.endsWith('Wh') === true
        ? 'energy'
        : 'metered'
  }

  // Buffers of earlier events, (count)(code…)(time)(value)…: the newest is a reading of its own, the others are history.
  #addLog({ values }: DataObject, name: string, size: 2 | 3): void {
    const entries: { readonly timeMs: UnixMs; readonly text: string }[] = []
    const from = values.findIndex((value) => this.#stamp(value) !== undefined)
    if (from < 0) return
    for (let index = from; index + size <= values.length; index += size) {
      const stamp = this.#stamp(values[index] ?? '')
      // The clock of the meter was never set when it happened: nobody knows when that was.
      if (stamp === undefined || stamp === 'impossible' || stamp.timeMs === undefined) continue
      entries.push({ timeMs: stamp.timeMs, text: values[index + size - 1] ?? '' })
    }
    entries.sort((x, y) => y.timeMs - x.timeMs)
    // The peak of the running month has an object of its own.
    const isPeak = size === 3
    for (const [index, { timeMs, text }] of entries.entries()) {
      const late = index > 0 || isPeak
      if (late && !this.#options.history) continue
      this.#push(this.#device, name, text, { timeMs }, late)
    }
  }

  #push(device: string, name: string, text: string, stamp: Timestamp, historical = false): void {
    if (text === '') return
    const value = this.#value(name, text)
    if (value === undefined) {
      this.faults.push(`${name} has no value that can be read: ${text.slice(0, 40)}`)
      return
    }
    if (stamp === 'impossible') {
      this.doubtful.push({ device, name, reason: 'faulty', value: value.value })
      return
    }
    const timeMs = stamp?.timeMs
    this.readings.push({
      device,
      name,
      ...value,
      ...(timeMs === undefined ? {} : { timeMs }),
      ...(historical ? { historical: true as const } : {}),
    })
  }

  #value(name: string, text: string): Value | undefined {
    if (text.length > MAX_TEXT_LENGTH) return undefined
    const star = text.indexOf('*')
    if (star < 0) {
      if (isCount(name)) return NUMBER.test(text) ? { value: Number(text) } : undefined
      const readable = isHexText(name) && HEX_TEXT.test(text) && text.length % 2 === 0
      return { value: readable ? Buffer.from(text, 'hex').toString('latin1') : text }
    }
    const digits = text.slice(0, star)
    if (!NUMBER.test(digits)) return undefined
    const spelling = unitSpelling(text.slice(star + 1), name)
    const value = Number(digits)
    return spelling === undefined ? { value } : { value: convertUnit(value, spelling), unit: spelling.unit }
  }

  #stamp(text: string): Timestamp {
    return parseTimestamp(text, this.#options.winterOffsetHours)
  }
}
