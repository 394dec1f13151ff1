import { createHash } from 'node:crypto'
import { test } from 'tap'
import type { Command } from '../../src/core/contract.ts'
import { TidegateError } from '../../src/core/errors.ts'
import { startApi } from '../support/api-server.ts'
import { liveClient } from '../support/live-client.ts'
import { until } from '../support/until.ts'

const tokens = [{ name: 'page', hash: `sha256:${createHash('sha256').update('s3cret').digest('hex')}` }]

test('the server says hello, a subscriber gets the snapshot and then what is new', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('house/attic/temperature', '20')
  await publish('garden/pond/temperature', '12')
  const client = liveClient(t, url)
  t.same(await client.next('hello'), { type: 'hello', gateway: 'greenhouse', seq: 2, auth: 'none' })
  client.send({ type: 'subscribe', id: 1, devices: ['house/#'], names: ['temperature'] })
  const snapshot = await client.next('snapshot')
  t.match(snapshot, { id: 1, seq: 2, readings: [{ seq: 1, device: 'house/attic', name: 'temperature', value: 20 }] })
  t.equal(snapshot.readings?.length, 1)
  await publish('garden/pond/temperature', '13')
  await publish('house/attic/humidity', '50')
  await publish('house/attic/temperature', '21')
  const update = await client.next('readings')
  t.match(update, { id: 1, seq: 5, readings: [{ seq: 5, value: 21 }] })
  t.equal(update.readings?.length, 1)
  t.notOk(update.conflated)
})

test('an empty snapshot says so; several subscriptions keep apart; unsubscribe ends one', async (t) => {
  const { live, publish, url } = await startApi(t)
  const client = liveClient(t, url)
  await client.next('hello')
  client.send({ type: 'subscribe', id: 'a', devices: ['a/#'] })
  client.send({ type: 'subscribe', id: 2 })
  await until('two snapshots', () => client.messages.filter(({ type }) => type === 'snapshot').length === 2)
  t.match(client.messages.slice(1), [
    { id: 'a', seq: 0, readings: [] },
    { id: 2, seq: 0, readings: [] },
  ])
  client.send({ type: 'unsubscribe', id: 'a' })
  client.send({ type: 'ping' })
  await client.next('pong')
  t.equal(live.hub.subscriberCount, 1)
  await publish('a/x', '1')
  t.match(await client.next('readings'), { id: 2 })
  client.ws.close()
  await until('nobody is subscribed', () => live.hub.subscriberCount === 0)
})

test('a subscription that is ended in the same breath leaves nothing behind', async (t) => {
  const { live, publish, url } = await startApi(t)
  await publish('a/x', '1')
  const client = liveClient(t, url)
  await client.next('hello')
  for (const after of [undefined, 0, 1]) {
    // Corked, so that all arrive at once.
    client.socket.cork()
    client.send({ type: 'subscribe', id: 1, after })
    client.send({ type: 'unsubscribe', id: 1 })
    client.send({ type: 'subscribe', id: 1, after })
    client.send({ type: 'unsubscribe', id: 1 })
    client.send({ type: 'ping' })
    const from = client.messages.length
    client.socket.uncork()
    await client.next('pong', from)
    t.equal(live.hub.subscriberCount, 0)
  }
  t.notOk(client.messages.some(({ type }) => type === 'error'))
})

test('what is malformed is answered, and the connection stays open', async (t) => {
  const { url } = await startApi(t)
  const client = liveClient(t, url)
  await client.next('hello')
  const bad: [message: unknown, code: string, id?: number][] = [
    ['null', 'TG_BAD_REQUEST'],
    ['{', 'TG_BAD_REQUEST'],
    ['42', 'TG_BAD_REQUEST'],
    ['[]', 'TG_BAD_REQUEST'],
    ['', 'TG_BAD_REQUEST'],
    [{}, 'TG_BAD_REQUEST'],
    [{ type: 'subscribe' }, 'TG_BAD_REQUEST'],
    [{ type: 'subscribe', id: {} }, 'TG_BAD_REQUEST'],
    [{ type: 'dance', id: 3 }, 'TG_BAD_REQUEST', 3],
    [{ type: 'subscribe', id: 4, devices: 'a' }, 'TG_BAD_REQUEST', 4],
    [{ type: 'subscribe', id: 5, devices: ['a#'] }, 'TG_FILTER_INVALID', 5],
    [{ type: 'subscribe', id: 6, devices: Array(65).fill('a') }, 'TG_BAD_REQUEST', 6],
    [{ type: 'subscribe', id: 7, names: [1] }, 'TG_BAD_REQUEST', 7],
    [{ type: 'subscribe', id: 8, after: -1 }, 'TG_BAD_REQUEST', 8],
    [{ type: 'subscribe', id: 9, after: '1' }, 'TG_BAD_REQUEST', 9],
    [{ type: 'subscribe', id: 10, every: 5 }, 'TG_BAD_REQUEST', 10],
    [{ type: 'unsubscribe', id: 11 }, 'TG_NOT_FOUND', 11],
    [{ type: 'command', id: 12, device: 'a', payload: 1 }, 'TG_COMMAND_UNDELIVERABLE', 12],
    [{ type: 'command', id: 13, payload: 1 }, 'TG_BAD_REQUEST', 13],
  ]
  for (const [index, [message, code, id]] of bad.entries()) {
    client.send(message)
    const answer = await client.next('error', index + 1)
    t.match(answer, { code, message: String, ...(id !== undefined && { id }) }, JSON.stringify(message).slice(0, 60))
  }
  client.send({ type: 'subscribe', id: 20 })
  await client.next('snapshot')
  client.send({ type: 'subscribe', id: 20 })
  t.match(await client.next('error', client.messages.length), { id: 20, code: 'TG_BAD_REQUEST' })
  t.equal(client.closeCode, undefined)
})

