// The benchmark: what the gateway takes in, compared with a server that does nothing, what it writes to the disk for it, what it
// delivers, and what memory it needs; and the log alone. One run prints everything; --quick takes about a minute. With the
// parameter `wear`, what the disk itself writes, which takes root; with `log`, the log alone; with `decoders`, decoding alone.

import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { Publisher } from '../support/broker-clients.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { rabbitMissing, startRabbit } from '../support/rabbitmq.ts'
import { until } from '../support/until.ts'
import { UpstreamQueue } from '../support/upstream-queue.ts'
import { benchDecoders } from './decoders.ts'
import { type LoadRequest, runLoad, startNullServer } from './load-process.ts'
import { benchLogAlone } from './log-alone.ts'
import { benchMqttClient } from './mqtt-client.ts'
import { endAll, line, MIB, quick, scope, spread, whole } from './report.ts'
import { benchWear } from './wear.ts'

const ROUNDS = quick ? 3 : 7
const ROUND_MS = quick ? 1_000 : 4_000
const QOS0_MESSAGES = quick ? 150_000 : 600_000
const UPSTREAM_MS = quick ? 2_500 : 15_000
const TRICKLE_MS = quick ? 4_000 : 30_000
const TRICKLE_PER_SECOND = 10
const PAYLOAD_BYTES = 200

/** The same load on both, in turns, so that whatever else the machine does hits both. */
const compare = async (title: string, gateway: Gateway, nullPort: number, load: Omit<LoadRequest, 'port'>) => {
  const ours: number[] = []
  const nothings: number[] = []
  const ratios: number[] = []
  const medians: number[] = []
  const p99s: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const nothing = await runLoad({ ...load, port: nullPort })
    const own = await runLoad({ ...load, port: gateway.mqttPort })
    ours.push(own.perSecond)
    nothings.push(nothing.perSecond)
    ratios.push(own.perSecond / nothing.perSecond)
    medians.push(own.medianMs)
    p99s.push(own.p99Ms)
  }
  console.log(`\n${title}`)
  line('  gateway, messages/s', spread(ours, whole))
  line('  null server, messages/s', spread(nothings, whole))
  line(
    '  ratio',
    spread(ratios, (value) => value.toFixed(3)),
  )
  if (load.qos === 1 && load.inFlight === 1) {
    line(
      '  PUBLISH to PUBACK, median, ms',
      spread(medians, (value) => value.toFixed(1)),
    )
    line(
      '  PUBLISH to PUBACK, p99, ms',
      spread(p99s, (value) => value.toFixed(1)),
    )
  }
}

/** Bytes that the process caused to be written to storage, and what the log says it wrote. */
const written = async (gateway: Gateway) => {
  const io = await readFile(`/proc/${gateway.pid}/io`, 'utf8')
  const { payloadBytes, messagesAppended, commits } = (await gateway.status()).log
  return {
    deviceBytes: Number(/^write_bytes: (\d+)$/m.exec(io)?.[1]),
    logBytes: await gateway.metric('tidegate_log_written_bytes_total'),
    payloadBytes,
    messages: messagesAppended,
    commits,
  }
}

const measureWritten = async (title: string, gateway: Gateway, work: () => Promise<unknown>) => {
  const before = await written(gateway)
  await work()
  const after = await written(gateway)
  const payload = after.payloadBytes - before.payloadBytes
  const messages = after.messages - before.messages
  const perPayload = (bytes: number) =>
    `${(bytes / payload).toFixed(2)} per payload byte, ${whole(bytes / messages)} per message`
  console.log(
    `\n${title}: ${whole(messages)} messages of ${PAYLOAD_BYTES} B in ${whole(after.commits - before.commits)} commits`,
  )
  line('  bytes handed to write(2) by the log', perPayload(after.logBytes - before.logBytes))
  line('  bytes that reached the storage layer', perPayload(after.deviceBytes - before.deviceBytes))
}

const trickle = async (gateway: Gateway) => {
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'trickle' })
  const text = 'x'.repeat(PAYLOAD_BYTES - 20)
  for (let sent = 0; sent < (TRICKLE_MS / 1_000) * TRICKLE_PER_SECOND; sent++) {
    await publisher.publish('bench/trickle', `{"n":1,"text":"${text}"}`.slice(0, PAYLOAD_BYTES))
    await sleep(1_000 / TRICKLE_PER_SECOND)
  }
  await publisher.close()
}

