import fc from 'fast-check'
import { test } from 'tap'
import { Guard } from '../../../src/sources/mqtt-broker/guard.ts'
import { packets } from '../../support/mqtt-broker.ts'

const MAX_PACKET_BYTES = 5_000

/** What the guard lets through of these chunks: the bytes, the number of packets, and what refused the rest. */
const through = (chunks: readonly Buffer[]) => {
  const passed: Buffer[] = []
  let count = 0
  let held = 0
  const pass = (bytes: Buffer, more = 1) => {
    passed.push(bytes)
    count += more
  }
  const guard = new Guard(MAX_PACKET_BYTES, {
    connect: (bytes) => pass(bytes),
    packets: pass,
    ping: (bytes) => pass(bytes),
    disconnect: (bytes) => pass(bytes),
  })
  for (const chunk of chunks) {
    const refusal = guard.take(chunk)
    if (refusal !== undefined) return { bytes: Buffer.concat(passed), count, held, reason: refusal.reason }
    held = Math.max(held, guard.heldBytes)
  }
  return { bytes: Buffer.concat(passed), count, held, reason: undefined }
}

/** The bytes, cut at these places. */
const cut = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const ends = [...new Set(places.map((place) => place % bytes.length))].sort((a, b) => a - b)
  return [...ends, bytes.length].map((end, index) => Buffer.from(bytes.subarray(ends[index - 1] ?? 0, end)))
}

const packet = fc.oneof(
  fc
    .record({ size: fc.nat(4_000), id: fc.integer({ min: 1, max: 65_535 }), qos: fc.constantFrom(0, 1, 2) })
    .map(({ size, id, qos }) => packets.publish('some/täg', qos as 0 | 1 | 2, id, { payload: Buffer.alloc(size, id) })),
  fc.constantFrom(packets.pingreq, packets.puback(7), packets.pubrel(9), packets.subscribe('a/+/#')),
)

test('packets pass unchanged however the stream is cut', (t) => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 30 }), fc.array(fc.nat(), { maxLength: 40 }), (list, places) => {
      const bytes = Buffer.concat([packets.connect(), ...list])
      const result = through(cut(bytes, places))
      return result.reason === undefined && result.count === list.length + 1 && result.bytes.equals(bytes)
    }),
    { numRuns: 300 },
  )
  t.end()
})

test('any bytes are passed or refused, never thrown at, and no more is held than a packet may have', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), fc.boolean(), (chunks, connected) => {
      const all = [...(connected ? [packets.connect()] : []), ...chunks.map((chunk) => Buffer.from(chunk))]
      const { held } = through(all)
      return held <= 100_000
    }),
    { numRuns: 1_000 },
  )
  t.end()
})

test('a flipped byte never makes the guard pass what it then refuses to have passed', (t) => {
  const bytes = Buffer.concat([
    packets.connect({ will: { topic: 'w', payload: Buffer.from('x'), qos: 1, retain: true }, username: 'u' }),
    packets.publish('a/b', 2, 5),
    packets.subscribe('a/#', 1),
    packets.disconnect,
  ])
  for (let index = 0; index < bytes.length; index++)
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[index] = (flipped[index] ?? 0) ^ (1 << bit)
      const whole = through([flipped])
      const singly = through(
        cut(
          flipped,
          Array.from({ length: flipped.length }, (_, place) => place),
        ),
      )
      if (!whole.bytes.equals(singly.bytes) || whole.reason !== singly.reason) {
        // Packets before the fault may be passed together with it or not at all, but never more of them.
        t.ok(whole.bytes.length <= singly.bytes.length && whole.reason === singly.reason, `bit ${bit} of byte ${index}`)
      }
    }
  t.end()
})
