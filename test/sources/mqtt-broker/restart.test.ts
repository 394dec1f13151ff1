import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Log } from '../../../src/core/log-contract.ts'
import { temporaryDirectory } from '../../support/directory.ts'
import { openTestLog } from '../../support/durable-log.ts'
import { memoryLog } from '../../support/memory-log.ts'
import {
  connectRaw,
  packets,
  type RawClient,
  startBroker,
  startBrokerOver,
  type TestRun,
} from '../../support/mqtt-broker.ts'
import { until } from '../../support/until.ts'

const topics = ({ received }: RawClient) =>
  received.flatMap((packet) => (packet.cmd === 'publish' ? [packet.topic] : []))

const checkpointIn = (directory: string): Promise<string> => readFile(join(directory, 'checkpoint'), 'utf8')

/** What a second broker on a copy of the first one's files tells a subscriber: the first one has been killed. */
const retainedIn = async (t: TestRun, { log, directory }: { log: Log; directory?: string }, expected: number) => {
  const broker = await startBrokerOver(t, log, directory === undefined ? {} : { directory })
  const client = await connectRaw(t, broker, { clientId: 'looks' })
  client.send(packets.subscribe('#', 1))
  await client.has('publish', expected)
  client.send(packets.pingreq)
  await client.has('pingresp')
  return { broker, topics: topics(client).sort() }
}

test('retained messages survive a stop and a kill', async (t) => {
  const log = memoryLog()
  const first = await startBroker(t, { log })
  const client = await connectRaw(t, first)
  for (const n of [1, 2, 3]) client.send(packets.publish(`r/${n}`, 1, n, { retain: true }))
  client.send(packets.publish('r/2', 1, 4, { retain: true, payload: '' }), packets.publish('r/1', 1, 5))
  await client.has('puback', 5)

  const killed = await retainedIn(t, { log }, 2)
  t.same(killed.topics, ['r/1', 'r/3'])

  await first.source.close()
  log.forget(log.durable)
  const stopped = await retainedIn(t, { log, directory: first.directory }, 2)
  t.same(stopped.topics, ['r/1', 'r/3'], 'also when the log has forgotten them')
})

test('what other sources put into the log is not retained here', async (t) => {
  const log = memoryLog()
  const payload = Buffer.from('x')
  await log.deliver({ topic: 'foreign', payload, source: 'other', qos: 1, retain: true })
  await log.deliver({ topic: 'own', payload, source: 'broker', qos: 1, retain: true })
  const { topics: found } = await retainedIn(t, { log }, 1)
  t.same(found, ['own'])
})

test('a SUBACK to a persistent session means that a kill does not lose the subscription', async (t) => {
  const log = memoryLog()
  const first = await startBroker(t, { log })
  const client = await connectRaw(t, first, { clientId: 'dashboard', clean: false })
  client.send(packets.subscribe('a/#', 1, 1), packets.subscribe('b', 2, 2))
  await client.has('suback', 2)

  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'checkpoint'), await checkpointIn(first.directory))
  const second = await startBroker(t, { log, directory })
  const publisher = await connectRaw(t, second, { clientId: 'publisher' })
  publisher.send(packets.publish('a/1', 1, 1), packets.publish('b', 2, 2), packets.publish('c', 1, 3))
  await publisher.has('puback', 2)
  const back = await connectRaw(t, second, { clientId: 'dashboard', clean: false })
  t.match(back.received[0], { cmd: 'connack', sessionPresent: true })
  await back.has('publish', 2)
  t.same(topics(back), ['a/1', 'b'])
})

test('an UNSUBSCRIBE is remembered too', async (t) => {
  const log = memoryLog()
  const first = await startBroker(t, { log })
  const client = await connectRaw(t, first, { clientId: 'dashboard', clean: false })
  client.send(packets.subscribe('a', 1, 1), Buffer.from([0xa2, 5, 0, 2, 0, 1, 97]))
  await client.has('unsuback')
  await until('a checkpoint', () => existsSync(join(first.directory, 'checkpoint')))
  await until('one without it', async () =>
    (await checkpointIn(first.directory)).includes('["session","dashboard",[]]'),
  )
})

for (const [what, damage] of [
  ['torn', (bytes: Buffer) => bytes.subarray(0, bytes.length - 20)],
  ['empty', () => Buffer.alloc(0)],
  ['flipped', (bytes: Buffer) => Buffer.from(bytes).fill('X', 60, 61)],
  ['foreign', () => Buffer.from('#!/bin/sh\nexit\n')],
  ['newer', (bytes: Buffer) => Buffer.from(bytes.toString().replace('checkpoint",1', 'checkpoint",2'))],
] as const)
  test(`a ${what} checkpoint is reported and left aside, and the log makes up for it`, async (t) => {
    const log = memoryLog()
    const first = await startBroker(t, { log })
    const client = await connectRaw(t, first, { clientId: 'c', clean: false })
    client.send(packets.subscribe('x', 1, 1), packets.publish('r', 1, 1, { retain: true }))
    await client.has('puback')
    await first.source.close()
    const path = join(first.directory, 'checkpoint')
    await writeFile(path, damage(await readFile(path)))

    const { broker, topics: found } = await retainedIn(t, { log, directory: first.directory }, 1)
    t.same(found, ['r'])
    t.match(broker.lines[0], { level: 'warn', message: /^mqtt checkpoint unusable/ })
  })

