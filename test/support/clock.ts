// A clock that a test sets, steps and lets run: it stands still in between, wall clock and monotonic clock apart.

import type { Clock } from '../../src/core/contract.ts'

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
