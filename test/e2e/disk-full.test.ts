// A full disk under the running gateway, on a small file system of its own: acknowledgements stop, live values go on, and when
// there is room again what waited is acknowledged, and what was lost is named. With real MQTT clients connected all the time.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { generate } from 'mqtt-packet'
import t from 'tap'
import type { LossMark } from '../../src/core/contract.ts'
import type { StatusReport } from '../../src/core/status.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { readGiven } from '../../src/log/given-file.ts'
import { openReader } from '../../src/log/reader.ts'
import { Publisher, RawConnection } from '../support/broker-clients.ts'
import { lossMarks, readAll } from '../support/durable-log.ts'
import type { Gateway, Test } from '../support/gateway.ts'
import { prepareGateway, startGateway } from '../support/gateway.ts'
import { LoopDisk, loopDiskMissing } from '../support/loop-disk.ts'
import { needs } from '../support/needs.ts'
import { Subscriber } from '../support/subscriber.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)

const run = promisify(execFile)
const MIB = 2 ** 20
const skip = loopDiskMissing() || needs('mosquitto-clients').skip
/** As long as anything may take on a loaded machine. */
const LONG_MS = 30_000

const FLOOD_MS = process.env['TIDEGATE_LONG'] === '1' ? 20_000 : 3_000
const FLOOD = JSON.stringify({ 1: 21.5, filling: '.'.repeat(150) })

/** Takes all the room there is but for so many bytes; returns what gives it back. */
const fill = async (disk: LoopDisk, leaveBytes = 0): Promise<() => Promise<void>> => {
  const path = join(disk.path, 'filler')
  const handle = await open(path, 'w')
  const free = (await nodeFileSystem().freeBytes(disk.path)) - leaveBytes
  for (let size = 256 * 1024; size >= 512; size /= 2) {
    const chunk = Buffer.alloc(size, 1)
    let written = 0
    // A full disk writes less than it was asked to, or fails.
    do written = (await handle.write(chunk).catch(() => ({ bytesWritten: 0 }))).bytesWritten
    while (written === size && (leaveBytes === 0 || (await handle.stat()).size < free))
    await handle.sync().catch(() => undefined)
  }
  await handle.close()
  return () => rm(path, { force: true })
}

const start = async (t: Test, disk: LoopDisk, log: object): Promise<Gateway> => {
  const gateway = await prepareGateway(t, { gateway: { data: disk.path }, log: { commitDelay: '0ms', ...log } })
  // Before the disk is unmounted.
  t.teardown(() => gateway.kill())
  await gateway.start()
  return gateway
}

/** QoS 1 messages until one is not acknowledged any more; what waits, and what was acknowledged. */
const exhaust = async (gateway: Gateway, publisher: Publisher, sent: string[]): Promise<Promise<number>[]> => {
  const waiting: Promise<number>[] = []
  const filling = '.'.repeat(16_384)
  await until(
    'the log refuses',
    async () => {
      const text = `${sent.length}${filling}`
      sent.push(text)
      waiting.push(publisher.publish('meter/total', text))
      if (publisher.inFlight > 20) await setTimeout(50)
      return (await gateway.status()).log.state === 'refusing'
    },
    LONG_MS,
  )
  return waiting
}

const value = async (gateway: Gateway, device: string) =>
  (await gateway.readings(`?device=${device}`)).find((reading) => reading.device === device)

const inLog = async (directory: string) => {
  const reader = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => Number.POSITIVE_INFINITY })
  const read = await readAll(reader, 0, 10_000)
  await reader.close()
  return { ...read, marks: lossMarks(read.entries) as LossMark[] }
}

const mosquitto = (gateway: Gateway, topic: string, payload: string, qos: number) =>
  run('mosquitto_pub', ['-h', '127.0.0.1', '-p', `${gateway.mqttPort}`, '-t', topic, '-m', payload, '-q', `${qos}`])

