// The seams of tidegate: what a source, a decoder, a sink and the log promise each other. Types only, no I/O.
//
// The way of a message: a Source hands a Message to the Intake; the log gives it a seq and makes it durable; only then
// does the source acknowledge it. Everything else (live values, sinks, history) reads Entries from the log by seq.

import type { TidegateError } from './errors.ts'

/** Sequence number: a positive integer below 2^53, given once by the log and never used for anything else. 0 means "before the first". */
export type Seq = number

/** Unix time in milliseconds; fractions carry microseconds. */
export type UnixMs = number

/** An MQTT Application Message or one serial frame, as received. The payload is never changed by anybody. */
export interface Message {
  /** A valid Topic Name (core/topic.ts). */
  readonly topic: string
  readonly payload: Buffer
  /** Name of the source in the configuration. */
  readonly source: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /**
   * QoS 2: who sent it under which packet identifier, so that a retransmission is recognised after a restart. Posted over HTTP
   * with an idempotency key: 48 bits of the key's hash, for the same reason.
   */
  readonly origin?: Origin
}

export interface Origin {
  /** CRC-32 of the Client Identifier. */
  readonly clientHash: number
  /** MQTT Packet Identifier, 1 to 65535. */
  readonly packetId: number
}

/** What the log holds under one seq. Marks ('loss', 'clock') have topic '' and a JSON payload (LossMark, ClockMark). */
export interface Entry extends Message {
  readonly seq: Seq
  readonly kind: EntryKind
  /** Wall clock at arrival; corrected by readers once a clock mark of the same boot says how wrong it was. */
  readonly receivedAt: UnixMs
  /** Absent when the wall clock had been set at arrival. */
  readonly timeQuality?: TimeQuality
  /** Monotonic clock at arrival, milliseconds since boot. */
  readonly monotonicMs: number
  /** Which boot `monotonicMs` belongs to. */
  readonly bootId: string
}

export type EntryKind = 'message' | 'loss' | 'clock'

/** unsynced: the clock had never been set. corrected: it had not either, but was later, and the time follows from that. */
export type TimeQuality = 'unsynced' | 'corrected'

/** Payload of a 'loss' entry: these seqs will never be delivered, and why. */
export interface LossMark {
  readonly first: Seq
  readonly last: Seq
  /** How many messages were lost; 0 when the seqs were skipped and never held a message. */
  readonly count: number
  readonly reason: LossReason
  readonly time: UnixMs
  /** Of `time`, where marks are shown; in the log, the entry says it. */
  readonly timeQuality?: TimeQuality
  readonly detail?: string
  /** How many per Topic Name, where the log knows; the most affected first, at most MAX_LOSS_NAMES (core/loss.ts). */
  readonly topics?: Readonly<Record<string, number>>
  /** How many per device, where a decoder was at work; the most affected first, at most MAX_LOSS_NAMES (core/loss.ts). */
  readonly devices?: Readonly<Record<string, number>>
  /** The only sink that it is lost for; absent where it is lost for all of them. */
  readonly sink?: string
}

/**
 * retention: deleted before every sink had it. thinned: the same, by a `keep` policy. corrupt: destroyed on the disk.
 * unclean-stop: seqs that were skipped. refused: not taken while the disk was full or broken. rejected: no upstream takes it.
 */
export type LossReason =
  | 'retention'
  | 'thinned'
  | 'corrupt'
  | 'unclean-stop'
  | 'refused'
  | 'rejected'
  | 'undecodable'
  | 'filtered'

/** Payload of a 'clock' entry: the wall clock was set, or stepped, while the gateway ran. */
export interface ClockMark {
  /** set: for the first time in this boot; times before it are corrected by it. step: it had been set before. */
  readonly reason: 'set' | 'step'
  readonly bootId: string
  /** When it was noticed, milliseconds since boot. */
  readonly monotonicMs: number
  /** Add it to a wall clock time of this boot before the mark. */
  readonly offsetMs: number
  /** The new time. */
  readonly time: UnixMs
}

