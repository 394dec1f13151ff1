import { connect, type Socket } from 'node:net'
import { test } from 'tap'
import { startApi, type TestApi } from '../support/api-server.ts'
import { liveClient } from '../support/live-client.ts'
import { until } from '../support/until.ts'

/** Each round gives ten devices two new values of together 40 kB. */
const flood = async ({ log, publish }: TestApi, rounds: number) => {
  const text = 'x'.repeat(4_000)
  for (let round = 0; round < rounds; round++)
    await Promise.all(
      Array.from({ length: 10 }, (_, device) => publish(`device/${device}`, `{"text":"${text}","round":${round}}`)),
    )
  return log.durable
}

test('a client that reads too slowly gets the newest values, is told so, and holds little memory', async (t) => {
  const api = await startApi(t, { api: { limits: { heartbeatMs: 20 } } })
  const client = liveClient(t, api.url)
  await client.next('hello')
  client.send({ type: 'subscribe', id: 1 })
  await client.next('snapshot')
  client.ws.pause()
  const last = await flood(api, 400) // 16 MB
  const mostBytes = api.meter.values.get('api_buffered_bytes') ?? 0
  t.ok(mostBytes > 0 && mostBytes < 1_000_000, `${mostBytes} bytes wait in the socket`)
  const quick = liveClient(t, api.url)
  await quick.next('hello')
  quick.send({ type: 'subscribe', id: 1 })
  t.equal((await quick.next('snapshot')).readings?.length, 20, 'others are not disturbed')

  client.ws.resume()
  await until('the slow client is up to date', () => client.messages.some(({ seq }) => seq === last))
  const updates = client.messages.filter(({ type }) => type === 'readings')
  t.ok(
    updates.some(({ conflated }) => conflated === true),
    'it was told',
  )
  const seqs = updates.flatMap(({ readings }) => readings?.map(({ seq }) => seq) ?? [])
  t.ok(seqs.length < 8_000, `${seqs.length} of 8000 readings`)
  t.ok(
    seqs.every((seq, index) => index === 0 || seq >= (seqs[index - 1] ?? 0)),
    'in order',
  )
  const state = new Map(
    updates.flatMap(({ readings }) => readings ?? []).map((it) => [`${it.device} ${it.name}`, it.value]),
  )
  for (let device = 0; device < 10; device++) t.equal(state.get(`device/${device} round`), 399)

  await api.publish('device/0', '{"round":400}')
  const update = await until('live again', () => client.messages.find(({ seq }) => seq === last + 1))
  t.notOk(update.conflated)
})

test('a client that never reads is cut after a while and leaves nothing behind', async (t) => {
  const api = await startApi(t, { api: { limits: { stallMs: 300, heartbeatMs: 30 } } })
  const client = liveClient(t, api.url)
  await client.next('hello')
  client.send({ type: 'subscribe', id: 1 })
  await client.next('snapshot')
  const stream = await rawRequest(api, 'GET /api/v1/events HTTP/1.1')
  t.teardown(() => stream.destroy())
  await until('both follow', () => api.live.hub.subscriberCount === 2)
  client.ws.pause()
  stream.pause()
  // The kernel takes some megabytes before anything stalls.
  await until('both are cut', async () => {
    if (api.log.durable < 10_000) await flood(api, 20)
    return api.live.hub.subscriberCount === 0
  })
  t.equal(api.meter.values.get('api_stalled_streams_total'), 2)
})

test('a client that asks and never reads the answers is not read from either', async (t) => {
  const api = await startApi(t)
  const client = liveClient(t, api.url)
  await client.next('hello')
  client.ws.pause()
  const garbage = JSON.stringify({ type: 'x'.repeat(40), id: 'y'.repeat(64) })
  // More questions than the answers fit into all the buffers between.
  let sent = 0
  while (client.ws.bufferedAmount < 1_000_000 && sent < 2_000_000) {
    for (let index = 0; index < 5_000; index++) client.ws.send(garbage)
    sent += 5_000
    await fetch(`${api.url}/livez`)
  }
  t.ok(client.ws.bufferedAmount >= 1_000_000, 'the server stopped reading')
  t.equal((await fetch(`${api.url}/livez`)).status, 200)
})

for (const bufferBytes of [2 ** 20, 1])
  test(`a snapshot is whole, or comes in pieces where ${bufferBytes} bytes do not allow that`, async (t) => {
    const api = await startApi(t, { api: { limits: { bufferBytes } } })
    const readings = Array.from({ length: 100 }, (_, index) => `"n${index}":${index}`)
    for (let device = 0; device < 30; device++) await api.publish(`device/${device}`, `{${readings.join()}}`)
    const client = liveClient(t, api.url)
    await client.next('hello')
    client.send({ type: 'subscribe', id: 1 })
    const received = () => client.messages.flatMap((message) => message.readings ?? [])
    await until('all values are there', () => received().length >= 3_000)
    t.equal(received().length, 3_000)
    t.match(client.messages[1], { type: 'snapshot' })
    t.equal(client.messages.length === 2, bufferBytes > 1)
    t.notOk(client.messages.some(({ conflated }) => conflated))
  })

const rawRequest = async ({ url }: TestApi, line: string): Promise<Socket> => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => socket.destroy())
  socket.write(`${line}\r\nHost: ${hostname}\r\n\r\n`)
  return socket
}
