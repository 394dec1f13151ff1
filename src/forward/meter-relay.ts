// The forward thread's meter: collects and hands over in bulk what the ingest thread's meter is then told.

import type { Meter } from '../core/contract.ts'
import type { MeterDelta } from './protocol.ts'

type Labels = Readonly<Record<string, string>>

/** Observations between two hand-overs; more of them are dropped, the histogram then stands for a sample. */
const MAX_OBSERVATIONS = 500

export class MeterRelay implements Meter {
  #sums = new Map<string, MeterDelta>()
  #gauges = new Map<string, MeterDelta>()
  #observations: MeterDelta[] = []

  add(name: string, labels?: Labels, by = 1): void {
    const key = keyOf(name, labels)
    const sum = (this.#sums.get(key)?.value ?? 0) + by
    this.#sums.set(key, { kind: 'add', name, value: sum, ...(labels && { labels }) })
  }

  set(name: string, value: number, labels?: Labels): void {
    this.#gauges.set(keyOf(name, labels), { kind: 'set', name, value, ...(labels && { labels }) })
  }

  observe(name: string, value: number, labels?: Labels): void {
    if (this.#observations.length >= MAX_OBSERVATIONS) return
    this.#observations.push({ kind: 'observe', name, value, ...(labels && { labels }) })
  }

  /** Everything since the last call. */
  take(): MeterDelta[] {
    const deltas = [...this.#sums.values(), ...this.#gauges.values(), ...this.#observations]
    this.#sums = new Map()
    this.#gauges = new Map()
    this.#observations = []
    return deltas
  }
}

/** On the other side. */
export const applyDeltas = (deltas: readonly MeterDelta[], meter: Meter): void => {
  for (const { kind, name, value, labels } of deltas) {
    if (kind === 'add') meter.add(name, labels, value)
    else if (kind === 'set') meter.set(name, value, labels)
    else meter.observe(name, value, labels)
  }
}

const keyOf = (name: string, labels: Labels | undefined): string => {
  if (labels === undefined) return name
  let key = name
  for (const label in labels) key += `\n${label}=${labels[label]}`
  return key
}
