// Flash wear: what a gateway at 10 messages/s makes the disk write, log, cursor and file system records together, by the block
// device's own counter. The data lies on ext4 in an image of its own; a real upstream takes what is forwarded. Needs root.

import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCursor } from '../../src/log/cursor.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { startListener } from '../../src/upstream/listener.ts'
import { Publisher } from '../support/broker-clients.ts'
import { Gateway } from '../support/gateway.ts'
import { LoopDisk, loopDiskMissing } from '../support/loop-disk.ts'
import { until } from '../support/until.ts'
import { benchDiskCosts } from './disk-costs.ts'
import { openBenchLog } from './log-alone.ts'
import { endAll, line, MIB, quick, scope, whole } from './report.ts'

const WINDOW_MS = quick ? 10_000 : 60_000
const WARM_UP_MS = 6_000
const PER_SECOND = 10
const PAYLOAD = '{"temperature":21.5,"humidity":48.2,"padding":"'.padEnd(118, 'x').concat('"}')
const DAY_MS = 86_400_000
const DELAYS = ['10ms', '100ms', '1s'] as const
/** Small enough to be filled beforehand: after weeks in service, segments are written over. */
const LOG_BYTES = 64 * MIB
const GATEWAY = 'test'
const SINK = 'cloud'

/** Fills the log of a data directory until its segments are recycled; the sink has seen all of it. */
const fillLog = async (directory: string): Promise<void> => {
  const log = await openBenchLog(directory, { maxBytes: LOG_BYTES, commitDelayMs: 0, gateway: GATEWAY })
  log.settledUpTo(Number.POSITIVE_INFINITY)
  const message = {
    topic: 'old',
    payload: Buffer.alloc(64 * 1024, 'x'),
    source: 'broker',
    qos: 1,
    retain: false,
  } as const
  let last = 0
  await until(
    'the log recycles its segments',
    async () => {
      for (let count = 0; count < 64; count++) last = await log.deliver(message)
      return existsSync(join(directory, 'log', 'spare'))
    },
    60_000,
  )
  const cursor = await openCursor({ directory: join(directory, 'cursors'), name: SINK, fileSystem: nodeFileSystem() })
  cursor.settle(1, last)
  await cursor.close()
  await log.close()
}

/** A message every 100 ms, whether the one before was acknowledged or not. */
const publish = async (port: number, forMs: number): Promise<void> => {
  const publisher = await Publisher.open({ port, clientId: 'sensor' })
  const acknowledged: Promise<number>[] = []
  const startedAt = performance.now()
  for (let sent = 0; performance.now() - startedAt < forMs; sent++) {
    acknowledged.push(publisher.publish('bench/trickle', PAYLOAD))
    await sleep(startedAt + ((sent + 1) * 1_000) / PER_SECOND - performance.now())
  }
  await Promise.all(acknowledged)
  await publisher.close()
}

const perDay = (bytes: number, ms: number): string => `${((bytes / ms) * (DAY_MS / 1e9)).toFixed(2)} GB a day`

const measureGateway = async (commitDelay: string, recycled: boolean): Promise<void> => {
  const disk = await LoopDisk.make(scope)
  const listener = await startListener({ host: '127.0.0.1', port: 0, onMessage: () => 'accepted' })
  scope.teardown(() => listener.close())
  const gateway = new Gateway(disk.path, {
    log: { commitDelay, maxBytes: `${LOG_BYTES}B`, minFree: '0B' },
    sinks: [{ name: SINK, type: 'amqp1', url: `amqp://127.0.0.1:${listener.port}`, address: 'telemetry' }],
  })
  if (recycled) await fillLog(gateway.data)
  await gateway.start()
  scope.teardown(() => gateway.kill())
  await publish(gateway.mqttPort, WARM_UP_MS)
  const seen = async () => {
    const [{ log }, bytes, flushes] = await Promise.all([
      gateway.status(),
      disk.writtenBytes(),
      gateway.metric('tidegate_sink_cursor_flushes_total'),
    ])
    return { log, bytes, flushes, atMs: performance.now() }
  }
  const before = await seen()
  await publish(gateway.mqttPort, WINDOW_MS)
  const after = await seen()
  const bytes = after.bytes - before.bytes
  const commits = after.log.commits - before.log.commits
  const ms = after.atMs - before.atMs
  const payload = after.log.payloadBytes - before.log.payloadBytes
  const estimate = after.log.wear.physicalBytes - before.log.wear.physicalBytes
  line(
    `  commitDelay ${commitDelay}${recycled ? '' : ', a new log'}`,
    `${whole(bytes / commits)} B for each of ${whole(commits)} commits, ${perDay(bytes, ms)}, ${(bytes / payload).toFixed(1)} per payload byte` +
      ` (${after.flushes - before.flushes} cursor flushes; the log's own estimate ${whole(estimate / commits)} B)`,
  )
  await endAll()
}

const measurePlain = async (): Promise<void> => {
  const disk = await LoopDisk.make(scope)
  const file = await open(join(disk.path, 'plain'), 'w')
  await file.sync()
  const startedAt = performance.now()
  const before = await disk.writtenBytes()
  const messages = (WINDOW_MS / 1_000) * PER_SECOND
  for (let sent = 1; sent <= messages; sent++) {
    await file.write(PAYLOAD)
    await file.sync()
    await sleep(startedAt + (sent * 1_000) / PER_SECOND - performance.now())
  }
  const bytes = (await disk.writtenBytes()) - before
  await file.close()
  line('  a plain file, an fsync each', `${whole(bytes / messages)} B for each, ${perDay(bytes, WINDOW_MS)}`)
  await endAll()
}

export const benchWear = async (): Promise<void> => {
  const missing = loopDiskMissing()
  if (missing !== false) return console.log(`\nFlash wear: not measured, ${missing}`)
  console.log(
    `\nFlash wear: ${PER_SECOND} messages/s of ${PAYLOAD.length} B for ${WINDOW_MS / 1_000} s, cursor included, by the block device's counter`,
  )
  for (const commitDelay of DELAYS) await measureGateway(commitDelay, true)
  if (!quick) await measureGateway('1s', false)
  await measurePlain()
  await benchDiskCosts()
}
