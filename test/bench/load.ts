// The load generator, a process of its own: raw sockets and packets that were encoded beforehand, so that it costs next to nothing.
// Its only argument is a LoadRequest, what it prints is a LoadResult.

import { connect, type Socket } from 'node:net'
import { generate } from 'mqtt-packet'
import type { LoadRequest, LoadResult } from './load-process.ts'

/** QoS 0 packets handed to the socket at once. */
const BURST = 64

let finished = false
const request = JSON.parse(process.argv[2] ?? '') as LoadRequest

const payload = (connection: number): string => {
  const start = `{"n":${connection},"temperature":21.5,"padding":"`
  return `${start}${'x'.repeat(Math.max(0, request.payloadBytes - start.length - 2))}"}`
}

const publish = (connection: number, qos: 0 | 1, messageId: number): Buffer => {
  const topic = `bench/${connection}`
  const common = { cmd: 'publish', topic, payload: payload(connection), retain: false, dup: false } as const
  return generate(qos === 0 ? { ...common, qos } : { ...common, qos, messageId })
}

/** Connects, and hands over the socket once CONNACK is there. */
const open = (connection: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: request.port, noDelay: true })
    socket.once('error', reject)
    socket.once('data', (data) => {
      socket.once('close', () => {
        if (!finished) throw new Error('the server closed a connection')
      })
      if (data[0] === 0x20 && data[3] === 0) resolve(socket)
      else reject(new Error('CONNECT was refused'))
    })
    const clientId = `bench-${process.pid}-${connection}`
    socket.write(
      generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0, clientId }),
    )
  })

/** Calls back with each Packet Identifier of the PUBACKs, which come as four bytes each, in whatever chunks. */
const onPuback = (socket: Socket, acknowledged: (id: number) => void): void => {
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    for (; at + 4 <= bytes.length; at += 4) {
      if (bytes[at] !== 0x40) throw new Error(`not a PUBACK: ${bytes[at]}`)
      acknowledged(bytes.readUInt16BE(at + 2))
    }
    rest = bytes.subarray(at)
  })
}

/** So many unacknowledged messages on each connection at any time: each PUBACK sends the packet of that identifier again. */
const runQos1 = async (sockets: readonly Socket[]): Promise<LoadResult> => {
  let messages = 0
  let running = true
  const startedAt = performance.now()
  const latencies: number[] = []
  let inFlight = 0
  let idle = (): void => undefined
  const allBack = new Promise<void>((resolve) => {
    idle = resolve
  })
  for (const [connection, socket] of sockets.entries()) {
    const packets = Array.from({ length: request.inFlight }, (_, index) => publish(connection, 1, index + 1))
    const sentAt = new Float64Array(request.inFlight)
    onPuback(socket, (id) => {
      const now = performance.now()
      messages++
      if (request.inFlight === 1) latencies.push(now - (sentAt[id - 1] ?? 0))
      if (running) {
        sentAt[id - 1] = now
        socket.write(packets[id - 1] ?? '')
      } else if (--inFlight === 0) idle()
    })
    inFlight += packets.length
    sentAt.fill(performance.now())
    socket.write(Buffer.concat(packets))
  }
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  await sleep(request.durationMs * 0.2)
  const [warm, measuredFrom] = [messages, performance.now()]
  await sleep(request.durationMs * 0.8)
  const elapsedMs = performance.now() - measuredFrom
  const measured = messages - warm
  running = false
  await allBack
  latencies.sort((a, b) => a - b)
  return {
    messages,
    perSecond: (measured / elapsedMs) * 1_000,
    elapsedMs: performance.now() - startedAt,
    medianMs: latencies[latencies.length >> 1] ?? 0,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
  }
}

/** As fast as the socket takes them; a last QoS 1 message on each connection says when everything before it was handled. */
const runQos0 = async (sockets: readonly Socket[]): Promise<LoadResult> => {
  const startedAt = performance.now()
  const each = Math.ceil(request.messages / sockets.length / BURST) * BURST
  await Promise.all(
    sockets.map(async (socket, connection) => {
      const burst = Buffer.concat(Array.from({ length: BURST }, () => publish(connection, 0, 0)))
      const done = new Promise<void>((resolve) => onPuback(socket, () => resolve()))
      for (let sent = 0; sent < each; sent += BURST) {
        if (!socket.write(burst)) await new Promise((resolve) => socket.once('drain', resolve))
      }
      socket.write(publish(connection, 1, 1))
      await done
    }),
  )
  const elapsedMs = performance.now() - startedAt
  const messages = sockets.length * (each + 1)
  return { messages, perSecond: (messages / elapsedMs) * 1_000, elapsedMs, medianMs: 0, p99Ms: 0 }
}

const sockets = await Promise.all(Array.from({ length: request.connections }, (_, connection) => open(connection)))
const result = await (request.qos === 1 ? runQos1(sockets) : runQos0(sockets))
finished = true
for (const socket of sockets) socket.destroy()
console.log(JSON.stringify(result))
