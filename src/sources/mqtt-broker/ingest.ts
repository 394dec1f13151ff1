// The way of a PUBLISH: into the log, on to subscribers, and, once it is durable, back to aedes for the acknowledgement.
// Acknowledgements of one client leave in the order of its packets ([MQTT-4.6.0-2]). While the log wants no more, what has
// been read waits here in order, and no further PUBLISH is read; of QoS 0 the log may want more than of QoS 1 and 2.

import type { PublishPacket } from 'aedes'
import type { Intake, Message, Meter, Origin, Seq } from '../../core/contract.ts'
import { describe, TidegateError } from '../../core/errors.ts'
import type { Owed } from './acknowledgements.ts'
import { Arrivals } from './arrivals.ts'
import type { BrokerClient, Done } from './broker-events.ts'
import type { Connection } from './connection.ts'
import { MAX_WAITING_WILL_BYTES } from './limits.ts'
import { clientHash, type OpenPublish, type OpenPublishes, publishCrc } from './open-publishes.ts'
import type { Publication, Qos } from './packet.ts'
import type { Refusals } from './refusal.ts'
import { isBridgeNotice } from './text-check.ts'

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
  /** What arrived while the log was full, in order: what is to be acknowledged, and QoS 0 behind that of the same client. */
  readonly #waiting = new Arrivals<Arrival>()
  /** How many of these each client has. */
  readonly #waitingOf = new Map<Connection, number>()
  /** QoS 0 that arrived while the log wanted none of it either. */
  readonly #waitingUnacknowledged = new Arrivals<Arrival>()
  #waitingWillBytes = 0
  #full = false
  #fullForAll = false
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

  /** While true, nothing further of that QoS should arrive. */
  isFull(qos: Qos): boolean {
    // QoS 0 has room wherever the others have.
    return this.#fullForAll || (qos > 0 && this.#full)
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
    this.#waiting.clear()
    this.#waitingOf.clear()
    this.#waitingUnacknowledged.clear()
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
    if (isBridgeNotice(packet.topic)) {
      // Not a word about a sensor: acknowledged in its turn, and that is all.
      if (arrival.isAcknowledged) this.#settle(arrival, undefined)
      else this.#finishLater(arrival)
      return
    }
    const waiting = this.#waitsBehind(arrival)
    if (waiting === undefined) this.#append(arrival)
    else if (isWill && this.#waitingWillBytes + willBytes(packet) > MAX_WAITING_WILL_BYTES) this.#refuseWill(arrival)
    else {
      if (isWill) this.#waitingWillBytes += willBytes(packet)
      if (waiting === this.#waiting) this.#waitingOf.set(client.conn, (this.#waitingOf.get(client.conn) ?? 0) + 1)
      waiting.push(arrival)
    }
  }

  /** Where it has to wait; undefined when it need not. Nothing of a client overtakes what it sent before. */
  #waitsBehind({ client, packet }: Arrival): Arrivals<Arrival> | undefined {
    if (packet.qos > 0) return this.isFull(packet.qos) || this.#waiting.length > 0 ? this.#waiting : undefined
    if (this.#waitingOf.has(client.conn)) return this.#waiting
    return this.#fullForAll || this.#waitingUnacknowledged.length > 0 ? this.#waitingUnacknowledged : undefined
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
    if (!hasRoom) this.#waitForRoom(qos)
  }

  #settled(arrival: Arrival, open: OpenPublish | undefined, error: TidegateError | undefined, seq: Seq): void {
    this.#countSettled(error, seq)
    this.#settle(arrival, error)
    open?.finish(error)
    this.#tellDrained()
  }

  readonly #settledUnacknowledged = (error: TidegateError | undefined, seq: Seq): void => {
    this.#countSettled(error, seq)
    // What is lost because the disk takes nothing, the log counts, and writes down.
    if (error !== undefined && error.code !== 'TG_LOG_WRITE')
      this.#parts.refusals.count('log', error.message, 'qos 0 or will')
    this.#tellDrained()
  }

  #isDrained(): boolean {
    return this.#unsettled === 0 && this.#waiting.length === 0 && this.#waitingUnacknowledged.length === 0
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

  #waitForRoom(qos: Qos): void {
    if (qos > 0 ? this.#full : this.#fullForAll) return
    if (qos > 0) this.#full = true
    else this.#fullForAll = true
    this.#parts.intake.ready(qos).then(
      () => this.#drain(qos),
      (error: unknown) => this.#parts.refusals.count('log', describe(error), 'all'),
    )
  }

  #drain(qos: Qos): void {
    if (qos > 0) this.#full = false
    else this.#fullForAll = false
    // What a client has waiting among these, it sent before what it has among the others.
    this.#drainFrom(this.#waitingUnacknowledged, () => !this.#fullForAll)
    this.#drainFrom(this.#waiting, () => !this.isFull(1) && this.#waitingUnacknowledged.length === 0)
    if (!this.isFull(qos)) this.#parts.proceed()
  }

  #drainFrom(waiting: Arrivals<Arrival>, hasRoom: () => boolean): void {
    while (hasRoom() && !this.#closed) {
      const arrival = waiting.shift()
      if (arrival === undefined) return
      if (arrival.isWill) this.#waitingWillBytes -= willBytes(arrival.packet)
      if (waiting === this.#waiting) this.#countOut(arrival.client.conn)
      this.#append(arrival)
    }
  }

  #countOut(connection: Connection): void {
    const rest = (this.#waitingOf.get(connection) ?? 0) - 1
    if (rest > 0) this.#waitingOf.set(connection, rest)
    else this.#waitingOf.delete(connection)
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
