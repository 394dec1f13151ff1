// Messages that go back to devices because of what they sent: decoding asks for them (an unknown alias), or the numbers of a
// sequence show that something is missing. Sees live messages only, in order; what is old is nobody's concern any more. A
// device is asked once, and again only after a while, however much it sends.

import type { Decoding, DeviceRequest, Entry, Logger, Meter, SequenceNumber } from '../core/contract.ts'
import { describe } from '../core/errors.ts'

/** An edge node needs seconds for its births; one that does not answer is not to be flooded. */
const ASK_AGAIN_MS = 60_000
/** Senders that are followed; far more than one gateway has. */
const MAX_FOLLOWED = 4_096

export interface DeviceRequestOptions {
  /** Sends it through the source that the entry came in by. */
  readonly send: (request: DeviceRequest, entry: Entry) => Promise<unknown>
  readonly logger: Logger
  readonly meter: Meter
  readonly monotonicMs: () => number
}

export class DeviceRequests {
  readonly #options: DeviceRequestOptions
  /** The last number of each sender; the least recently heard first. */
  readonly #numbers = new Map<string, number>()
  /** When it was asked; the longest ago first. */
  readonly #asked = new Map<string, number>()

  constructor(options: DeviceRequestOptions) {
    this.#options = options
  }

  /** Called with each live message, in order. */
  observe(entry: Entry, { request, sequence }: Decoding): void {
    if (request === undefined && sequence === undefined) return
    const missing = sequence !== undefined && this.#isGap(entry, sequence)
    // What is retained was sent to somebody else, some time ago.
    if (entry.retain) return
    if (request !== undefined) this.#ask(request, entry)
    else if (missing) this.#ask(sequence.request, entry)
  }

  #isGap(entry: Entry, { of, number, modulo, first }: SequenceNumber): boolean {
    const key = `${entry.source}\n${of}`
    const last = this.#numbers.get(key)
    this.#numbers.delete(key)
    this.#numbers.set(key, number)
    if (this.#numbers.size > MAX_FOLLOWED) this.#numbers.delete(this.#numbers.keys().next().value ?? '')
    // A repeated number is a message that came twice.
    return first !== true && last !== undefined && number !== last && number !== (last + 1) % modulo
  }

  #ask(request: DeviceRequest, entry: Entry): void {
    const { send, logger, meter, monotonicMs } = this.#options
    const key = `${entry.source}\n${request.to}`
    const now = monotonicMs()
    const asked = this.#asked.get(key)
    if (asked !== undefined && now - asked < ASK_AGAIN_MS) {
      meter.add('device_requests_total', { reason: 'too soon' })
      return
    }
    this.#asked.delete(key)
    this.#asked.set(key, now)
    if (this.#asked.size > MAX_FOLLOWED) this.#asked.delete(this.#asked.keys().next().value ?? '')
    const { to, reason } = request
    send(request, entry).then(
      () => {
        meter.add('device_requests_total', { reason: 'sent' })
        logger.info({ device: to, reason }, 'device asked')
      },
      (error: unknown) => {
        meter.add('device_requests_total', { reason: 'failed' })
        logger.warn({ device: to, reason, error: describe(error) }, 'device could not be asked')
      },
    )
  }
}
