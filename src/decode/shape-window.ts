// One step of time of one value: what is collected in it, and the figures that come out at its end.

import type { Reading, UnixMs } from '../core/contract.ts'
import type { WindowFigure, WindowRule } from '../core/shape.ts'

/** Never changed, only replaced. */
export interface Window {
  readonly rule: WindowRule
  /** What comes out carries its device, name and unit. */
  readonly newest: Reading
  readonly startMs: UnixMs
  readonly endMs: UnixMs
  readonly first: number
  readonly last: number
  readonly min: number
  readonly max: number
  readonly sum: number
  readonly count: number
}

export const startWindow = (rule: WindowRule, newest: Reading, value: number, atMs: UnixMs): Window => {
  const startMs = Math.floor(atMs / rule.per) * rule.per
  const figures = { first: value, last: value, min: value, max: value, sum: value, count: 1 }
  return { rule, newest, startMs, endMs: startMs + rule.per, ...figures }
}

export const addToWindow = (window: Window, newest: Reading, value: number): Window => ({
  ...window,
  newest,
  last: value,
  min: Math.min(window.min, value),
  max: Math.max(window.max, value),
  sum: window.sum + value,
  count: window.count + 1,
})

/** Each at the end of the step, named NAME.FIGURE. */
export const windowReadings = (window: Window): readonly Reading[] => {
  const { rule, newest, endMs } = window
  const { device, name, unit } = newest
  return rule.of.flatMap((figure): readonly Reading[] => {
    const value = figureOf(window, figure)
    // A sum beyond the range of doubles says nothing.
    if (!Number.isFinite(value)) return []
    const isMeasured = figure !== 'count' && unit !== undefined
    const reading = { device, name: `${name}.${figure}`, value, timeMs: endMs }
    return [isMeasured ? { ...reading, unit } : reading]
  })
}

const figureOf = (window: Window, figure: WindowFigure): number => {
  if (figure === 'mean') return Number((window.sum / window.count).toPrecision(12))
  return figure === 'sum' ? Number(window.sum.toPrecision(12)) : window[figure]
}
