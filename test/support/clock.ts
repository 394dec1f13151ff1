// A clock that a test sets, steps and lets run: it stands still in between, wall clock and monotonic clock apart.

import type { Clock, ClockMark } from '../../src/core/contract.ts'

export interface SettableClock extends Clock {
  /** Lets both clocks go on. */
  advance(ms: number): void
  /** The wall clock alone. */
  set(wallMs: number): void
  /** From now on it counts as set. */
  syncs(): void
}

export const settableClock = (start: {
  readonly synced: boolean
  readonly wallMs: number
  readonly monotonicMs: number
  readonly bootId?: string
}): SettableClock => {
  let { synced, wallMs, monotonicMs } = start
  return {
    wallMs: () => wallMs,
    monotonicMs: () => monotonicMs,
    bootId: start.bootId ?? '00000000-0000-4000-8000-000000000001',
    synced: () => synced,
    advance: (ms) => {
      wallMs += ms
      monotonicMs += ms
    },
    set: (ms) => {
      wallMs = ms
    },
    syncs: () => {
      synced = true
    },
  }
}

/** When the clock of `earlyClock` is set right away. */
export const RIGHT = Date.UTC(2026, 10, 20, 12)
export const BOOT_MS = 20_000

/** Ten seconds after boot, in 1970. */
export const earlyClock = (bootId?: string): SettableClock =>
  settableClock({ synced: false, wallMs: 10_000, monotonicMs: BOOT_MS, ...(bootId === undefined ? {} : { bootId }) })

/** Sets the clock, and says so as the gateway does. */
export const setMark = (clock: SettableClock): ClockMark => {
  const before = clock.wallMs()
  clock.set(RIGHT + clock.monotonicMs() - BOOT_MS)
  clock.syncs()
  const { bootId } = clock
  const offsetMs = clock.wallMs() - before
  return { reason: 'set', bootId, monotonicMs: clock.monotonicMs(), offsetMs, time: clock.wallMs() }
}
