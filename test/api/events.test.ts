import { test } from 'tap'
import { startApi } from '../support/api-server.ts'
import { until } from '../support/until.ts'

interface SentEvent {
  readonly id: string | undefined
  readonly data: { type: string; seq: number; readings: { seq: number; value: unknown }[]; [key: string]: unknown }
}

interface Teardown {
  teardown: (work: () => void) => void
}

/** Reads an event stream as a browser does. */
const follow = async (t: Teardown, url: string, headers: Record<string, string> = {}) => {
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const response = await fetch(url, { headers, signal: abort.signal })
  const events: SentEvent[] = []
  let comments = 0
  const read = async () => {
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const lines = block.split('\n')
        const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
        const data = field('data')
        if (data === undefined) comments++
        else events.push({ id: field('id'), data: JSON.parse(data) })
      }
    }
  }
  const ended = read().catch(() => undefined)
  return { response, events, abort, ended, comments: () => comments }
}

test('a stream begins with the snapshot and goes on with what is new', async (t) => {
  const { live, publish, url } = await startApi(t, { api: { limits: { heartbeatMs: 20 } } })
  await publish('a/x', '1')
  const { abort, comments, events, response } = await follow(t, `${url}/api/v1/events?device=a`)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^text\/event-stream/)
  await until('the snapshot', () => events.length === 1)
  t.match(events[0], { id: '1', data: { type: 'snapshot', seq: 1, readings: [{ seq: 1, value: 1 }] } })
  await publish('b/x', '2')
  await publish('a/x', '3')
  await until('the update', () => events.length === 2)
  t.match(events[1], { id: '3', data: { type: 'readings', readings: [{ seq: 3, value: 3 }] } })
  await until('heartbeats', () => comments() > 2)
  abort.abort()
  await until('nobody is left', () => live.hub.subscriberCount === 0)
})

test('Last-Event-ID goes on where the stream was cut, without a gap or a duplicate', async (t) => {
  const { log, publish, url } = await startApi(t, { windowLimits: { readings: 3, bytes: 10_000 } })
  for (let value = 1; value <= 10; value++) await publish('a/x', String(value))
  const seqs = (events: readonly SentEvent[]) => events.flatMap(({ data }) => data.readings.map(({ seq }) => seq))
  const resumed = await follow(t, `${url}/api/v1/events`, { 'last-event-id': '4' })
  await until('all is there', () => seqs(resumed.events).length === 6)
  t.same(seqs(resumed.events), [5, 6, 7, 8, 9, 10])
  t.equal(resumed.events.at(-1)?.id, '10')
  log.forget(7)
  const late = await follow(t, `${url}/api/v1/events?after=2`)
  await until('the snapshot', () => late.events.some(({ data }) => data.type === 'snapshot'))
  t.match(late.events[0], { data: { type: 'gap', from: 3, to: 7, reason: 'retention' } })
  t.equal((await fetch(`${url}/api/v1/events`, { headers: { 'last-event-id': 'x' } })).status, 400)
})

test('a stream ends when the gateway stops', async (t) => {
  const { server, url } = await startApi(t)
  const { ended, events } = await follow(t, `${url}/api/v1/events`)
  await until('the snapshot', () => events.length === 1)
  await server.close()
  await ended
  t.pass()
})
