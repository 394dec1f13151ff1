import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import type { LogReader } from '../../src/core/log-contract.ts'
import { message, startApi } from '../support/api-server.ts'
import { type LiveClient, liveClient } from '../support/live-client.ts'
import { type MemoryLog, memoryLog } from '../support/memory-log.ts'
import { until } from '../support/until.ts'

// A generator of its own, so that a failure can be repeated.
const randomFrom = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

/** A log whose reads take a random number of turns, in which anything may happen. */
const lingeringLog = (random: () => number): MemoryLog => {
  const log = memoryLog()
  const open = log.reader
  const reader = (): LogReader => {
    const inner = open()
    return {
      read: async (after, limit) => {
        for (let turns = Math.floor(random() * 4); turns > 0; turns--) await nextTurn()
        const result = await inner.read(after, { ...limit, entries: Math.min(limit.entries, 20) })
        for (let turns = Math.floor(random() * 4); turns > 0; turns--) await nextTurn()
        return result
      },
      close: () => inner.close(),
    }
  }
  return Object.defineProperty(log, 'reader', { value: reader })
}

const seqsOf = (client: LiveClient): number[] =>
  client.messages
    .filter(({ type }) => type === 'readings')
    .flatMap(({ readings }) => (readings ?? []).map(({ seq }) => seq))

for (const seed of [1, 2, 3]) {
  test(`clients that resume amid traffic get everything once and in order (seed ${seed})`, async (t) => {
    const random = randomFrom(seed)
    const log = lingeringLog(random)
    const total = 1_500
    const windowLimits = { readings: 40, bytes: 2 ** 20 }
    const { url } = await startApi(t, { log, windowLimits })
    const clients: { readonly client: LiveClient; readonly after: number; readonly parity: number | undefined }[] = []
    const join = async () => {
      const client = liveClient(t, url)
      await client.next('hello')
      const after = Math.floor(random() * (log.durable + 1))
      const parity = random() < 0.5 ? Math.floor(random() * 2) : undefined
      clients.push({ client, after, parity })
      const devices = parity === undefined ? [] : [`device/${parity}`]
      client.send({ type: 'subscribe', id: 1, after, devices })
    }
    const joining: Promise<void>[] = []
    for (let value = 1; value <= total; value++) {
      log.append(message(`device/${value % 2}`, `{"value":${value}}`))
      if (random() < 0.3) await nextTurn()
      if (value % 100 === 0) joining.push(join())
    }
    await Promise.all(joining)
    await until('all is durable', () => log.durable === total)
    for (const { client, after, parity } of clients) {
      const expected: number[] = []
      for (let seq = after + 1; seq <= total; seq++) if (parity === undefined || seq % 2 === parity) expected.push(seq)
      await until(
        `client after ${after} has everything`,
        () => seqsOf(client).length >= expected.length || client.closeCode !== undefined,
      )
      t.same(seqsOf(client), expected, `after ${after}, parity ${parity}`)
      t.notOk(
        client.messages.some(({ type, conflated }) => type === 'snapshot' || type === 'gap' || conflated),
        'no snapshot, no gap, nothing conflated',
      )
    }
  })
}

test('long polls that follow each other amid traffic get everything once and in order', async (t) => {
  const random = randomFrom(7)
  const log = lingeringLog(random)
  const { url } = await startApi(t, { log, windowLimits: { readings: 10, bytes: 2 ** 20 } })
  const total = 400
  const poll = async (parity: number) => {
    const seqs: number[] = []
    for (let after = 0; after < total - 1; ) {
      const response = await fetch(`${url}/api/v1/readings?device=device/${parity}&after=${after}&wait=5s&limit=7`)
      if (response.status === 204) break
      const body = await response.json()
      if (response.status !== 200) throw new Error(JSON.stringify(body))
      seqs.push(...body.readings.map(({ seq }: { seq: number }) => seq))
      after = body.seq
    }
    return seqs
  }
  const polls = [poll(0), poll(1)]
  for (let value = 1; value <= total; value++) {
    log.append(message(`device/${value % 2}`, `{"value":${value}}`))
    if (random() < 0.3) await nextTurn()
    if (value % 40 === 0) await fetch(`${url}/livez`)
  }
  for (const [parity, seqs] of (await Promise.all(polls)).entries())
    t.same(
      seqs,
      Array.from({ length: total }, (_, index) => index + 1).filter((seq) => seq % 2 === parity),
    )
})

test('what retention took is an honest gap before what follows it, and the snapshot makes up for it', async (t) => {
  const { log, publish, url } = await startApi(t, { windowLimits: { readings: 3, bytes: 2 ** 20 } })
  await publish('old/x', '1')
  for (let value = 2; value <= 20; value++) await publish('new/x', String(value))
  log.forget(10)
  const client = liveClient(t, url)
  await client.next('hello')
  client.send({ type: 'subscribe', id: 1, after: 4 })
  await client.next('snapshot')
  t.match(client.messages[1], { type: 'gap', id: 1, from: 5, to: 10, reason: 'retention' })
  t.same(
    seqsOf(client),
    Array.from({ length: 10 }, (_, index) => index + 11),
  )
  t.match(client.messages.at(-1), { type: 'snapshot', seq: 20, readings: [{ seq: 1, device: 'old' }, { seq: 20 }] })
  await publish('new/x', '21')
  await until('live goes on', () => seqsOf(client).at(-1) === 21)
  t.equal(seqsOf(client).length, 11)
})

test('a seq from another log cannot be resumed: the snapshot says how things are', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('a/x', '1')
  const client = liveClient(t, url)
  await client.next('hello')
  client.send({ type: 'subscribe', id: 1, after: 5_000 })
  t.match(await client.next('snapshot'), { seq: 1, readings: [{ seq: 1 }] })
  await publish('a/x', '2')
  t.match(await client.next('readings'), { seq: 2, readings: [{ seq: 2 }] })
})

test('a log that cannot be read fails the subscription, not the connection', async (t) => {
  const log = memoryLog()
  const { publish, url, logger } = await startApi(t, { log, windowLimits: { readings: 1, bytes: 2 ** 20 } })
  for (let value = 1; value <= 5; value++) await publish('a/x', String(value))
  const broken = {
    read: async () => {
      throw new Error('EIO: i/o error, read')
    },
    close: async () => undefined,
  }
  Object.defineProperty(log, 'reader', { value: () => broken })
  const client = liveClient(t, url)
  await client.next('hello')
  client.send({ type: 'subscribe', id: 1, after: 0 })
  t.match(await client.next('error'), { id: 1, code: 'TG_INTERNAL' })
  t.ok(logger.lines.some(({ level }) => level === 'error'))
  client.send({ type: 'subscribe', id: 1 })
  await client.next('snapshot')
})
