import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import { test } from 'tap'
import { PacketStream } from '../../src/sources/mqtt-client/packet-stream.ts'
import { packetIdOf, packetType, parsePublish } from '../../src/sources/mqtt-client/publish-packet.ts'

const publish = fc.record({
  topic: fc.string({ minLength: 1, maxLength: 12 }).filter((topic) => !/[+#\0]/.test(topic)),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
  retain: fc.boolean(),
  messageId: fc.integer({ min: 1, max: 65_535 }),
})

const bytesOf = (packets: readonly mqttPacket.Packet[], protocolVersion: 4 | 5) =>
  Buffer.concat(packets.map((packet) => mqttPacket.generate(packet, { protocolVersion })))

/** Cuts the bytes at the given parts of their length. */
const chunksOf = (bytes: Buffer, cuts: readonly number[]): readonly Buffer[] => {
  const at = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

type TooLarge = (start: Buffer, sizeBytes: number) => void

const packetsOf = (chunks: readonly Buffer[], maxBytes = 1_000_000, tooLarge: TooLarge = () => undefined) => {
  const stream = new PacketStream({ maxBytes, tooLarge })
  const packets: Buffer[] = []
  for (const chunk of chunks) {
    stream.push(chunk)
    for (let packet = stream.next(); packet !== undefined; packet = stream.next()) packets.push(packet)
  }
  return packets
}

const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })

for (const version of [4, 5] as const)
  test(`publications come out as they went in, however the bytes are cut, by version ${version}`, async (t) => {
    const whole = fc.property(fc.array(publish, { maxLength: 6 }), cuts, (list, at) => {
      const properties = { messageExpiryInterval: 5, userProperties: { a: 'b' } }
      const packets = list.map((one) => ({
        cmd: 'publish' as const,
        dup: false,
        ...one,
        ...(version === 5 && { properties }),
      }))
      const parsed = packetsOf(chunksOf(bytesOf(packets, version), at)).map((packet) => parsePublish(packet, version))
      const expected = list.map(({ messageId, ...one }) => ({ ...one, packetId: one.qos === 0 ? 0 : messageId }))
      t.strictSame(parsed, expected)
    })
    fc.assert(whole, { numRuns: 100 })
  })

test('a packet above the limit is passed over wherever it is cut, and those around it come out', async (t) => {
  const small = { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 7, dup: false, retain: false } as const
  const bytes = bytesOf([small, { ...small, topic: 't'.repeat(500), payload: Buffer.alloc(90_000) }, small], 4)
  fc.assert(
    fc.property(cuts, (at) => {
      const passed: number[] = []
      const packets = packetsOf(chunksOf(bytes, at), 1_000, (start, sizeBytes) => {
        passed.push(packetType(start), sizeBytes)
      })
      t.strictSame([packets.length, ...passed], [2, 3, bytes.length - 2 * 8])
    }),
    { numRuns: 50 },
  )
})

test('arbitrary bytes are packets or a RangeError, and nothing is kept beyond the limit', async (t) => {
  const attempt = (bytes: Uint8Array) => {
    try {
      for (const packet of packetsOf([Buffer.from(bytes)], 100)) if (packetType(packet) === 3) parsePublish(packet, 5)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), attempt), { numRuns: 3_000 })
  t.throws(() => packetsOf([Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 1])]), RangeError)
})

test('the packet identifier of a PUBREL is found behind a long Remaining Length, too', (t) => {
  for (const reason of ['', 'x'.repeat(300)]) {
    const properties = reason === '' ? {} : { properties: { reasonString: reason } }
    const packet = mqttPacket.generate({ cmd: 'pubrel', messageId: 0x1234, ...properties }, { protocolVersion: 5 })
    t.equal(packetIdOf(packet), 0x1234)
  }
  t.end()
})
