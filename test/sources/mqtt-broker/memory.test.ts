import { test } from 'tap'
import { OpenPublishes, publishCrc } from '../../../src/sources/mqtt-broker/open-publishes.ts'
import { RetainedMessages } from '../../../src/sources/mqtt-broker/retained.ts'

const retained = (topic: string, payload: string) => ({ topic, payload: Buffer.from(payload), qos: 1 as const })
const topicsOf = (messages: Iterable<{ topic: string } | undefined>) => [...messages].map((message) => message?.topic)

test('retained messages are bounded in number and bytes, and an update that is refused leaves no old value', (t) => {
  const messages = new RetainedMessages({ messages: 3, bytes: 20 })
  t.ok(messages.set(retained('a', '1234')))
  t.ok(messages.set(retained('b', '1234')))
  t.ok(messages.set(retained('c', '1234')))
  t.notOk(messages.set(retained('d', '1')), 'a fourth')
  t.ok(messages.set(retained('a', '123456789')))
  t.notOk(messages.set(retained('b', '123456')), 'a 21st byte')
  t.strictSame(topicsOf(messages.all()), ['a', 'c'])
  t.ok(messages.set(retained('d', '1234')))
  t.ok(messages.set(retained('d', '')))
  t.ok(messages.set(retained('never was', '')))
  t.equal(messages.size, 2)
  t.end()
})

test('retained messages are found by Topic Filter, and keep their own copy', (t) => {
  const messages = new RetainedMessages()
  const payload = Buffer.from('before')
  messages.set({ topic: 'a/b', payload, qos: 0 })
  payload.fill('x')
  for (const topic of ['a/c', 'b', '$x']) messages.set(retained(topic, '1'))
  t.strictSame(topicsOf(messages.matching('a/+')), ['a/b', 'a/c'])
  t.strictSame(topicsOf(messages.matching('#')), ['a/b', 'a/c', 'b'])
  t.strictSame(topicsOf(messages.matching('b')), ['b'])
  t.strictSame(topicsOf(messages.matching('c')), [])
  t.equal([...messages.matching('a/b')][0]?.payload.toString(), 'before')
  t.end()
})

test('open publications are bounded, the oldest is forgotten', (t) => {
  const open = new OpenPublishes(3)
  const crc = publishCrc('a', Buffer.from('1'))
  const origin = (client: number, packetId: number) => ({ clientHash: client, packetId })
  open.open(origin(1, 1), crc).state = 'durable'
  open.open(origin(1, 2), crc)
  open.restore(origin(2, 1), crc)
  open.open(origin(3, 1), crc).state = 'durable'
  t.equal(open.size, 3)
  t.equal(open.find(origin(1, 1)), undefined)
  t.strictSame(
    [...open.durable()].map((one) => one.origin),
    [origin(2, 1), origin(3, 1)],
  )
  open.doubt(3)
  t.match(open.find(origin(3, 1)), { certain: false, crc })
  open.close(origin(3, 1))
  open.close(origin(3, 1))
  t.equal(open.size, 2)
  t.end()
})

test('of the retransmissions that wait for the log, those of connections that have ended are forgotten', (t) => {
  const open = new OpenPublishes()
  const publish = open.open({ clientHash: 1, packetId: 1 }, 7)
  const settled: number[] = []
  for (let number = 0; number < 100; number++) {
    const connection = { destroyed: false }
    const settle = () => settled.push(number)
    publish.wait({ connection, settle })
    publish.wait({ connection, settle })
    t.ok(publish.waiting <= 2)
    connection.destroyed = number < 99
  }
  publish.finish(undefined)
  t.equal(publish.state, 'durable')
  t.strictSame(settled, [99, 99])
  t.end()
})