t.test('a disk that is filled by somebody else, and emptied again', { skip }, async (t) => {
  const disk = await LoopDisk.make(t, { sizeBytes: 48 * MIB })
  const gateway = await start(t, disk, { maxBytes: '16MiB', minFree: '0B' })
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'acknowledged' })
  const fast = await Publisher.open({ port: gateway.mqttPort, clientId: 'fast' })
  const subscriber = await Subscriber.open(gateway.url)
  subscriber.subscribe({ devices: ['fast'] })
  const sent: string[] = []
  const free = await fill(disk)
  const waiting = await exhaust(gateway, publisher, sent)

  const held = mosquitto(gateway, 'other/valve', '7', 2)
  let isHeld = true
  void held.then(() => {
    isHeld = false
  })
  await mosquitto(gateway, 'fast/1', '11', 0)
  await until('a value that is not acknowledged is live', async () => (await value(gateway, 'fast'))?.value === 11)
  await until('and goes to subscribers', () =>
    subscriber.messages.some(({ type, readings }) => type === 'readings' && readings?.some((one) => one.value === 11)),
  )
  t.ok(publisher.inFlight > 0, 'PUBACKs wait')
  const posted = await gateway.fetch('/api/v1/readings', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"device":"posted","name":"x","value":1}',
  })
  t.equal(posted.status, 503)
  t.match(posted.headers.get('content-type'), 'application/problem+json')
  const ready = await gateway.fetch('/readyz')
  t.equal(ready.status, 503)
  t.match(await ready.text(), /ENOSPC.*check the disk and its free space/)
  t.equal(await gateway.metric('tidegate_log_refusing'), 1)

  // Far more than may wait.
  for (let count = 0; count < 60_000; count++) fast.send('fast/2', `${count}`)
  await until(
    'the last of them is live',
    async () =>
      (await value(gateway, 'fast'))?.value !== undefined &&
      (await gateway.readings('?name=2')).at(0)?.value === 59_999,
    LONG_MS,
  )
  const { log } = await gateway.status()
  t.ok(log.unkeptMessages > 0, `${log.unkeptMessages} messages were shown and not kept`)
  t.equal(await gateway.metric('tidegate_lost_messages_total', { reason: 'refused' }), log.unkeptMessages)
  t.ok(isHeld, 'a client that wants to be acknowledged is held back all the time')
  const shown = (await gateway.readings('?name=2')).at(0)?.seq ?? 0

  await free()
  const freedAt = performance.now()
  await Promise.all(waiting)
  t.comment(`the last PUBACK came ${Math.round(performance.now() - freedAt)} ms after the room`)
  t.ok(performance.now() - freedAt < 10_000)
  await held
  await until('it is well again', async () => (await gateway.fetch('/readyz')).status === 200)
  t.equal(await gateway.metric('tidegate_log_refusing'), 0)
  t.equal((await gateway.readings('?name=2')).at(0)?.seq, shown, 'the live value stays')
  await publisher.close()
  await fast.close()
  t.equal(publisher.misordered, 0)
  t.equal((await gateway.stop()).code, 0)

  const { texts, marks, entries, gaps } = await inLog(disk.path)
  const found = new Set(texts)
  t.strictSame(sent.filter((text) => !found.has(text)).length, 0, 'everything acknowledged is in the log')
  const refused = marks.filter(({ reason }) => reason === 'refused')
  t.equal(
    refused.reduce((sum, { count }) => sum + count, 0),
    log.unkeptMessages,
    'and what was not kept is named by loss marks',
  )
  t.strictSame(Object.keys(refused[0]?.topics ?? {}), ['fast/2'])
  t.strictSame([...new Set(gaps.map(({ reason }) => reason))], ['refused'])
  const kept = entries.filter(({ topic }) => topic === 'fast/2').length
  t.equal(kept + log.unkeptMessages, 60_000, 'each message is in the log or in a mark')
})

