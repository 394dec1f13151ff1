// The way of a PUBLISH: into the log, on to subscribers, and, once it is durable, back to aedes for the acknowledgement.
// Acknowledgements of one client leave in the order of its packets ([MQTT-4.6.0-2]). While the log wants no more, what has
// been read waits here in order, and no further PUBLISH is read.

import type { PublishPacket } from 'aedes'
import type { Intake, Message, Meter, Origin, Seq } from '../../core/contract.ts'
import { describe, TidegateError } from '../../core/errors.ts'
import type { Owed } from './acknowledgements.ts'
import type { BrokerClient, Done } from './broker-events.ts'
import { MAX_WAITING_WILL_BYTES } from './limits.ts'
import { clientHash, type OpenPublish, type OpenPublishes, publishCrc } from './open-publishes.ts'
import type { Publication } from './packet.ts'
import type { Refusals } from './refusal.ts'

/** Beyond its topic and payload, a waiting will keeps about this much of its client in memory. */
const WILL_OVERHEAD_BYTES = 16 * 1024

/** One PUBLISH from its arrival to its acknowledgement. */
interface Arrival extends Owed {
  readonly client: BrokerClient
  readonly packet: PublishPacket
  readonly done: Done
  /** aedes publishes it after the connection has ended. */
  readonly isWill: boolean
  /** Wills and QoS 0 wait for nobody. */
  readonly isAcknowledged: boolean
}

export interface IngestParts {
  readonly source: string
  readonly intake: Intake
  readonly meter: Meter
  readonly refusals: Refusals
  readonly open: OpenPublishes
  /** Retains it and passes it on to subscribers. */
  readonly distribute: (publication: Publication, client: BrokerClient) => void
  /** The log has room again. */
  readonly proceed: () => void
  /** One more message is durable, and with it the log up to this seq. */
  readonly durable: (seq: Seq) => void
}

export class Ingest {
  readonly #parts: IngestParts
  /** What arrived while the log was full, in order. */
  #waiting: Arrival[] = []
  #head = 0
  #waitingWillBytes = 0
  #full = false
  #closed = false
  /** Appended and not settled. */
  #unsettled = 0
  #unmetered = 0
  /** QoS 0 and wills that the log has taken. */
  #finished: Arrival[] = []
  #onDrained: (() => void) | undefined

  constructor(parts: IngestParts) {
    this.#parts = parts
  }

  /** While true, nothing further should arrive. */
  get full(): boolean {
    return this.#full
  }