test('a checkpoint that cannot be written is reported once and refuses nobody', async (t) => {
  const directory = join(await temporaryDirectory(t), 'missing')
  const broker = await startBroker(t, { directory })
  const client = await connectRaw(t, broker, { clientId: 'c', clean: false })
  client.send(packets.subscribe('x', 1, 1), packets.subscribe('y', 1, 2))
  await client.has('suback', 2)
  await broker.source.close()
  t.ok(broker.count('mqtt_checkpoint_failures_total') > 0)
  t.equal(broker.lines.filter(({ message }) => message === 'mqtt checkpoint cannot be written').length, 1)
})

test('after a log that began anew, its first messages are not hidden by the old checkpoint', async (t) => {
  const first = await startBroker(t)
  const client = await connectRaw(t, first)
  for (let n = 1; n <= 50; n++) client.send(packets.publish('old', 1, n, { retain: true }))
  await client.has('puback', 50)
  await first.source.close()

  const log = memoryLog()
  const second = await startBroker(t, { log, directory: first.directory })
  const before = await checkpointIn(first.directory)
  const again = await connectRaw(t, second)
  again.send(packets.publish('new/1', 1, 1, { retain: true }))
  await again.has('puback')
  await until('a new checkpoint', async () => (await checkpointIn(first.directory)) !== before)
  again.send(packets.publish('new/2', 1, 2, { retain: true }))
  await again.has('puback', 2)
  const { topics: found } = await retainedIn(t, { log, directory: first.directory }, 3)
  t.same(found, ['new/1', 'new/2', 'old'])
})

test('those who are still connected at close() have their wills logged', async (t) => {
  const broker = await startBroker(t)
  const will = { topic: 'state', payload: Buffer.from('offline'), qos: 1, retain: true }
  const client = await connectRaw(t, broker, { will })
  await broker.source.close()
  await client.isEnded()
  t.match(broker.log.entries, [{ topic: 'state', retain: true }])
})

test('over the real log: acknowledged, restarted, found again', async (t) => {
  const [data, directory] = [await temporaryDirectory(t), await temporaryDirectory(t)]
  const log = await openTestLog(t, data, { commitDelayMs: 5 })
  const first = await startBrokerOver(t, log, { directory })
  const clients = await Promise.all(['a', 'b', 'c'].map((clientId) => connectRaw(t, first, { clientId })))
  const ids = Array.from({ length: 1_000 }, (_, index) => index + 1)
  for (const client of clients) client.send(...ids.map((n) => packets.publish(`n/${n}`, 1, n, { retain: n === 7 })))
  for (const client of clients) {
    await client.has('puback', 1_000)
    t.same(client.ids('puback'), ids)
  }
  clients[0]?.send(packets.publish('twice', 2, 1))
  await clients[0]?.has('pubrec')
  t.ok(log.info().commits < 1_000, `${log.info().commits} commits for 3,001 messages`)
  await first.source.close()
  await log.close()

  const reopened = await openTestLog(t, data)
  t.equal(reopened.info().lost['unclean-stop'] ?? 0, 0)
  const { broker, topics: found } = await retainedIn(t, { log: reopened, directory: await temporaryDirectory(t) }, 1)
  t.same(found, ['n/7'])
  const again = await connectRaw(t, broker, { clientId: 'a' })
  again.send(packets.publish('twice', 2, 1, { dup: true }))
  await again.has('pubrec')
  t.equal(reopened.durable, log.durable, 'the retransmission was not stored again')
})

test('a port in use is named with the key that sets it, and leaves nothing running', async (t) => {
  const first = await startBroker(t)
  await t.rejects(startBroker(t, { config: { listen: `127.0.0.1:${first.port}` } }), {
    code: 'TG_PORT_IN_USE',
    message: `port ${first.port} of 127.0.0.1 is in use; it is set by sources[broker].listen`,
  })
})

test('it listens on IPv6 too, and says where', async (t) => {
  const broker = await startBroker(t, { config: { listen: '[::1]:0' } })
  t.match(broker.health(), { state: 'ok', detail: { address: /^\[::1\]:\d+$/, connections: 0 } })
})

test('close() may be called twice', async (t) => {
  const broker = await startBroker(t)
  await Promise.all([broker.source.close(), broker.source.close()])
  t.match(broker.health(), { state: 'closed', reason: /./ })
})
