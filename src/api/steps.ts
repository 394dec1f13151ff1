// Minimum, mean and maximum of numbers per device, name and step of time; steps begin at multiples of their length since 1970.

import type { LiveReading } from '../live/reading.ts'

/** More than any chart shows. */
const MAX_STEPS = 20_000

interface Step {
  readonly device: string
  readonly name: string
  readonly unit: string | undefined
  readonly startMs: number
  min: number
  max: number
  sum: number
  count: number
}

export interface StepReport {
  readonly device: string
  readonly name: string
  readonly unit?: string
  /** Start of the step. */
  readonly time: string
  readonly min: number
  readonly mean: number
  readonly max: number
  readonly count: number
}

export class Steps {
  readonly #everyMs: number
  readonly #steps = new Map<string, Step>()

  constructor(everyMs: number) {
    this.#everyMs = everyMs
  }

  get overfull(): boolean {
    return this.#steps.size > MAX_STEPS
  }

  /** Texts and booleans have no mean; they are passed over. */
  add({ device, name, unit, value, timeMs }: LiveReading): void {
    if (typeof value !== 'number') return
    const startMs = Math.floor(timeMs / this.#everyMs) * this.#everyMs
    const key = JSON.stringify([startMs, device, name])
    const step = this.#steps.get(key)
    if (step === undefined) {
      this.#steps.set(key, { device, name, unit, startMs, min: value, max: value, sum: value, count: 1 })
      return
    }
    step.min = Math.min(step.min, value)
    step.max = Math.max(step.max, value)
    step.sum += value
    step.count++
  }

  /** By time, then device and name as they first came. */
  report(): StepReport[] {
    const sorted = [...this.#steps.values()].sort((one, other) => one.startMs - other.startMs)
    return sorted.map(({ device, name, unit, startMs, min, max, sum, count }) => ({
      device,
      name,
      ...(unit !== undefined && { unit }),
      time: new Date(startMs).toISOString(),
      min,
      mean: sum / count,
      max,
      count,
    }))
  }
}
