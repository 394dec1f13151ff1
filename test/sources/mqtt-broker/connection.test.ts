import { Duplex } from 'node:stream'
import { type Test, test } from 'tap'
import { Connection } from '../../../src/sources/mqtt-broker/connection.ts'
import { packets } from '../../support/mqtt-broker.ts'
import { until } from '../../support/until.ts'

/** A transport in memory whose peer reads only when it is told to. */
class Peer extends Duplex {
  readonly written: Buffer[] = []
  #unread: (() => void) | undefined
  isReading = true

  constructor() {
    super({ allowHalfOpen: true })
  }

  override _read(): void {
    // Bytes come by send().
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk)
    if (this.isReading) done()
    else this.#unread = done
  }

  send(...parts: Uint8Array[]): void {
    this.push(Buffer.concat(parts))
  }

  readOn(): void {
    this.isReading = true
    this.#unread?.()
  }
}

const open = (t: Test, connectTimeoutMs = 10_000) => {
  const transport = new Peer()
  const refused: string[] = []
  const state = { mayProceed: true, connected: 0, drained: 0, handshakeBytes: 0 }
  const connection = new Connection(
    transport,
    { maxPacketBytes: 100_000, connectTimeoutMs, peer: 'test' },
    {
      connected: () => state.connected++,
      refused: (_connection, { reason }) => refused.push(reason),
      handshakeBytes: (_connection, change) => {
        state.handshakeBytes += change
      },
      mayProceed: () => state.mayProceed,
      drained: () => state.drained++,
    },
  )
  t.teardown(() => connection.destroy())
  const slices: Buffer[] = []
  connection.on('readable', () => {
    for (let slice: Buffer | null = connection.read(); slice !== null; slice = connection.read()) slices.push(slice)
  })
  const bytes = () => Buffer.concat(slices)
  return { transport, connection, refused, state, slices, bytes }
}

test('nothing is handed on behind CONNECT until CONNACK is out', async (t) => {
  const { transport, connection, bytes } = open(t)
  const [connect, publish] = [packets.connect(), packets.publish('a', 0)]
  transport.send(connect, publish)
  await until('CONNECT', () => bytes().length >= connect.length)
  t.same(bytes(), connect)
  connection.open()
  await until('the rest', () => bytes().length > connect.length)
  t.same(bytes(), Buffer.concat([connect, publish]))
})

test('an incomplete packet is not handed on', async (t) => {
  const { transport, connection, bytes } = open(t)
  const connect = packets.connect()
  transport.send(connect)
  connection.open()
  const publish = packets.publish('a', 0)
  transport.send(publish, publish.subarray(0, 5))
  await until('the whole one', () => bytes().length >= connect.length + publish.length)
  transport.send(publish.subarray(5))
  await until('the other', () => bytes().length === connect.length + 2 * publish.length)
})

test('what waits for the log stops the flow, PINGREQ is answered all the same', async (t) => {
  const { transport, connection, bytes } = open(t)
  transport.send(packets.connect())
  connection.open()
  await until('CONNECT', () => bytes().length > 0)
  const before = bytes().length
  for (let count = 0; count < 64; count++) connection.hold()
  transport.send(packets.publish('a', 1, 1), packets.pingreq)
  await until('PINGRESP', () => transport.written.length > 0)
  t.same(transport.written, [Buffer.from([0xd0, 0])])
  t.equal(bytes().length, before)
  connection.settle()
  await until('the packet', () => bytes().length > before)
})

test('DISCONNECT waits for what is in flight', async (t) => {
  const { transport, connection, bytes } = open(t)
  transport.send(packets.connect())
  connection.open()
  await until('CONNECT', () => bytes().length > 0)
  connection.hold()
  transport.send(packets.publish('a', 1, 2), packets.disconnect)
  await until('the packet', () => bytes().includes('a'))
  t.not(bytes().at(-2), 0xe0)
  connection.settle()
  await until('DISCONNECT', () => bytes().at(-2) === 0xe0)
})

test('a full log stops the flow, and the transport behind it', async (t) => {
  const { transport, connection, bytes, state } = open(t)
  transport.send(packets.connect())
  connection.open()
  await until('CONNECT', () => bytes().length > 0)
  const before = bytes().length
  state.mayProceed = false
  const publish = packets.publish('a', 0, 0, { payload: Buffer.alloc(50_000) })
  transport.send(publish)
  transport.send(publish)
  await until('a pause', () => transport.isPaused())
  t.equal(bytes().length, before)
  state.mayProceed = true
  connection.proceed()
  await until('both', () => bytes().length === before + 2 * publish.length)
  t.notOk(transport.isPaused())
})

test('a peer that does not read its acknowledgements is not read on', async (t) => {
  const { transport, connection, bytes, state } = open(t)
  transport.send(packets.connect())
  connection.open()
  await until('CONNECT', () => bytes().length > 0)
  const before = bytes().length
  transport.isReading = false
  for (let count = 0; count < 70; count++) t.ok(connection.write(Buffer.alloc(1_000)), 'aedes is never told to wait')
  transport.send(packets.publish('a', 0))
  await until('a pause', () => transport.isPaused())
  t.equal(bytes().length, before)
  t.notOk(connection.congested)
  connection.write(Buffer.alloc(500_000))
  t.ok(connection.congested)
  transport.readOn()
  await until('the packet', () => bytes().length > before)
  t.equal(state.drained, 1)
})

test('the memory of an unfinished CONNECT is accounted for and given back', async (t) => {
  const { transport, connection, state } = open(t)
  const connect = packets.connect({ password: Buffer.alloc(1_000), username: 'u' })
  transport.send(connect.subarray(0, 700))
  await until('the first part', () => state.handshakeBytes === 700)
  transport.send(connect.subarray(700))
  await until('the second part', () => state.connected === 1)
  t.equal(state.handshakeBytes, 0)
  t.equal(connection.connect?.clientId, 'raw')
})

test('a client that ends its side is served to the end of what it sent', async (t) => {
  const { transport, connection, bytes, state } = open(t)
  let ended = false
  connection.on('end', () => {
    ended = true
  })
  transport.send(packets.connect())
  connection.open()
  await until('CONNECT', () => bytes().length > 0)
  state.mayProceed = false
  transport.send(packets.publish('last', 0))
  transport.push(null)
  await until('the end of the transport', () => transport.readableEnded)
  t.notOk(ended)
  state.mayProceed = true
  connection.proceed()
  await until('the end', () => ended)
  t.ok(bytes().includes('last'))
})

test('a refusal says why, once, and ends the transport', async (t) => {
  const { transport, connection, refused } = open(t)
  transport.send(Buffer.from([0x10, 16, 0, 4, 77, 81, 84, 84, 9, 2, 0, 0, 0, 4, 97, 98, 99, 100]))
  await until('the end', () => transport.writableEnded)
  t.same(Buffer.concat(transport.written), Buffer.from([0x20, 2, 0, 1]))
  connection.refuse({ reason: 'malformed', detail: 'again' })
  t.same(refused, ['protocol-version'])
  t.ok(connection.destroyed)
  transport.push(null)
  await until('the transport closes', () => transport.destroyed)
})