t.test('kill -9 on a full disk, and a start on it', { skip }, async (t) => {
  const disk = await LoopDisk.make(t, { sizeBytes: 48 * MIB })
  const gateway = await start(t, disk, { maxBytes: '16MiB', minFree: '0B' })
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'acknowledged' })
  const sent: string[] = []
  await publisher.publish('meter/first', '1')
  const free = await fill(disk)
  const acknowledged: string[] = []
  const waiting = await exhaust(gateway, publisher, sent)
  for (const [index, puback] of waiting.entries())
    puback.then(
      () => acknowledged.push(sent[index] ?? ''),
      () => undefined,
    )
  const fast = await Publisher.open({ port: gateway.mqttPort, clientId: 'fast' })
  for (let count = 0; count < 50_000; count++) fast.send('fast/2', `${count}`)
  await until('they are shown', async () => (await gateway.readings('?name=2')).at(0)?.value === 49_999, LONG_MS)
  const shown = (await gateway.readings('?name=2')).at(0)?.seq ?? 0
  const unkept = (await gateway.status()).log.unkeptMessages
  await until('how many they were is on the disk', async () => {
    const given = await readGiven(nodeFileSystem(), join(disk.path, 'log'))
    return given !== 'damaged' && given.stretches.reduce((sum, { count }) => sum + count, 0) === unkept
  })
  await gateway.kill()
  await gateway.start()
  t.comment(`log: ${JSON.stringify((await gateway.status()).log.reason)}`)
  await mosquitto(gateway, 'fast/3', '5', 0)
  await until('a value is live', async () => (await gateway.readings('?name=3')).at(0)?.value === 5)
  t.ok(((await gateway.readings('?name=3')).at(0)?.seq ?? 0) > shown, 'no seq comes again')
  await free()
  await until('it is well again', async () => (await gateway.fetch('/readyz')).status === 200, LONG_MS)
  await mosquitto(gateway, 'other/valve', '7', 1)
  t.equal((await gateway.stop()).code, 0)
  const { texts, marks } = await inLog(disk.path)
  const found = new Set(texts)
  t.strictSame(acknowledged.filter((text) => !found.has(text)).length, 0, 'everything acknowledged is in the log')
  const refused = marks.filter(({ reason }) => reason === 'refused')
  const count = refused.reduce((sum, mark) => sum + mark.count, 0)
  t.equal(count, unkept, 'the messages that were not kept are known after the kill')
  t.ok(marks.some(({ reason, last }) => reason === 'unclean-stop' && last >= shown))
})

t.test('less room than log.minFree, and enough again', { skip }, async (t) => {
  const disk = await LoopDisk.make(t, { sizeBytes: 48 * MIB })
  const gateway = await start(t, disk, { maxBytes: '4MiB', minFree: '8MiB' })
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'acknowledged' })
  await publisher.publish('meter/total', '1')
  const free = await fill(disk, 4 * MIB)
  await until('it refuses', async () => (await gateway.fetch('/readyz')).status === 503, LONG_MS)
  t.match((await gateway.status()).log.reason, /are free on the disk; log.minFree is 8388608/)
  const waiting = publisher.publish('meter/total', '2')
  await until('the value is live', async () => (await value(gateway, 'meter'))?.value === 2)
  t.equal(publisher.inFlight, 1)
  await free()
  await waiting
  await until('it is well again', async () => (await gateway.fetch('/readyz')).status === 200)
  await publisher.close()
  t.equal((await gateway.stop()).code, 0)
})

t.test('200 clients that publish as fast as they can into a log that takes nothing cost bounded memory', async (t) => {
  const gateway = await startGateway(t, { log: { minFree: '100000GiB' } })
  const publish = generate({ cmd: 'publish', qos: 0, dup: false, retain: false, topic: 'flood/1', payload: FLOOD })
  const chunk = Buffer.concat(Array.from({ length: 100 }, () => publish))
  const ending = new AbortController()
  const flood = async (index: number): Promise<void> => {
    const { socket } = await RawConnection.open(gateway.mqttPort)
    socket.write(
      generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
        keepalive: 0,
        clientId: `flood/${index}`,
      }),
    )
    while (!ending.signal.aborted) if (!socket.write(chunk)) await once(socket, 'drain').catch(() => undefined)
    socket.destroy()
  }
  const floods = Array.from({ length: 200 }, (_, index) => flood(index))
  // A machine with other work to do answers late.
  const patient = { signal: AbortSignal.timeout(4 * LONG_MS) }
  const status = async () => (await (await gateway.fetch('/api/v1/status', patient)).json()) as StatusReport
  await until('messages are lost', async () => (await status()).log.unkeptMessages > 10_000, LONG_MS)
  await gateway.resetPeak()
  const before = (await gateway.memory()).rssBytes
  const { unkeptMessages } = (await status()).log
  await setTimeout(FLOOD_MS)
  const more = (await status()).log.unkeptMessages - unkeptMessages
  const { peakBytes } = await gateway.memory()
  t.ok(more > 0, `${more} were shown and lost`)
  // The same flood into a log that takes everything costs as much.
  t.ok(peakBytes < 700 * MIB, `${Math.round(before / MIB)} MiB at first, ${Math.round(peakBytes / MIB)} MiB at most`)
  const readings = await (await gateway.fetch('/api/v1/readings?device=flood/1', patient)).json()
  t.match(readings, { readings: [{ device: 'flood/1', name: '1', value: 21.5 }] }, 'and it answers')
  ending.abort()
  await gateway.kill()
  await Promise.all(floods)
})
