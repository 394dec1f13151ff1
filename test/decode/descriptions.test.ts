import fc from 'fast-check'
import { test } from 'tap'
import type { Described } from '../../src/core/decoder-contract.ts'
import { Descriptions } from '../../src/decode/descriptions.ts'

const LIMITS = { topics: 100, versions: 16, bytes: 2 ** 20 }

/** Learns `text` on a topic: it tells that the key of the topic has this value; empty: nothing any more. */
const teller = (descriptions: Descriptions) => {
  let calls = 0
  return {
    calls: () => calls,
    learn: (seq: number, topic: string, text: string, more: Partial<Described> = {}) =>
      descriptions.learn('d', { topic, payload: Buffer.from(text), source: 's', receivedAt: seq, seq }, () => {
        calls++
        return text === '' ? [] : [{ key: topic, value: text, ...more }]
      }),
    value: (key: string, seq?: number) => descriptions.find('d', 's', key, seq)?.value,
  }
}

test('a message is read with what was known when it came, else with the first that was told', (t) => {
  const { learn, value } = teller(new Descriptions())
  learn(10, 'a', 'one')
  learn(20, 'a', 'two')
  t.equal(value('a', 5), 'one')
  t.equal(value('a', 10), 'one')
  t.equal(value('a', 11), 'one')
  t.equal(value('a', 20), 'one')
  t.equal(value('a', 21), 'two')
  t.equal(value('a'), 'two')
  t.equal(value('b'), undefined)
  learn(30, 'a', '')
  t.equal(value('a', 31), undefined, 'it was taken back')
  t.equal(value('a', 30), 'two')
  t.end()
})

test('the order in which messages are learnt does not matter, nor how often', (t) => {
  const message = fc.record({ topic: fc.constantFrom('a', 'b'), text: fc.constantFrom('x', 'y', 'z', '') })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 16 }), fc.infiniteStream(fc.nat()), (messages, random) => {
      const entries = messages.map((one, index) => ({ ...one, seq: index + 1 }))
      const ordered = teller(new Descriptions(LIMITS))
      const shuffled = teller(new Descriptions(LIMITS))
      for (const { seq, topic, text } of entries) ordered.learn(seq, topic, text)
      const mixed = entries.map((entry) => ({ entry, place: random.next().value ?? 0 }))
      for (const { entry } of [...mixed, ...mixed].sort((a, b) => a.place - b.place))
        shuffled.learn(entry.seq, entry.topic, entry.text)
      for (const key of ['a', 'b'])
        for (let seq = 0; seq <= entries.length + 1; seq++)
          if (ordered.value(key, seq) !== shuffled.value(key, seq)) return false
      return true
    }),
  )
  t.end()
})

test('what is told again costs next to nothing', (t) => {
  const descriptions = new Descriptions({ ...LIMITS, versions: 256 })
  const { learn, calls } = teller(descriptions)
  const long = 'x'.repeat(10_000)
  learn(1, 'a', long)
  const once = descriptions.sizeBytes
  const { changes } = descriptions
  for (let seq = 2; seq <= 100; seq++) learn(seq, 'a', long)
  t.equal(calls(), 1, 'the same bytes are not looked at again')
  t.equal(descriptions.changes, changes)
  t.ok(descriptions.sizeBytes < 1.5 * once, `${descriptions.sizeBytes} bytes`)
  t.end()
})

test('other bytes that tell the same share what was told, each with its own tag', (t) => {
  const descriptions = new Descriptions()
  const learn = (seq: number, tag: string) =>
    descriptions.learn('d', { topic: 'a', payload: Buffer.from(tag), source: 's', receivedAt: 0, seq }, () => [
      { key: 'a', value: { metrics: [1] }, tag },
    ])
  learn(1, '7')
  learn(2, '8')
  t.equal(descriptions.changes, 1)
  t.match(descriptions.find('d', 's', 'a', 2), { seq: 1, tag: '7' })
  t.match(descriptions.find('d', 's', 'a', 3), { seq: 2, tag: '8' })
  t.equal(descriptions.find('d', 's', 'a', 3)?.value, descriptions.find('d', 's', 'a', 2)?.value)
  t.equal(descriptions.export()[0]?.told.length, 1)
  t.end()
})

test('what another source says is another matter', (t) => {
  const descriptions = new Descriptions()
  teller(descriptions).learn(1, 'a', 'x')
  t.equal(descriptions.find('d', 'other', 'a', 5), undefined)
  t.equal(descriptions.find('other', 's', 'a', 5), undefined)
  t.end()
})

test('a stranger who invents topics does not push out what is needed, and all of it is bounded and counted', (t) => {
  const descriptions = new Descriptions(LIMITS)
  const { learn, value } = teller(descriptions)
  learn(1, 'needed', 'x', { topics: [{ topic: 'named', is: 'value', unit: 'W' }] })
  for (let seq = 2; seq < 2_000; seq++) {
    learn(seq, `invented/${seq}`, 'x', { topics: [{ topic: `t/${seq}`, is: 'value' }] })
    if (seq % 40 === 0) t.equal(value('needed', seq), 'x')
  }
  t.equal(descriptions.topicCount, 100)
  t.ok(descriptions.evicted >= 1_890)
  t.equal(descriptions.noted('s', 't/2', undefined), undefined)
  t.ok(descriptions.noted('s', 'named', undefined))
  for (let seq = 3_000; seq < 3_100; seq++) learn(seq, 'needed', `${seq}${'y'.repeat(50_000)}`)
  t.ok(descriptions.sizeBytes <= LIMITS.bytes, `${descriptions.sizeBytes} bytes`)
  t.match(value('needed'), /^3099y/)
  t.equal(value('needed', 1), value('needed', 3_099), 'the oldest that is left')
  learn(4_000, 'huge', 'z'.repeat(600_000))
  t.equal(value('huge'), undefined)
  t.end()
})

test('a topic that many tell about is completed by what each said at the time', (t) => {
  const descriptions = new Descriptions()
  const { learn } = teller(descriptions)
  const unitAt = (seq: number) => {
    const decoding = { profile: 'generic', device: 'x', readings: [{ device: 'x', name: 'a', value: 1 }] }
    const message = { topic: 'x', payload: Buffer.from('1'), source: 's', receivedAt: 0, seq }
    return descriptions.noted('s', 'x', seq)?.complete(decoding, message, () => '').readings[0]?.unit
  }
  const says = (unit: string) => ({ topics: [{ topic: 'x', is: 'value' as const, path: 'a', unit }] })
  learn(10, 'c1', 'w', says('W'))
  t.equal(unitAt(5), 'W')
  learn(20, 'c1', 'v', says('V'))
  t.equal(unitAt(20), 'W')
  t.equal(unitAt(21), 'V')
  t.equal(unitAt(15), 'W')
  learn(30, 'c1', '')
  t.equal(unitAt(31), undefined)
  t.equal(unitAt(25), 'V')
  learn(15, 'c1', 'a', says('A'))
  t.equal(unitAt(18), 'A', 'learnt late')
  t.equal(unitAt(12), 'W')
  t.end()
})
