// The machine's clocks. Monotonic time counts from boot, so that times of two runs in one boot compare.
//
// When is the wall clock set? Where systemd-timesyncd runs, it says so: a machine without a battery starts with the time that
// it had saved, which is plausible and wrong. Everywhere else nobody says so, and a plausible time is taken for a set one. A
// clock that goes from an implausible time to a plausible one has been set, whoever did it.

import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hrtime } from 'node:process'
import type { Clock } from '../core/contract.ts'

/** A wall clock before this was never set: the program did not exist yet. */
const EARLIEST_PLAUSIBLE_MS = Date.UTC(2026, 0, 1)
/** While the clock is not set, it is looked at again at most this often. */
const RECHECK_MS = 500
/** There while systemd-timesyncd runs; `synchronized` in it from its first success on. */
const TIMESYNC_DIRECTORY = '/run/systemd/timesync'
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id'

export interface ClockOptions {
  /** The directory that systemd-timesyncd makes. */
  readonly timesyncDirectory?: string
  readonly bootIdFile?: string
  readonly wallMs?: () => number
}

export const systemClock = (options: ClockOptions = {}): Clock => {
  const { timesyncDirectory = TIMESYNC_DIRECTORY, bootIdFile = BOOT_ID_FILE, wallMs = Date.now } = options
  // performance.now() runs on the same clock as hrtime(), which counts from boot, and allocates nothing.
  const [seconds, nanoseconds] = hrtime()
  const originMs = seconds * 1_000 + nanoseconds / 1_000_000 - performance.now()
  const monotonicMs = () => originMs + performance.now()
  let wasImplausible = false
  const isSet = (): boolean => {
    const plausible = wallMs() >= EARLIEST_PLAUSIBLE_MS
    if (existsSync(join(timesyncDirectory, 'synchronized'))) return true
    if (!plausible) wasImplausible = true
    return plausible && (wasImplausible || !existsSync(timesyncDirectory))
  }
  let synced = isSet()
  let checkedAtMs = monotonicMs()
  return {
    wallMs,
    monotonicMs,
    bootId: readBootId(bootIdFile),
    synced() {
      if (synced) return true
      const nowMs = monotonicMs()
      if (nowMs - checkedAtMs < RECHECK_MS) return false
      checkedAtMs = nowMs
      synced = isSet()
      return synced
    },
  }
}

// Without /proc (a bare container), a random identity: times of two runs then never compare, which is the safe side.
const readBootId = (file: string): string => {
  try {
    const text = readFileSync(file, 'latin1').trim()
    return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? text : randomUUID()
  } catch {
    return randomUUID()
  }
}
