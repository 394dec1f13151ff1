// A client that does not know whether its request was taken sends it again with the same Idempotency-Key: also after kill -9 of
// the gateway in the middle of it, each request is in the log once, and answered with one seq.

import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import { startGateway } from '../support/gateway.ts'

const CLIENTS = 6
const KILLS = process.env['TIDEGATE_LONG'] === '1' ? 30 : 2

test(`across ${KILLS} times kill -9 each keyed request is taken once`, async (t) => {
  const gateway = await startGateway(t)
  /** By key: every seq that was answered. */
  const answered = new Map<string, Set<number>>()
  let stopped = false
  let retries = 0

  const attempt = async (path: string, key: string, type: string, body: string): Promise<number | undefined> => {
    try {
      const headers = { 'content-type': type, 'idempotency-key': `"${key}"` }
      const response = await gateway.fetch(path, { method: 'POST', headers, body })
      if (response.status === 201) return (await response.json()).seq
      // Another answer than "later" is what the test looks for.
      if (response.status !== 409 && response.status !== 503) throw new RangeError(`${key}: ${response.status}`)
      await response.arrayBuffer()
    } catch (error) {
      if (error instanceof RangeError) throw error // anything else: the gateway is gone
    }
    return undefined
  }
  const client = async (id: number) => {
    for (let number = 0; !stopped; number++) {
      const key = `${id}-${number}`
      const lines = number % 2 === 0
      const body = lines ? `c,id=${id} n=${number}i` : JSON.stringify({ device: `c/${id}`, name: 'n', value: number })
      const seqs = new Set<number>()
      answered.set(key, seqs)
      const type = lines ? 'text/plain' : 'application/json'
      // Twice: a client that lost the first answer asks again.
      for (let answers = 0; answers < 2; ) {
        const seq = await attempt('/api/v1/readings', key, type, body)
        if (seq === undefined) {
          retries++
          await sleep(50)
        } else {
          seqs.add(seq)
          answers++
        }
      }
    }
  }
  const clients = Array.from({ length: CLIENTS }, (_, id) => client(id))
  for (let kills = 0; kills < KILLS; kills++) {
    await sleep(100 + Math.random() * 300)
    await gateway.kill()
    await gateway.start()
  }
  stopped = true
  await Promise.all(clients)

  const ambiguous = [...answered].filter(([, seqs]) => seqs.size !== 1)
  t.same(ambiguous, [], 'each key has one seq')
  const kept = new Map<string, number[]>()
  for (let after = 0; ; ) {
    const page = await gateway.json<{ readings: { seq: number; device: string; value: number }[]; next?: number }>(
      `/api/v1/history?device=c/%23&limit=10000&after=${after}`,
    )
    for (const { seq, device, value } of page.readings) {
      const key = `${device.slice(2)}-${value}`
      kept.set(key, [...(kept.get(key) ?? []), seq])
    }
    if (page.next === undefined) break
    after = page.next
  }
  t.same(
    [...kept].filter(([, seqs]) => seqs.length !== 1),
    [],
    'each is in the log once',
  )
  for (const [key, seqs] of answered)
    if (kept.get(key)?.[0] !== [...seqs][0]) t.fail(`${key} was answered ${[...seqs]} and kept as ${kept.get(key)}`)
  t.equal(kept.size, answered.size)
  t.ok(retries > 0, `${retries} requests were sent again`)
  t.comment(`${answered.size} requests, ${retries} sent again for want of an answer`)
})
