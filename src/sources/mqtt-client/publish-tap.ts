// Stands between the socket and MQTT.js, which handles one message at a time and would wait for the disk with each. The tap
// takes publications out of the stream, hands them on, and writes their acknowledgements itself, many at a time, when they are
// due; every other packet passes, so that the handshake, subscriptions, pings and commands stay with MQTT.js.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { describe } from '../../core/errors.ts'
import { PacketStream } from './packet-stream.ts'
import {
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  type PublishPacket,
  packetIdOf,
  packetType,
  parseHead,
  parsePublish,
} from './publish-packet.ts'

export interface TapEvents {
  /** A publication. False: no further one, until the tap's resumePublications(). Acknowledge by its acknowledge(). */
  published(packet: PublishPacket, tap: PublishTap): boolean
  /** A publication above the limit was passed over; the broker is told that it came, or it would send it for ever. */
  tooLarge(topic: string, sizeBytes: number): void
}

export class PublishTap extends Duplex {
  readonly #socket: Socket
  readonly #events: TapEvents
  readonly #version: 4 | 5
  readonly #packets: PacketStream
  #held = false
  #ended = false
  /** Type and packet identifier of the acknowledgements that go out at the end of this turn. */
  #due: number[] = []

  constructor(socket: Socket, version: 4 | 5, maxPacketBytes: number, events: TapEvents) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    this.#events = events
    this.#version = version
    this.#packets = new PacketStream({
      maxBytes: maxPacketBytes,
      tooLarge: (start, sizeBytes) => this.#passOver(start, sizeBytes),
    })
    socket.on('data', (chunk: Buffer) => {
      this.#packets.push(chunk)
      this.#work()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#work()
    })
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  /** After published() had answered false. */
  resumePublications(): void {
    if (!this.#held) return
    this.#held = false
    this.#work()
    if (!this.#held) this.#socket.resume()
  }

  /** The message is durable. Calls come in the order of the publications ([MQTT-4.6.0-2]). */
  acknowledge({ qos, packetId }: Pick<PublishPacket, 'qos' | 'packetId'>): void {
    if (qos > 0) this.#answer(qos === 1 ? PUBACK : PUBREC, packetId)
  }

  #answer(type: number, packetId: number): void {
    if (this.destroyed) return
    this.#due.push(type, packetId)
    if (this.#due.length === 2) setImmediate(() => this.#flush())
  }

  #flush(): void {
    const due = this.#due
    this.#due = []
    if (this.destroyed || this.writableEnded) return
    const bytes = Buffer.allocUnsafe(due.length * 2)
    for (let index = 0; index < due.length; index += 2) {
      bytes.writeUInt8(due[index] ?? 0, index * 2)
      bytes.writeUInt8(2, index * 2 + 1)
      bytes.writeUInt16BE(due[index + 1] ?? 0, index * 2 + 2)
    }
    // Into the queue that MQTT.js writes to: it writes a packet within one turn, so this comes between two packets.
    this.write(bytes)
  }

  #work(): void {
    try {
      for (let packet = this.#next(); packet !== undefined; packet = this.#next()) this.#take(packet)
    } catch (error) {
      this.destroy(new Error(`the broker broke the protocol: ${describe(error)}`, { cause: error }))
      return
    }
    if (this.#held) this.#socket.pause()
    else if (this.#ended) this.push(null)
  }

  #next(): Buffer | undefined {
    return this.#held || this.destroyed ? undefined : this.#packets.next()
  }

  #take(packet: Buffer): void {
    const type = packetType(packet)
    if (type === PUBLISH) this.#held = !this.#events.published(parsePublish(packet, this.#version), this)
    else if (type === PUBREL) this.#answer(PUBCOMP, packetIdOf(packet))
    else this.push(packet)
  }

  #passOver(start: Buffer, sizeBytes: number): void {
    if (packetType(start) !== PUBLISH) throw new RangeError(`a packet of ${sizeBytes} bytes that is no PUBLISH`)
    const { topic, qos, packetId } = parseHead(start)
    this.#events.tooLarge(topic, sizeBytes)
    this.acknowledge({ qos, packetId })
  }

  override _read(): void {
    // What passes is a few small packets; they are pushed as they come.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done)
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer; readonly encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done())
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}
