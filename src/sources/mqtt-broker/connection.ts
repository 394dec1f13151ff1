// One client's connection, as aedes sees it: a Duplex whose readable side yields whole, checked packets at the pace at which
// they are settled, and whose writable side never makes aedes wait. What a slow peer does not read is bounded here and in
// its session, so that it holds up nobody else.

import { Duplex } from 'node:stream'
import { Acknowledgements, type Owed } from './acknowledgements.ts'
import type { ConnectPacket } from './connect-packet.ts'
import { Guard } from './guard.ts'
import {
  EAGER_IN_FLIGHT,
  LINGER_MS,
  MAX_HELD_BYTES,
  MAX_SLICE_PACKETS,
  MAX_UNREAD_BYTES,
  MAX_UNSENT_BYTES,
  STALL_TIMEOUT_MS,
} from './limits.ts'
import { PINGRESP, type Qos } from './packet.ts'
import type { Refusal } from './refusal.ts'

export interface ConnectionOptions {
  readonly maxPacketBytes: number
  readonly connectTimeoutMs: number
  /** For log lines: address and port of the peer. */
  readonly peer: string
}

/** What a connection tells its listener. */
export interface ConnectionEvents {
  /** Its CONNECT has arrived and is well-formed; aedes may have the connection now. */
  connected(connection: Connection, connect: ConnectPacket): void
  refused(connection: Connection, refusal: Refusal): void
  /** An unfinished CONNECT grew or shrank by so much. */
  handshakeBytes(connection: Connection, change: number): void
  /** False while the log wants no more of that QoS: no further such PUBLISH is handed to aedes until proceed() is called. */
  mayProceed(qos: Qos): boolean
  /** The peer has taken everything that was written. */
  drained(connection: Connection): void
}

interface Slice {
  readonly bytes: Buffer
  readonly packets: number
  /** Highest QoS of a PUBLISH in it; -1 when there is none. */
  readonly publishes: number
  readonly isDisconnect: boolean
}

const alone = { packets: 1, publishes: -1, isDisconnect: false }

/** aedes would pause its own work for a slow reader, and everybody's who publishes to it: it never sees a full buffer. */
const NEVER_FULL = Number.MAX_SAFE_INTEGER

export class Connection extends Duplex {
  readonly peer: string
  connect: ConnectPacket | undefined
  readonly acknowledgements = new Acknowledgements<Owed>()
  readonly #transport: Duplex
  readonly #events: ConnectionEvents
  readonly #guard: Guard
  readonly #held: Slice[] = []
  #heldBytes = 0
  #handshakeBytes = 0
  /** Publications of this client that wait for the log. */
  #inFlight = 0
  #ready = false
  #wanted = false
  #ended = false
  #refused = false
  #paused = false
  #sentBytes = 0
  /** First the deadline for CONNECT, then the keep-alive. */
  #deadline: NodeJS.Timeout | undefined
  #stall: NodeJS.Timeout | undefined
  #unstalledBytes = 0

