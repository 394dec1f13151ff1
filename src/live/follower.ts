// One client that follows readings, over whatever transport: first the snapshot, or everything since a seq (from the log,
// then from the live window, then live, without a hole and without a duplicate), then what is new.
//
// A follower keeps no queue. When its client cannot take more it only remembers the seq it has reached, and once the client
// has drained it gets the newest value of each device and name since then: conflated, and bounded by what the state holds.

import type { Gap, Seq } from '../core/contract.ts'
import { Batch } from './batch.ts'
import type { Live } from './live.ts'
import { firstNewer, type LiveReading, pageLength } from './reading.ts'
import type { ScanPage } from './scan.ts'
import type { Selection } from './selection.ts'

/** Readings in one message, so that a large page is not one long pause for client and server. */
const PAGE_READINGS = 2_000

/** The client's side; each call but the first three hands over one message. */
export interface Outlet {
  /** False while the client has more to take than it should. Its owner calls Follower.drained() whenever it is true again. */
  ready(): boolean
  /** How much one message may hold, in bytes of readings. */
  pageBytes(): number
  /** The same for a snapshot, which had better be whole; what does not fit follows as readings. */
  snapshotBytes(): number
  snapshot(batch: Batch): void
  readings(batch: Batch, conflated: boolean): void
  gap(gap: Gap): void
}

export interface FollowerOptions {
  readonly live: Live
  readonly selection: Selection
  readonly outlet: Outlet
  /** At least this long between two messages of live values; 0 sends each batch as it comes. */
  readonly everyMs: number
}

export class Follower {
  readonly selection: Selection
  readonly #live: Live
  readonly #outlet: Outlet
  readonly #everyMs: number
  readonly #abort = new AbortController()
  #leave: (() => void) | undefined
  #wake: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #sentMs = Number.NEGATIVE_INFINITY
  /** The client has everything up to here, or newer values instead. */
  #position: Seq = 0
  /** There are newer values that the client has to get from the state. */
  #behind = false
  /** …because it did not take them in time; how many passed by, and after which seq. */
  #slow = false
  #missed = 0
  #missedAfter: Seq = 0
  /** Values were left out, and no message has said so yet. */
  #untold = false

  constructor(options: FollowerOptions) {
    this.selection = options.selection
    this.#live = options.live
    this.#outlet = options.outlet
    this.#everyMs = options.everyMs
  }

