// What one sentence gives: its fields read strictly, its values with their unit and time. A field that is empty has no
// value; one that cannot be read is named, and the others of its sentence still count.

import type { Doubt, Reading, UnixMs } from '../../../core/contract.ts'
import { shortened } from '../../limits.ts'
import type { Sentence } from './sentence.ts'

export interface Gathered {
  readonly readings: Reading[]
  readonly doubtful: Doubt[]
  readonly faults: string[]
}

const NUMBER = /^[-+]?(?:\d{1,15}\.?\d{0,15}|\.\d{1,15})$/
/** 1e-9 degrees are a tenth of a millimetre. */
const DECIMALS = 1e9

export class Report {
  readonly sentence: Sentence
  /** The sentence itself says that what it tells is not valid. */
  doubtful = false
  timeMs: UnixMs | undefined
  readonly #device: string
  readonly #gathered: Gathered

  constructor(sentence: Sentence, device: string, gathered: Gathered) {
    this.sentence = sentence
    this.#device = device
    this.#gathered = gathered
  }

  /** Fields count from 1, as in the standard. */
  text(number: number): string {
    return this.sentence.fields[number - 1]?.trim() ?? ''
  }

  number(number: number): number | undefined {
    const text = this.text(number)
    if (text === '') return undefined
    if (NUMBER.test(text)) return Number(text)
    this.fault(`field ${number} is no number: ${shortened(text)}`)
    return undefined
  }

  /** A number whose sign stands in the field behind it. */
  signed(number: number, negative: string): number | undefined {
    const value = this.number(number)
    return value === undefined ? undefined : this.text(number + 1) === negative ? -value : value
  }

  /** Degrees and minutes, and the hemisphere in the field behind them. */
  angle(number: number, positive: string, negative: string, most: number): number | undefined {
    const text = this.text(number)
    const hemisphere = this.text(number + 1)
    if (text === '') return undefined
    const match = /^(\d{0,3})(\d\d(?:\.\d{0,12})?)$/.exec(text)
    const minutes = Number(match?.[2])
    const degrees = Number(match?.[1]) + minutes / 60
    if (match !== null && minutes < 60 && degrees <= most && (hemisphere === positive || hemisphere === negative))
      return hemisphere === negative ? -degrees : degrees
    this.fault(`field ${number} is no position: ${shortened(`${text},${hemisphere}`)}`)
    return undefined
  }

  value(name: string, value: number | string | boolean | undefined, unit?: string): void {
    if (value === undefined || value === '') return
    const rounded = typeof value === 'number' ? Math.round(value * DECIMALS) / DECIMALS + 0 : value
    if (this.doubtful) {
      this.#gathered.doubtful.push({ device: this.#device, name, reason: 'faulty', value: rounded })
      return
    }
    this.#gathered.readings.push({
      device: this.#device,
      name,
      value: rounded,
      ...(unit === undefined ? {} : { unit }),
      ...(this.timeMs === undefined ? {} : { timeMs: this.timeMs }),
    })
  }

  fault(text: string): void {
    const { talker, type } = this.sentence
    this.#gathered.faults.push(`${talker}${type}: ${text}`)
  }
}
