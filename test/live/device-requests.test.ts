import { test } from 'tap'
import type { Decoding, Entry } from '../../src/core/contract.ts'
import { DeviceRequests } from '../../src/live/device-requests.ts'
import { rememberingLogger, rememberingMeter } from '../support/context.ts'

const requestTo = (to: string) => ({ to, topic: `${to}/ask`, payload: Buffer.from('?'), reason: 'because' })

const setUp = (send: () => Promise<unknown> = async () => undefined) => {
  const sent: string[] = []
  let now = 0
  const requests = new DeviceRequests({
    send: (request, entry) => {
      sent.push(`${entry.source} ${request.topic}`)
      return send()
    },
    logger: rememberingLogger(),
    meter: rememberingMeter(),
    monotonicMs: () => now,
  })
  const see = (part: Partial<Decoding>, entry: Partial<Entry> = {}) =>
    requests.observe({ source: 's', retain: false, ...entry } as Entry, {
      profile: 'p',
      device: 'd',
      readings: [],
      ...part,
    })
  const count = (number: number, of = 'n', more: { first?: true } = {}, entry: Partial<Entry> = {}) =>
    see({ sequence: { of, number, modulo: 4, request: requestTo(of), ...more } }, entry)
  return { sent, see, count, pass: (ms: number) => (now += ms) }
}

test('numbers that follow each other, come twice or begin anew are no gap', (t) => {
  const { sent, count } = setUp()
  for (const number of [2, 3, 0, 1, 1, 2]) count(number)
  count(0, 'n', { first: true })
  count(1)
  t.strictSame(sent, [])
  count(3)
  t.strictSame(sent, ['s n/ask'])
  t.end()
})

test('each sender is followed for itself, and each source', (t) => {
  const { sent, count } = setUp()
  count(0, 'a')
  count(2, 'b')
  count(3, 'a', {}, { source: 'other' })
  count(1, 'a')
  count(3, 'b')
  t.strictSame(sent, [])
  t.end()
})

test('a device is asked once a minute at most, whatever becomes of it', async (t) => {
  const { sent, see, pass } = setUp(() => Promise.reject(new Error('away')))
  for (let turn = 0; turn < 5; turn++) see({ request: requestTo('a') })
  t.equal(sent.length, 1)
  see({ request: requestTo('b') })
  see({ request: requestTo('a') }, { source: 'other' })
  t.equal(sent.length, 3)
  pass(59_999)
  see({ request: requestTo('a') })
  t.equal(sent.length, 3)
  pass(1)
  see({ request: requestTo('a') })
  t.equal(sent.length, 4)
  await new Promise(setImmediate)
})

test('nothing is asked because of what was retained', (t) => {
  const { sent, see, count } = setUp()
  see({ request: requestTo('a') }, { retain: true })
  count(0)
  count(2, 'n', {}, { retain: true })
  t.strictSame(sent, [])
  t.end()
})

test('senders that are invented are forgotten again', (t) => {
  const { sent, count, see } = setUp()
  count(0, 'old')
  for (let index = 0; index < 5_000; index++) count(0, `n${index}`)
  count(2, 'old')
  t.strictSame(sent, [], 'it is not known where it stood')
  for (let index = 0; index < 5_000; index++) see({ request: requestTo(`n${index}`) })
  t.equal(sent.length, 5_000)
  t.end()
})