  constructor(transport: Duplex, options: ConnectionOptions, events: ConnectionEvents) {
    super({ readableHighWaterMark: 1, writableHighWaterMark: NEVER_FULL })
    this.peer = options.peer
    this.#transport = transport
    this.#events = events
    this.#guard = new Guard(options.maxPacketBytes, {
      connect: (bytes, connect) => this.#connect(bytes, connect),
      packets: (bytes, count, publishes) => this.#keep({ bytes, packets: count, publishes, isDisconnect: false }),
      ping: (bytes) => this.#ping(bytes),
      disconnect: (bytes) => this.#keep({ ...alone, bytes, isDisconnect: true }),
    })
    this.on('error', () => this.#clearTimers())
    transport.on('data', (chunk: Buffer) => this.#take(chunk))
    transport.on('drain', () => this.#drained())
    transport.on('end', () => this.#end())
    transport.on('error', () => this.#lost())
    transport.on('close', () => this.#lost())
    this.#deadline = setTimeout(
      () => this.refuse({ reason: 'connect-timeout', detail: `no CONNECT within ${options.connectTimeoutMs} ms` }),
      options.connectTimeoutMs,
    )
  }

  /** For log lines. */
  get label(): string {
    const clientId = this.connect?.clientId
    return clientId === undefined || clientId === '' ? this.peer : `${clientId} (${this.peer})`
  }

  /** Whether CONNACK has been sent, so that packets may flow both ways. */
  get ready(): boolean {
    return this.#ready && !this.destroyed
  }

  /** Whether the peer has left so much unread that it shall get no more for now. */
  get congested(): boolean {
    return this.#transport.writableLength + this.writableLength > MAX_UNSENT_BYTES
  }

  /** CONNACK is on its way: what the client sent behind its CONNECT may follow. */
  open(): void {
    this.#ready = true
    this.proceed()
  }

  /** A publication of this client begins to wait for the log. */
  hold(): void {
    this.#inFlight++
  }

  /** A publication of this client has been acknowledged, or needs no acknowledgement. */
  settle(): void {
    this.#inFlight--
    if (this.#held.length > 0 || this.#ended) this.proceed()
  }

  /** Hands the next packets to aedes, if it asked for them and nothing speaks against it. */
  proceed(): void {
    if (this.destroyed || this.#refused) return
    const next = this.#held[0]
    if (next !== undefined && this.#mayPass(next)) this.#pass()
    else if (next === undefined && this.#ended && this.#wanted && this.#inFlight === 0) this.push(null)
    this.#paceTransport()
  }

  /** Ends the connection: says why if MQTT can, counts it, and forgets what has not been handed on. */
  refuse(refusal: Refusal): void {
    if (this.#refused || this.destroyed) return
    this.#refused = true
    this.#events.refused(this, refusal)
    if (refusal.farewell === undefined || this.#transport.destroyed) this.#transport.destroy()
    else this.#transport.write(refusal.farewell)
    this.destroy()
  }

  override _read(): void {
    this.#wanted = true
    // Not at once: read() would join the new slice with the one that it is about to return.
    if (this.#held.length > 0 || this.#ended) process.nextTick(() => this.proceed())
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk)
    done()
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)))
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#clearTimers()
    this.#held.length = 0
    this.#heldBytes = 0
    this.#countHandshakeBytes(0)
    hangUp(this.#transport)
    done(error)
  }

  #mayPass(next: Slice): boolean {
    if (!this.#wanted) return false
    // CONNECT is alone in front; the rest waits for CONNACK, whose authentication aedes would not let it wait for.
    if (!this.#ready) return this.connect !== undefined && this.#inFlight === 0 && this.#isConnect(next)
    // DISCONNECT overtakes nothing: aedes drops the connection, and acknowledgements with it, as soon as it sees it.
    if (next.isDisconnect && this.#inFlight > 0) return false
    return !this.#isHeldBack(next) && this.#inFlight < EAGER_IN_FLIGHT && !this.#isUnread()
  }

  /**
   * What is not for the log does not wait for it: subscribers are served while the disk is full. Nor does QoS 0, which the
   * log may lose then: only who wants acknowledgements is held back.
   */
  #isHeldBack({ publishes }: Slice): boolean {
    return publishes >= 0 && !this.#events.mayProceed(publishes > 0 ? 1 : 0)
  }

  /** Hands on the first slice, and what may go with it: aedes asks again when all of it is settled, and a commit takes time. */
  #pass(): void {
    this.#wanted = false
    let packets = 0
    let passed = 0
    for (const slice of this.#held) {
      const { bytes, packets: more, isDisconnect } = slice
      const isTooMuch = packets + more > MAX_SLICE_PACKETS || isDisconnect || !this.#ready || this.#isHeldBack(slice)
      if (passed > 0 && isTooMuch) break
      this.push(bytes)
      this.#heldBytes -= bytes.length
      packets += more
      passed++
    }
    this.#held.splice(0, passed)
  }

  #isConnect(slice: Slice): boolean {
    return slice.bytes[0] === 0x10
  }

  #isUnread(): boolean {
    return !this.#transport.destroyed && this.#transport.writableLength > MAX_UNREAD_BYTES
  }

  #take(chunk: Buffer): void {
    if (this.#refused || this.destroyed) return
    if (this.connect !== undefined) this.#deadline?.refresh() // [MQTT-3.1.2-24]
    const refusal = this.#guard.take(chunk)
    if (refusal !== undefined) {
      this.refuse(refusal)
      return
    }
    this.#countHandshakeBytes(this.connect === undefined ? this.#guard.heldBytes : 0)
    this.proceed()
  }

  #countHandshakeBytes(bytes: number): void {
    const change = bytes - this.#handshakeBytes
    if (change === 0) return
    this.#handshakeBytes = bytes
    this.#events.handshakeBytes(this, change)
  }

  #connect(bytes: Buffer, connect: ConnectPacket): void {
    this.connect = connect
    clearTimeout(this.#deadline)
    this.#deadline = undefined
    if (connect.keepAliveSeconds > 0) this.#watchKeepAlive(connect.keepAliveSeconds * 1_500)
    this.#keep({ ...alone, bytes })
    this.#events.connected(this, connect)
  }

  #keep(slice: Slice): void {
    if (this.destroyed || this.#refused) return
    this.#held.push(slice)
    this.#heldBytes += slice.bytes.length
  }

  // Answered here, so that a client whose messages wait for the log does not take the gateway for dead.
  #ping(bytes: Buffer): void {
    if (this.ready) this.write(PINGRESP)
    else this.#keep({ ...alone, bytes })
  }

  #watchKeepAlive(timeoutMs: number): void {
    const deadline = setTimeout(() => {
      // A client that is not being read may well be alive.
      if (this.#paused) deadline.refresh()
      else this.refuse({ reason: 'keep-alive', detail: `nothing heard for ${timeoutMs} ms` })
    }, timeoutMs)
    this.#deadline = deadline
  }

  #paceTransport(): void {
    const paused = this.#heldBytes > MAX_HELD_BYTES || this.#isUnread()
    if (paused === this.#paused) return
    this.#paused = paused
    if (paused) this.#transport.pause()
    else this.#transport.resume()
  }

  #send(bytes: Buffer): void {
    if (this.#transport.destroyed || this.#transport.writableEnded) return
    this.#sentBytes += bytes.length
    if (this.#transport.write(bytes) || this.#stall !== undefined) return
    this.#unstalledBytes = this.#takenBytes()
    this.#stall = setTimeout(() => this.#checkStall(), STALL_TIMEOUT_MS)
  }

  #takenBytes(): number {
    return this.#sentBytes - this.#transport.writableLength
  }

  #checkStall(): void {
    const taken = this.#takenBytes()
    if (taken === this.#unstalledBytes) {
      this.refuse({ reason: 'slow-reader', detail: `took nothing for ${STALL_TIMEOUT_MS} ms` })
      return
    }
    this.#unstalledBytes = taken
    this.#stall = setTimeout(() => this.#checkStall(), STALL_TIMEOUT_MS)
  }

  #drained(): void {
    clearTimeout(this.#stall)
    this.#stall = undefined
    this.proceed()
    if (!this.destroyed) this.#events.drained(this)
  }

  /** The client has sent all it will; what it sent is still worked through. */
  #end(): void {
    this.#ended = true
    if (this.connect === undefined) this.destroy()
    else this.proceed()
  }

  #lost(): void {
    const isWorkLeft = this.#ended && (this.#held.length > 0 || this.#inFlight > 0)
    if (!isWorkLeft) this.destroy()
  }

  #clearTimers(): void {
    clearTimeout(this.#deadline)
    clearTimeout(this.#stall)
    this.#stall = undefined
  }
}

/** Lets the peer read what was written, for a moment: closing with unread input would reset the connection under it. */
const hangUp = (transport: Duplex): void => {
  if (transport.destroyed) return
  if (transport.readableEnded && transport.writableLength === 0) {
    transport.destroy()
    return
  }
  const deadline = setTimeout(() => transport.destroy(), LINGER_MS)
  transport.once('close', () => clearTimeout(deadline))
  transport.once('end', () => transport.destroy())
  transport.resume()
  transport.end()
}