  /** Resolves once the follower is live. Rejects when the log cannot be read, or with the abort reason after close(). */
  async start(after: Seq | undefined): Promise<void> {
    const live = this.#live
    // A seq that was never given comes from another log: nothing can be resumed.
    const resumable = after !== undefined && after <= Math.max(live.seq, live.durable())
    const whole = resumable && (await this.#resume(after))
    if (whole) return
    await this.#room()
    this.#abort.signal.throwIfAborted()
    this.#leave ??= live.hub.add(this)
    this.#snapshot()
  }

  /** The client has room again. */
  drained(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
    if (this.#behind && this.#timer === undefined) this.#catchUp()
  }

  /** Called by the hub. */
  push(batch: Batch): void {
    const fresh = batch.newerThan(this.#position)
    const [first] = fresh.readings
    if (first === undefined) return
    if (this.#everyMs === 0 && !this.#behind && this.#outlet.ready()) {
      this.#position = fresh.seq
      this.#hand(fresh)
      return
    }
    if (this.#missed === 0) this.#missedAfter = first.seq - 1
    this.#missed += fresh.readings.length
    this.#behind = true
    if (this.#everyMs === 0) this.#slow = true
    else this.#timer ??= setTimeout(() => this.#tick(), Math.max(0, this.#sentMs + this.#everyMs - performance.now()))
  }

  close(): void {
    this.#abort.abort()
    clearTimeout(this.#timer)
    this.#leave?.()
    this.#leave = undefined
  }

  /** Sends everything after a seq and joins the hub. Returns whether nothing was missing. */
  async #resume(after: Seq): Promise<boolean> {
    const { hub, scan, window } = this.#live
    const filter = scan.filter(this.selection)
    this.#position = after
    let whole = true
    for (;;) {
      await this.#room()
      this.#abort.signal.throwIfAborted() // it may have been closed in the very turn that made room
      if (window.covers(this.#position)) {
        if (!this.#sendFromWindow()) continue
        this.#leave = hub.add(this) // in the same turn as the look into the window: nothing falls between
        return whole
      }
      const page = await scan.read(this.#position, this.#abort.signal, undefined, filter)
      if (page.gaps.length > 0) whole = false
      this.#sendPage(page)
      const gap = page.next > this.#position ? undefined : this.#live.beyondReach(this.#position)
      if (gap === undefined) continue
      whole = false
      this.#outlet.gap(gap)
      this.#position = gap.last
    }
  }

  /** Returns true when the window holds nothing more. */
  #sendFromWindow(): boolean {
    const { seq, window } = this.#live
    const found = window.since(this.selection, this.#position, PAGE_READINGS)
    const length = pageLength(found, { entries: PAGE_READINGS, bytes: this.#outlet.pageBytes() })
    const complete = found.length < PAGE_READINGS && length === found.length
    const page = found.slice(0, length)
    const upTo = complete ? Math.max(seq, this.#position) : (page.at(-1)?.seq ?? seq)
    this.#send(page, upTo)
    return complete
  }

  #sendPage(page: ScanPage): void {
    const { scan } = this.#live
    const readings = scan.readings(page.entries, this.selection)
    let start = 0
    for (const gap of page.gaps) {
      const end = firstNewer(readings, gap.first, start)
      this.#send(readings.slice(start, end), gap.first - 1)
      this.#outlet.gap(gap)
      this.#position = gap.last
      start = end
    }
    this.#send(readings.slice(start), Math.max(this.#position, page.next))
  }

  #snapshot(): void {
    const { seq, state } = this.#live
    const values = state.since(this.selection, 0)
    const length = pageLength(values, { entries: Number.POSITIVE_INFINITY, bytes: this.#outlet.snapshotBytes() })
    const page = values.slice(0, length)
    this.#behind = length < values.length
    this.#position = this.#behind ? (page.at(-1)?.seq ?? seq) : Math.max(seq, this.#position)
    this.#missed = 0
    this.#slow = false
    this.#untold = false
    this.#sentMs = performance.now()
    this.#outlet.snapshot(new Batch(this.#position, page))
  }

  #tick(): void {
    this.#timer = undefined
    if (this.#outlet.ready()) this.#catchUp()
    else this.#slow = true
  }

  #catchUp(): void {
    const { hub, state } = this.#live
    while (this.#behind && this.#outlet.ready()) {
      // What the hub has not handed out yet will come by the hub, in full.
      const upTo = hub.flushedSeq
      const newer = state.since(this.selection, this.#position)
      const values = newer.slice(0, firstNewer(newer, upTo))
      const passed = values.length - firstNewer(values, this.#missedAfter)
      if (this.#slow && this.#missed > passed) this.#untold = true
      const length = pageLength(values, { entries: PAGE_READINGS, bytes: this.#outlet.pageBytes() })
      const page = values.slice(0, length)
      this.#behind = length < values.length
      const reached = this.#behind ? (page.at(-1)?.seq ?? upTo) : Math.max(upTo, this.#position)
      this.#send(page, reached)
      if (this.#behind) continue
      this.#slow = false
      this.#missed = 0
    }
  }

  #send(readings: readonly LiveReading[], upTo: Seq): void {
    this.#position = upTo
    if (readings.length === 0) return
    this.#sentMs = performance.now()
    this.#hand(new Batch(upTo, readings))
  }

  #hand(batch: Batch): void {
    const conflated = this.#untold
    this.#untold = false
    this.#outlet.readings(batch, conflated)
  }

  async #room(): Promise<void> {
    const { signal } = this.#abort
    signal.throwIfAborted()
    while (!this.#outlet.ready()) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => reject(signal.reason)
        signal.addEventListener('abort', onAbort, { once: true })
        this.#wake = () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
      })
    }
  }
}
