// Between a connection and the log: puts publications into the log in their order, and tells when each is durable. While the log
// wants no more, a bounded number of bytes waits here, so that the connection's other packets (pings) are still read.

import type { Intake, Message, Seq } from '../../core/contract.ts'
import type { TidegateError } from '../../core/errors.ts'
import type { PublishPacket } from './publish-packet.ts'

/** Beyond it the connection is not read any more. A broker that honours the receive maximum never gets there. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024
/** What a waiting message takes besides its payload, roughly. */
const WAITING_OVERHEAD_BYTES = 200

export interface QueueEvents {
  /** In the order of take(), for QoS 1 and 2. An error: it will never be durable. */
  settled(packet: PublishPacket, error: TidegateError | undefined): void
  /** There is room again, after take() had answered false. */
  room(): void
}

export class IntakeQueue {
  readonly #intake: Intake
  readonly #source: string
  readonly #events: QueueEvents
  #waiting: PublishPacket[] = []
  #waitingBytes = 0
  #full = false
  #told = false
  #closed = false

  constructor(intake: Intake, source: string, events: QueueEvents) {
    this.#intake = intake
    this.#source = source
    this.#events = events
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** False: no further one for now, until room(). */
  take(packet: PublishPacket): boolean {
    if (!this.#full) {
      this.#append(packet)
      return true
    }
    // The chunk that the payload was cut from is many times its size.
    this.#waiting.push({ ...packet, payload: Buffer.from(packet.payload) })
    this.#waitingBytes += packet.payload.length + WAITING_OVERHEAD_BYTES
    this.#told = this.#waitingBytes >= MAX_WAITING_BYTES
    return !this.#told
  }

  /** What still waits is not acknowledged: the broker sends it again. */
  close(): void {
    this.#closed = true
    this.#waiting = []
  }

  #append(packet: PublishPacket): void {
    const { topic, payload, qos, retain } = packet
    const message: Message = { topic, payload, source: this.#source, qos, retain }
    const settled =
      qos === 0
        ? undefined
        : (error: TidegateError | undefined, _seq: Seq) => {
            if (!this.#closed) this.#events.settled(packet, error)
          }
    if (this.#intake.append(message, settled)) return
    this.#full = true
    this.#intake.ready(qos).then(
      () => this.#drain(),
      // The log closes: what waits stays with the broker.
      () => this.close(),
    )
  }

  #drain(): void {
    this.#full = false
    let taken = 0
    while (!this.#full && !this.#closed && taken < this.#waiting.length) {
      const packet = this.#waiting[taken++]
      if (packet === undefined) break
      this.#waitingBytes -= packet.payload.length + WAITING_OVERHEAD_BYTES
      this.#append(packet)
    }
    this.#waiting.splice(0, taken)
    if (this.#closed || this.#full || !this.#told) return
    this.#told = false
    this.#events.room()
  }
}