const many: Omit<LoadRequest, 'port'> = {
  qos: 1,
  connections: 20,
  inFlight: 100,
  payloadBytes: PAYLOAD_BYTES,
  durationMs: ROUND_MS,
  messages: QOS0_MESSAGES,
}

const ingest = async () => {
  const gateway = await startGateway(scope)
  await sleep(2_000)
  const idle = await gateway.memory()
  const nothing = await startNullServer()
  scope.teardown(async () => void nothing.child.kill())
  await gateway.resetPeak()
  await compare('QoS 1, durable: 20 connections, 100 in flight each', gateway, nothing.port, many)
  await compare('QoS 1, durable: 500 connections, 1 in flight each', gateway, nothing.port, {
    ...many,
    connections: 500,
    inFlight: 1,
  })
  await compare('QoS 1, durable: 1 connection, 1 in flight', gateway, nothing.port, {
    ...many,
    connections: 1,
    inFlight: 1,
  })
  await compare('QoS 0, until durable: 20 connections', gateway, nothing.port, { ...many, qos: 0 })
  const { peakBytes } = await gateway.memory()
  await measureWritten('Disk, full load', gateway, () => runLoad({ ...many, port: gateway.mqttPort }))
  await measureWritten(`Disk, ${TRICKLE_PER_SECOND} messages/s`, gateway, () => trickle(gateway))
  console.log('\nMemory, resident')
  line('  idle', `${(idle.rssBytes / MIB).toFixed(0)} MiB`)
  line('  at most, under the loads above', `${(peakBytes / MIB).toFixed(0)} MiB`)
  await gateway.stop()
}

const upstream = async () => {
  const missing = rabbitMissing()
  if (missing !== false) return console.log(`\nEnd to end to RabbitMQ: not measured, ${missing}`)
  const rabbit = await startRabbit(scope)
  await UpstreamQueue.declare(rabbit.url)
  const gateway = await startGateway(scope, { sinks: [{ name: 'cloud', type: 'amqp', url: rabbit.url }] })
  const sink = async () => (await gateway.status()).sinks[0]
  await until('the sink is connected', async () => (await sink())?.state === 'ok', 20_000)
  const startedAt = performance.now()
  const { messages, perSecond } = await runLoad({ ...many, durationMs: UPSTREAM_MS, port: gateway.mqttPort })
  await until('everything is confirmed', async () => ((await sink())?.confirmedMessages ?? 0) >= messages, 120_000)
  const elapsedMs = performance.now() - startedAt
  const { peakBytes } = await gateway.memory()
  console.log(`\nEnd to end to RabbitMQ: ${whole(messages)} JSON messages of ${PAYLOAD_BYTES} B`)
  line('  acknowledged, messages/s', whole(perSecond))
  line('  confirmed by the broker, messages/s', whole((messages / elapsedMs) * 1_000))
  line('  the backlog was gone after', `${((elapsedMs - UPSTREAM_MS) / 1_000).toFixed(1)} s`)
  line('  memory at most', `${(peakBytes / MIB).toFixed(0)} MiB`)
  await gateway.stop()
}

const fileSystem = execFileSync('stat', ['-f', '-c', '%T', tmpdir()], { encoding: 'utf8' }).trim()
console.log(`tidegate benchmark${quick ? ' (quick)' : ''}: median (min to max) of ${ROUNDS} rounds`)
console.log(
  `Node.js ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'}), ${whole(totalmem() / MIB)} MiB, Linux ${release()}, ${fileSystem}`,
)
try {
  if (process.argv.includes('wear')) await benchWear()
  else if (process.argv.includes('log')) await benchLogAlone()
  else if (process.argv.includes('decoders')) await benchDecoders()
  else if (process.argv.includes('mqtt-client')) await benchMqttClient()
  else {
    await ingest()
    await upstream()
    await benchLogAlone()
    await benchDecoders()
    await benchMqttClient()
  }
} finally {
  await endAll()
}
