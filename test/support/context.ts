// What the gateway gives to its parts, for tests: a silent logger that remembers, counters to look at, a clock to turn.

import type { Clock, Logger, Meter } from '../../src/core/contract.ts'

export interface LoggedLine {
  readonly level: string
  readonly fields: object
  readonly message: string
}

export const rememberingLogger = (): Logger & { readonly lines: LoggedLine[] } => {
  const lines: LoggedLine[] = []
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message })
  return { lines, trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Values by `name{label=value,…}`. */
export const rememberingMeter = (): Meter & { readonly values: Map<string, number> } => {
  const values = new Map<string, number>()
  const key = (name: string, labels: Readonly<Record<string, string>> = {}) => {
    const list = Object.entries(labels).map(([label, value]) => `${label}=${value}`)
    return list.length === 0 ? name : `${name}{${list.join()}}`
  }
  return {
    values,
    add: (name, labels, by = 1) => void values.set(key(name, labels), (values.get(key(name, labels)) ?? 0) + by),
    set: (name, value, labels) => void values.set(key(name, labels), value),
    observe: (name, value, labels) => void values.set(key(name, labels), value),
  }
}

/** A clock that stands still until it is turned. */
export const turnableClock = (start = Date.UTC(2026, 10, 20, 10)): Clock & { advance(ms: number): void } => {
  let elapsedMs = 0
  return {
    wallMs: () => start + elapsedMs,
    monotonicMs: () => 1_000 + elapsedMs,
    bootId: '00000000-0000-4000-8000-000000000001',
    synced: () => true,
    advance: (ms) => {
      elapsedMs += ms
    },
  }
}