/** A hole met while reading: no entry with a seq in first…last exists any more. */
export interface Gap {
  readonly first: Seq
  readonly last: Seq
  readonly reason: LossReason
  /** Only some of these are gone: the log was thinned by a `keep` policy, and what it kept follows. */
  readonly partial?: true
}

// ---------------------------------------------------------------------------------------------------------------------
// Intake and sources

/** Where sources put messages. The gateway passes it to Source.start. */
export interface Intake {
  /** Resolves with the seq once the message is durable; rejects if it never will be. Only then may the source acknowledge. */
  deliver(message: Message): Promise<Seq>
  /**
   * The broker's hot path: takes the message at once and calls `settled` when it is durable (or failed), in the order of
   * the calls. Returns false when the log wants no more of that QoS for now: wait for `ready()` before the next append.
   * QoS 0 messages for which there is no room while the disk takes nothing are shown, counted and not kept: they fail.
   */
  append(message: Message, settled?: Settled): boolean
  /** Resolves at once, or as soon as the log has room again for such messages; QoS 1 and 2 are meant by default. */
  ready(qos?: 0 | 1 | 2): Promise<void>
  /** Why nothing becomes durable for now; undefined when all is well. */
  readonly refusal: string | undefined
}

export type Settled = (error: TidegateError | undefined, seq: Seq) => void

export interface Source {
  /** Called once by the gateway after everything downstream is up. Resolves when messages can come; rejects when it never will. */
  start(intake: Intake, signal: AbortSignal): Promise<void>
  /** Called at any time, cheap. */
  health(): Health
  /** Idempotent, in any state, never throws; after it no message is delivered any more. */
  close(): Promise<void>
  /** Sends to a device behind this source. Absent where the source cannot. */
  send?(command: Command): Promise<void>
  /** What it sends is published on the command's topic: it may reach devices that were never heard. */
  readonly publishes?: true
}

export interface Command {
  readonly id: string
  readonly device: string
  readonly topic?: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
}

// ---------------------------------------------------------------------------------------------------------------------
// Decoding

/** One resolved SenML Record, the device kept apart from the name. */
export interface Reading {
  readonly device: string
  readonly name: string
  /** Numbers are finite. */
  readonly value: number | string | boolean
  /** SenML unit (RFC 8428, 12.1; RFC 8798) where known. */
  readonly unit?: string
  /** The payload's own time, where it has one. */
  readonly timeMs?: UnixMs
  /** The device sends it late (Sparkplug is_historical): it belongs into the history and is no live value. */
  readonly historical?: true
}

/** What can be decoded. An Entry is one. */
export interface Decodable {
  readonly topic: string
  readonly payload: Buffer
  readonly source: string
  /** Arrival; for dialects whose times are relative or lack a date. */
  readonly receivedAt: UnixMs
  readonly retain?: boolean
  /** Where it stands in the log. Absent: after everything that was learnt. */
  readonly seq?: Seq
}

/** The long form of what a decoder gives. */
export interface Decoded {
  readonly readings: readonly Reading[]
  /** What could not be read, while the rest could. */
  readonly fault?: string
  /** Values that are there and cannot be right. */
  readonly doubtful?: readonly Doubt[]
  /** Who is there, and who is gone (a will, a birth, a death). */
  readonly presence?: readonly Presence[]
  /** A message to send back, such as a request for a rebirth. Sent for live messages only, at most so often. */
  readonly request?: DeviceRequest
  /** Where the message stands in what its sender counts: whoever sees the messages in order sees what is missing. */
  readonly sequence?: SequenceNumber
}

/** A value that the sensor or the profile says is wrong: it is no reading, and the value that is shown is marked. */
export interface Doubt {
  readonly device: string
  readonly name: string
  readonly reason: 'faulty' | 'out-of-range'
  /** As it was sent, where that can be said. */
  readonly value?: Reading['value']
}

export interface Presence {
  /** A device, or with `below` all devices whose names start with it and a slash, and itself. */
  readonly device: string
  readonly below?: true
  readonly online: boolean
}

