// Fills the state from the log at start: the newest stretch first, then older ones, each twice as long as the one before, so
// that what matters is there within milliseconds however long the log is. Works in slices and rests between them once the
// gateway serves, abortable at any time. Live traffic may run beside it: what is known already is never overwritten.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Decode, Gap, Seq } from '../core/contract.ts'
import type { ReadLimit } from '../core/log-contract.ts'
import { delay } from '../core/time.ts'
import type { Shaping } from '../decode/shaping.ts'
import type { Scan } from './scan.ts'
import { LiveState, type StateLimits } from './state.ts'
import { Window } from './window.ts'

/** Seqs in the first stretch. */
const FIRST_STRETCH = 1_024
/** One slice: a few milliseconds of decoding. */
const SLICE: ReadLimit = { entries: 256, bytes: 128 * 1024 }
/** In the background it rests this many times as long as it worked: live traffic comes first. */
const REST_FACTOR = 2

export interface RebuildOptions {
  readonly scan: Scan
  readonly decode: Decode
  readonly state: LiveState
  readonly window: Window
  readonly limits: StateLimits
  /** Each stretch is shaped for itself: what passed last, and windows that are open, are not known at its beginning. */
  readonly shaping?: Shaping
  /** The newest seq to read; what is newer comes live. */
  readonly upTo: Seq
  readonly signal: AbortSignal
  /** False as long as somebody waits for it. */
  background(): boolean
}

/** Resolves when the whole log is in the state, or as much of it as the state may hold. */
export const rebuild = async (options: RebuildOptions): Promise<void> => {
  const { state, window, upTo } = options
  let last = upTo
  for (let length = FIRST_STRETCH; last > 0; length *= 2) {
    const first = Math.max(1, last - length + 1)
    const stretch = await readStretch(options, first, last)
    const room = state.adopt(stretch.state)
    state.completeAfter = first - 1
    if (last === upTo) window.seed(stretch.window)
    if (!room || stretch.isOldest) return
    last = first - 1
  }
}

interface Stretch {
  readonly state: LiveState
  readonly window: Window
  /** Nothing older is left in the log. */
  readonly isOldest: boolean
}

const readStretch = async (options: RebuildOptions, first: Seq, last: Seq): Promise<Stretch> => {
  const { decode, scan, signal } = options
  const state = new LiveState(options.limits)
  const shaping = options.shaping?.anew()
  const window = new Window()
  window.reset(first - 1)
  let isOldest = first === 1
  let position = first - 1
  while (position < last) {
    const startedMs = performance.now()
    const page = await scan.read(position, signal, SLICE)
    if (position === first - 1 && startsWithRetention(page.gaps, first)) isOldest = true
    const gaps = page.gaps.filter((gap) => gap.first <= last)
    let met = 0
    // The window promises everything behind its floor, so it begins anew behind each hole: who resumes from before one
    // reads the log, and is told.
    const meetGaps = (before: Seq) => {
      for (let gap = gaps[met]; gap !== undefined && gap.last < before; gap = gaps[++met]) window.reset(gap.last)
    }
    for (const entry of page.entries) {
      if (entry.seq > last) break
      meetGaps(entry.seq)
      if (entry.kind !== 'message') continue
      const decoding = decode(entry)
      window.push(state.apply(entry, decoding, shaping?.shape(decoding, entry.receivedAt).readings))
    }
    meetGaps(Number.POSITIVE_INFINITY)
    if (page.next <= position) break
    position = page.next
    if (options.background()) await delay(REST_FACTOR * (performance.now() - startedMs), signal)
    else await nextTurn(undefined, { signal })
  }
  return { state, window, isOldest }
}

const startsWithRetention = (gaps: readonly Gap[], first: Seq): boolean =>
  gaps[0]?.reason === 'retention' && gaps[0].first <= first
