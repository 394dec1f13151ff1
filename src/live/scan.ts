// Bounded reads of the log, decoded, for everybody who needs more than the live window holds: resuming clients, long polls,
// history, the rebuild. Few reads run at a time, so a thousand clients that resume at once cost the memory of a few.

import type { Decode, Entry, Gap, Seq, UnixMs } from '../core/contract.ts'
import type { LogReader, ReadFilter, ReadLimit } from '../core/log-contract.ts'
import { type LiveReading, liveReadings } from './reading.ts'
import type { Selection } from './selection.ts'

/** Reads at a time; each holds one page of the log. */
const MAX_READS = 4
/** One page: small enough to decode without a pause that anybody feels. */
const SCAN_PAGE: ReadLimit = { entries: 512, bytes: 256 * 1024 }

/** Whether a message may bring a reading of a matching device (decode/router.ts). */
export type MayBeDevice = (
  topic: string,
  source: string,
  lists: boolean,
  matches: (device: string) => boolean,
) => boolean

export interface ScanPage {
  readonly entries: readonly Entry[]
  /** Holes, ascending. */
  readonly gaps: readonly Gap[]
  /** Where to go on; equals the given seq at the end of the log. */
  readonly next: Seq
}

interface Seat {
  reader: LogReader | undefined
  /** Where this reader stopped; going on from there costs no search. */
  next: Seq
}

export class Scan {
  readonly #open: () => LogReader
  readonly #decode: Decode
  readonly #mayBeDevice: MayBeDevice
  readonly #free: Seat[] = Array.from({ length: MAX_READS }, () => ({ reader: undefined, next: -1 }))
  readonly #waiting = new Set<() => void>()
  #closed = false

  constructor(open: () => LogReader, decode: Decode, mayBeDevice: MayBeDevice = () => true) {
    this.#open = open
    this.#decode = decode
    this.#mayBeDevice = mayBeDevice
  }

  /** What read() may pass over for somebody who wants only this; make it once for all pages. Undefined: nothing. */
  filter(selection: Selection, fromMs?: UnixMs, toMs?: UnixMs): ReadFilter | undefined {
    const { matchesDevice } = selection
    if (matchesDevice === undefined && fromMs === undefined && toMs === undefined) return undefined
    return {
      ...(fromMs !== undefined && { fromMs }),
      ...(toMs !== undefined && { toMs }),
      // Marks bring no reading.
      channel: (topic, source, lists) =>
        topic !== '' && (matchesDevice === undefined || this.#mayBeDevice(topic, source, lists, matchesDevice)),
    }
  }

  /**
   * One page of entries after a seq. Rejects with the signal's reason, or when the disk cannot be read. With a filter, a page
   * may be empty although `next` went on.
   */
  async read(after: Seq, signal: AbortSignal, limit: ReadLimit = SCAN_PAGE, filter?: ReadFilter): Promise<ScanPage> {
    const seat = await this.#take(after, signal)
    try {
      seat.reader ??= this.#open()
      const page = await seat.reader.read(after, limit, filter)
      seat.next = page.next
      signal.throwIfAborted()
      return page
    } catch (error) {
      if (!signal.aborted) await this.#drop(seat)
      throw error
    } finally {
      await this.#give(seat)
    }
  }

  /** What the entries say, ascending by seq; nothing for faulty payloads and for marks. */
  readings(entries: readonly Entry[], selection: Selection): LiveReading[] {
    const found: LiveReading[] = []
    for (const entry of entries) {
      if (entry.kind !== 'message') continue
      for (const reading of liveReadings(entry, this.#decode(entry).readings))
        if (selection.matches(reading.device, reading.name)) found.push(reading)
    }
    return found
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#free.map((seat) => this.#drop(seat)))
  }

  async #take(after: Seq, signal: AbortSignal): Promise<Seat> {
    for (;;) {
      if (signal.aborted) {
        // The turn may have come at the same moment: it goes to the next in line.
        if (this.#free.length > 0) this.#wakeNext()
        throw signal.reason
      }
      const index = this.#free.findIndex((seat) => seat.next === after)
      const seat = index === -1 ? this.#free.pop() : this.#free.splice(index, 1)[0]
      if (seat !== undefined) return seat
      await this.#turn(signal)
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = () => {
        this.#waiting.delete(wake)
        reject(signal.reason)
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  async #give(seat: Seat): Promise<void> {
    this.#free.push(seat)
    if (this.#closed) await this.#drop(seat)
    this.#wakeNext()
  }

  #wakeNext(): void {
    const [wake] = this.#waiting
    if (wake === undefined) return
    this.#waiting.delete(wake)
    wake()
  }

  async #drop(seat: Seat): Promise<void> {
    const reader = seat.reader
    seat.reader = undefined
    seat.next = -1
    await reader?.close()
  }
}