export interface SequenceNumber {
  /** Who counts. */
  readonly of: string
  readonly number: number
  /** The numbers are 0 up to one less than this, and begin again. */
  readonly modulo: number
  /** It begins anew here, whatever came before. */
  readonly first?: true
  /** What to send back where one is missing. */
  readonly request: DeviceRequest
}

export interface DeviceRequest {
  /** Requests to the same one are limited. */
  readonly to: string
  readonly topic: string
  readonly payload: Buffer
  /** Why, for the audit entry. */
  readonly reason: string
}

/** What the router made of a message. Never throws; a fault is a value. */
export interface Decoding extends Decoded {
  /** Profile that was used; 'generic' when none matched. */
  readonly profile: string
  /** The device the message belongs to, known even when the payload is faulty. */
  readonly device: string
}

export type Decode = (message: Decodable) => Decoding

// ---------------------------------------------------------------------------------------------------------------------
// Sinks

export type Lane = 'fresh' | 'backlog'

export interface Delivery {
  readonly entry: Entry
  readonly decoding: Decoding
  /** What a 'loss' entry tells, with its devices where they can be known. Absent where it tells nothing, or of another sink. */
  readonly mark?: LossMark
}

/** Consecutive entries of one lane, in seq order. */
export interface Batch {
  readonly lane: Lane
  /** Everything from first to last is covered by this batch: its deliveries, or holes that are named by `gaps`. */
  readonly first: Seq
  readonly last: Seq
  readonly deliveries: readonly Delivery[]
  readonly gaps: readonly Gap[]
}

export interface Rejection {
  readonly first: Seq
  readonly last: Seq
  /** As its readings have it: their messages become a loss mark. '' for a note about losses, which is none itself. */
  readonly device: string
  readonly reason: string
  /** What was to be sent, for the dead letter. */
  readonly body: Buffer
  readonly contentType: string
}

export interface WriteResult {
  /** Everything of the batch up to and including this seq is settled (confirmed upstream, or rejected for good). */
  readonly settled: Seq
  /** What the upstream will never take; the forwarder sets it aside as dead letters before it moves the cursor. */
  readonly rejected: readonly Rejection[]
}

/** Reconnecting, back-off, batching, cursors and dead letters are the forwarder's work; a sink only connects and writes. */
export interface Sink {
  /** Called by the forwarder before the first write and after each failed write. Rejects when the upstream is not there. */
  connect(signal: AbortSignal): Promise<void>
  /**
   * Resolves once the upstream has confirmed a prefix of the batch. A rejection means: connect again, then the rest again.
   * `progress` may be called on the way, whenever the upstream confirmed more: everything up to that seq is settled (never
   * beyond the first rejected message, whose dead letter comes first). A write that neither resolves nor makes progress for
   * the stall deadline is aborted, unless health() is 'degraded' meanwhile: then the sink knows why it waits.
   */
  write(batch: Batch, signal: AbortSignal, progress: (settled: Seq) => void): Promise<WriteResult>
  health(): Health
  /** Idempotent, in any state, with a deadline, never throws. */
  close(): Promise<void>
}

// ---------------------------------------------------------------------------------------------------------------------
// What everybody is given

export interface Health {
  readonly state: 'starting' | 'ok' | 'degraded' | 'failed' | 'closed'
  /** When it came into this state. */
  readonly since: UnixMs
  /** Required unless ok: what is wrong and what to do, one line. */
  readonly reason?: string
  readonly detail?: Readonly<Record<string, string | number | boolean>>
}

export interface Clock {
  wallMs(): UnixMs
  /** Milliseconds since boot, with fractions; never goes back. */
  monotonicMs(): number
  readonly bootId: string
  /** False while the wall clock has never been set. */
  synced(): boolean
}

/** pino's calling convention: data in fields, a constant lower-case message. */
export interface Logger {
  trace(fields: object, message: string): void
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Counters and gauges by metric name without the `tidegate_` prefix; ops/metrics.ts holds the table of names. */
export interface Meter {
  add(counter: string, labels?: Readonly<Record<string, string>>, by?: number): void
  set(gauge: string, value: number, labels?: Readonly<Record<string, string>>): void
  observe(histogram: string, value: number, labels?: Readonly<Record<string, string>>): void
}
