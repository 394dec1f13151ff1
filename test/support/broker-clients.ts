// MQTT clients that know exactly what was acknowledged: raw sockets and mqtt-packet, no library that retries or queues by itself.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet'

/** How long a gateway may take to answer CONNECT. */
const CONNECT_DEADLINE_MS = 10_000

interface Waiting {
  readonly sentAt: number
  readonly resolve: (latencyMs: number) => void
  readonly reject: (error: Error) => void
}

export interface PublisherOptions {
  readonly port: number
  readonly clientId: string
  readonly connect?: Partial<IConnectPacket>
}

/** One connection that publishes with QoS 0 or 1 and knows every PUBACK. It never reconnects and never sends twice. */
export class Publisher {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  /** PUBACKs that came in another order than the PUBLISHes went ([MQTT-4.6.0-2]), or for nothing. */
  misordered = 0
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>

  static async open(options: PublisherOptions): Promise<Publisher> {
    const socket = connect({ host: '127.0.0.1', port: options.port, noDelay: true })
    const publisher = new Publisher(socket)
    const connack = publisher.#connack()
    socket.write(
      generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
        keepalive: 0,
        clientId: options.clientId,
        ...options.connect,
      }),
    )
    const returnCode = await connack
    if (returnCode !== 0) {
      socket.destroy()
      throw new Error(`CONNECT was refused with return code ${returnCode}`)
    }
    return publisher
  }

  #onConnack: ((returnCode: number) => void) | undefined
  #onLost: ((error: Error) => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    const packets = parser({ protocolVersion: 4 })
    packets.on('packet', (packet: Packet) => this.#receive(packet))
    packets.on('error', (error: Error) => socket.destroy(error))
    socket.on('data', (chunk) => packets.parse(chunk))
    let reason = 'the connection was closed'
    socket.on('error', (error) => {
      reason = error.message
    })
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        const lost = new Error(`not acknowledged: ${reason}`)
        this.#onLost?.(lost)
        for (const waiting of this.#waiting.values()) waiting.reject(lost)
        this.#waiting.clear()
        resolve()
      })
    })
  }

  #connack(): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#socket.destroy(new Error('no CONNACK')), CONNECT_DEADLINE_MS)
      this.#onConnack = (code) => {
        clearTimeout(timer)
        resolve(code)
      }
      this.#onLost = (error) => {
        clearTimeout(timer)
        reject(error)
      }
    })
  }

  #receive(packet: Packet): void {
    if (packet.cmd === 'connack') this.#onConnack?.(packet.returnCode ?? -1)
    if (packet.cmd !== 'puback') return
    const id = packet.messageId ?? 0
    const [oldest] = this.#waiting.keys()
    if (id !== oldest) this.misordered++
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    waiting?.resolve(performance.now() - waiting.sentAt)
  }

  get inFlight(): number {
    return this.#waiting.size
  }

  /** Resolves with the milliseconds until the PUBACK; rejects when the connection goes before it. */
  publish(topic: string, payload: string | Buffer, retain = false): Promise<number> {
    const messageId = this.#nextId
    this.#nextId = messageId === 65_535 ? 1 : messageId + 1
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new Error('not sent: the connection is closed'))
        return
      }
      this.#waiting.set(messageId, { sentAt: performance.now(), resolve, reject })
      this.#socket.write(generate({ cmd: 'publish', qos: 1, dup: false, retain, topic, payload, messageId }))
    })
  }

  /** QoS 0: sent and forgotten. */
  send(topic: string, payload: string | Buffer): void {
    this.#socket.write(generate({ cmd: 'publish', qos: 0, dup: false, retain: false, topic, payload }))
  }

  async close(): Promise<void> {
    if (!this.#socket.destroyed) this.#socket.end(generate({ cmd: 'disconnect' }))
    setImmediate(() => this.#socket.destroySoon())
    await this.closed
  }
}

/** A socket on which a test sends whatever it likes, and sees what the other side did. */
export class RawConnection {
  readonly socket: Socket
  received = Buffer.alloc(0)
  bytesReceived = 0

  static async open(port: number): Promise<RawConnection> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    await once(socket, 'connect')
    return new RawConnection(socket)
  }

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.bytesReceived += chunk.length
      if (this.received.length < 65_536) this.received = Buffer.concat([this.received, chunk])
    })
    // A reset by the other side is one of the answers that tests look for: `closed` says so.
    socket.on('error', () => socket.destroy())
  }

  get closed(): boolean {
    return this.socket.destroyed || this.socket.readableEnded
  }

  /** Writes until everything is accepted, or the other side answers or is gone; says how much went out. */
  async stream(chunk: Buffer, totalBytes: number): Promise<number> {
    let sent = 0
    while (sent < totalBytes && !this.closed && this.bytesReceived === 0) {
      sent += chunk.length
      if (this.socket.write(chunk)) continue
      await Promise.race([once(this.socket, 'drain'), once(this.socket, 'close')]).catch(() => undefined)
    }
    return sent
  }
}