test('binary and oversized messages end the connection', async (t) => {
  const { url } = await startApi(t)
  const binary = liveClient(t, url)
  await binary.next('hello')
  binary.ws.send(Buffer.from('{"type":"ping"}'))
  t.equal(await binary.closed(), 4400)
  const large = liveClient(t, url)
  await large.next('hello')
  large.send({ type: 'ping', padding: 'x'.repeat(70_000) })
  t.equal(await large.closed(), 1009)
})

test('a connection has a limit of subscriptions, the server one of connections', async (t) => {
  const { url } = await startApi(t, { api: { limits: { streams: 1 } } })
  const client = liveClient(t, url)
  await client.next('hello')
  for (let id = 1; id <= 65; id++) client.send({ type: 'subscribe', id })
  t.match(await client.next('error'), { id: 65, code: 'TG_TOO_MANY' })
  const second = liveClient(t, url)
  t.equal(await second.closed(), 4429)
  t.equal(second.messages.length, 0)
  const events = await fetch(`${url}/api/v1/events`)
  t.equal(events.status, 429)
  client.ws.terminate()
  const third = liveClient(t, url)
  await until('there is room again', () => third.messages.length > 0 || third.closeCode !== undefined)
})

test('where a token is required nothing is said before it', async (t) => {
  const { publish, url } = await startApi(t, { api: { tokens, limits: { authorizeMs: 150 } } })
  await publish('a/x', '1')
  const good = liveClient(t, url)
  t.match(await good.next('hello'), { auth: 'required' })
  good.send({ type: 'auth', token: 's3cret' })
  t.same(await good.next('authorized'), { type: 'authorized' })
  good.send({ type: 'subscribe', id: 1 })
  await good.next('snapshot')

  const wrong = liveClient(t, url)
  await wrong.next('hello')
  wrong.send({ type: 'auth', token: 'guess' })
  t.equal(await wrong.closed(), 4401)
  const eager = liveClient(t, url)
  await eager.next('hello')
  eager.send({ type: 'subscribe', id: 1 })
  t.equal(await eager.closed(), 4401)
  t.match(eager.messages.at(-1), { type: 'error', code: 'TG_UNAUTHORIZED' })
  const slow = liveClient(t, url)
  t.equal(await slow.closed(), 4408)

  const program = liveClient(t, url, { headers: { authorization: 'Bearer s3cret' } })
  t.match(await program.next('hello'), { auth: 'none' })
  t.equal(good.closeCode, undefined)
})

test('a page of another origin is refused at the upgrade', async (t) => {
  const { url } = await startApi(t, { api: { origins: ['https://panel.example'] } })
  for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', 'x'.repeat(500)]) {
    const client = liveClient(t, url, { origin })
    t.equal(await until('it is refused', () => client.refused), 403, origin.slice(0, 30))
  }
  for (const origin of [url, 'https://panel.example']) await liveClient(t, url, { origin }).next('hello')
  const rebound = liveClient(t, url, { headers: { host: 'evil.example' } })
  t.equal(await until('it is refused', () => rebound.refused), 403)
})

test('a command goes to the device and is accepted once its source took it', async (t) => {
  const sent: Command[] = []
  const send = async (command: Command) => {
    if (command.device === 'nobody') throw new TidegateError('TG_COMMAND_UNDELIVERABLE', 'no source reaches it')
    sent.push(command)
  }
  const { url } = await startApi(t, { send })
  const client = liveClient(t, url)
  await client.next('hello')
  client.send({ type: 'command', id: 2, device: 'lamp', payload: { on: true }, topic: 'lamp/set', qos: 1 })
  t.match(await client.next('accepted'), { id: 2 })
  t.match(sent, [{ device: 'lamp', topic: 'lamp/set', qos: 1 }])
  t.equal(sent[0]?.payload.toString(), '{"on":true}')
  client.send({ type: 'command', id: 3, device: 'nobody', topic: 'a/b', payload: 'x' })
  t.match(await client.next('error'), { id: 3, code: 'TG_COMMAND_UNDELIVERABLE' })
})

test('with every, at most one message in that time, with the newest values', async (t) => {
  const { publish, url } = await startApi(t)
  const client = liveClient(t, url)
  await client.next('hello')
  client.send({ type: 'subscribe', id: 1, every: '200ms' })
  await client.next('snapshot')
  for (let value = 0; value < 50; value++) await publish('a/x', String(value))
  await until('the last value is there', () =>
    client.messages.some(({ readings }) => readings?.some((reading) => reading.value === 49)),
  )
  const updates = client.messages.filter(({ type }) => type === 'readings')
  t.ok(updates.length <= 3, `${updates.length} messages`)
  for (const { conflated, readings } of updates) {
    t.equal(readings?.length, 1)
    t.notOk(conflated, 'that is what was asked for')
  }
})

test('stopping says goodbye with 1001 and ends requests that wait', async (t) => {
  const { live, server, url } = await startApi(t)
  const client = liveClient(t, url)
  await client.next('hello')
  const waiting = fetch(`${url}/api/v1/readings?after=0&wait=60s`)
  await until('the request waits', () => live.hub.subscriberCount === 1)
  await Promise.all([server.close(), server.close()])
  t.equal(await client.closed(), 1001)
  t.equal((await waiting).status, 204)
  await t.rejects(fetch(`${url}/livez`))
})