  /** Resolves when nothing waits for the log. */
  drained(): Promise<void> {
    if (this.#isDrained()) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onDrained = resolve
    })
  }

  /** From now on everything is refused; what still waited is not stored. */
  close(): void {
    this.#closed = true
    this.#waiting = []
    this.#head = 0
    this.#waitingWillBytes = 0
  }

  /** A PUBLISH, or the will of the client. `done` is called in order; with an error aedes closes the client. */
  take(client: BrokerClient, packet: PublishPacket, done: Done): void {
    if (this.#closed) {
      done(new TidegateError('TG_LOG_CLOSED', 'the broker is closing'))
      return
    }
    const isWill = packet === client.will
    const arrival: Arrival = {
      client,
      packet,
      done,
      isWill,
      isAcknowledged: packet.qos > 0 && !isWill,
      settled: false,
      error: undefined,
    }
    if (!isWill) client.conn.hold()
    if (arrival.isAcknowledged) client.conn.acknowledgements.add(arrival)
    if (!this.#full && this.#waiting.length === 0) this.#append(arrival)
    else if (isWill && this.#waitingWillBytes + willBytes(packet) > MAX_WAITING_WILL_BYTES) this.#refuseWill(arrival)
    else {
      if (isWill) this.#waitingWillBytes += willBytes(packet)
      this.#waiting.push(arrival)
    }
  }

  // Nothing holds back a will: the connection that sent it has ended, and the next one brings another.
  #refuseWill({ client, done }: Arrival): void {
    const error = new TidegateError('TG_LOG_WRITE', 'too many wills wait for the log')
    this.#parts.refusals.count('log', error.message, client.conn.label)
    done(error)
  }

  #append(arrival: Arrival): void {
    const { client, packet } = arrival
    const isTracked = arrival.isAcknowledged && packet.qos === 2
    if (!isTracked) {
      this.#store(arrival, undefined, undefined, true)
      return
    }
    const origin = { clientHash: clientHash(client.id), packetId: packet.messageId ?? 0 }
    const crc = publishCrc(packet.topic, payloadOf(packet))
    const known = this.#parts.open.find(origin)
    const isRetransmission = known !== undefined && known.crc === crc && (packet.dup || known.certain)
    if (isRetransmission && known.state !== 'lost') {
      this.#parts.meter.add('mqtt_retransmissions_total', { source: this.#parts.source })
      if (known.state === 'durable') this.#settle(arrival, undefined)
      else known.wait({ connection: client.conn, settle: (error) => this.#settle(arrival, error) })
      return
    }
    this.#store(arrival, origin, this.#parts.open.open(origin, crc), !isRetransmission)
  }

  #store(arrival: Arrival, origin: Origin | undefined, open: OpenPublish | undefined, isNew: boolean): void {
    const { client, packet } = arrival
    const { intake, source } = this.#parts
    const { topic, qos, retain } = packet
    const payload = payloadOf(packet)
    const message: Message =
      origin === undefined ? { topic, payload, source, qos, retain } : { topic, payload, source, qos, retain, origin }
    this.#unsettled++
    this.#count()
    const hasRoom = intake.append(
      message,
      arrival.isAcknowledged ? (error, seq) => this.#settled(arrival, open, error, seq) : this.#settledUnacknowledged,
    )
    if (isNew) this.#parts.distribute({ topic, payload, qos, retain }, client)
    if (!arrival.isAcknowledged) this.#finishLater(arrival)
    if (!hasRoom) this.#waitForRoom()
  }

  #settled(arrival: Arrival, open: OpenPublish | undefined, error: TidegateError | undefined, seq: Seq): void {
    this.#countSettled(error, seq)
    this.#settle(arrival, error)
    open?.finish(error)
    this.#tellDrained()
  }

  readonly #settledUnacknowledged = (error: TidegateError | undefined, seq: Seq): void => {
    this.#countSettled(error, seq)
    if (error !== undefined) this.#parts.refusals.count('log', error.message, 'qos 0 or will')
    this.#tellDrained()
  }

  #isDrained(): boolean {
    return this.#unsettled === 0 && this.#waiting.length === 0
  }

  #countSettled(error: TidegateError | undefined, seq: Seq): void {
    this.#unsettled--
    if (error === undefined) this.#parts.durable(seq)
  }

  #tellDrained(): void {
    if (this.#onDrained === undefined || !this.#isDrained()) return
    this.#onDrained()
    this.#onDrained = undefined
  }

  #settle(arrival: Arrival, error: Error | undefined): void {
    arrival.settled = true
    arrival.error = error
    const { conn } = arrival.client
    for (let next = conn.acknowledgements.next(); next !== undefined; next = conn.acknowledgements.next()) {
      if (next.error !== undefined) conn.refuse({ reason: 'log', detail: describe(next.error) })
      if (!conn.destroyed) next.done()
      conn.settle()
    }
  }

  #waitForRoom(): void {
    if (this.#full) return
    this.#full = true
    this.#parts.intake.ready().then(
      () => this.#drain(),
      (error: unknown) => this.#parts.refusals.count('log', describe(error), 'all'),
    )
  }

  #drain(): void {
    this.#full = false
    while (!this.#full && !this.#closed) {
      const arrival = this.#waiting[this.#head]
      if (arrival === undefined) break
      this.#head++
      if (arrival.isWill) this.#waitingWillBytes -= willBytes(arrival.packet)
      this.#append(arrival)
    }
    if (this.#head < this.#waiting.length) return
    this.#waiting = []
    this.#head = 0
    if (!this.#full) this.#parts.proceed()
  }

  // Not at once: aedes would read on inside its parser's event, and its parser cannot be entered twice.
  #finishLater(arrival: Arrival): void {
    this.#finished.push(arrival)
    if (this.#finished.length > 1) return
    setImmediate(() => {
      const finished = this.#finished
      this.#finished = []
      for (const { client, isWill, done } of finished) {
        if (!isWill) client.conn.settle()
        done()
      }
    })
  }

  // Metered once per turn of the event loop: a label lookup per message would cost more than the append.
  #count(): void {
    if (this.#unmetered++ > 0) return
    setImmediate(() => {
      this.#parts.meter.add('messages_received_total', { source: this.#parts.source }, this.#unmetered)
      this.#unmetered = 0
    })
  }
}

const payloadOf = ({ payload }: PublishPacket): Buffer => (typeof payload === 'string' ? Buffer.from(payload) : payload)

const willBytes = ({ topic, payload }: PublishPacket): number => topic.length + payload.length + WILL_OVERHEAD_BYTES
