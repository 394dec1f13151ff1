// A disk that becomes read-only, as cards do at their end and file systems after a fault, and comes back. The kernel lets no
// file system become read-only by command while the gateway has files open on it: so the change under the running gateway is
// made by its system calls failing with EROFS, and the start on such a disk and its way back are the kernel's own.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import t from 'tap'
import { Publisher } from '../support/broker-clients.ts'
import { prepareGateway, startGateway } from '../support/gateway.ts'
import { LoopDisk, loopDiskMissing } from '../support/loop-disk.ts'
import { STRACE, straceMissing } from '../support/strace.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)

const run = promisify(execFile)
const LOG = { maxBytes: '4MiB', minFree: '0B', commitDelay: '0ms' }
const WRITING = 'pwrite64,fdatasync,fsync,ftruncate,rename,unlink'
const LONG_MS = 30_000

t.test(
  'a start on a read-only disk serves what is there, and ingest begins when it is writable',
  { skip: loopDiskMissing() },
  async (t) => {
    const disk = await LoopDisk.make(t, { sizeBytes: 32 * 2 ** 20 })
    const gateway = await prepareGateway(t, { gateway: { data: disk.path }, log: LOG })
    t.teardown(() => gateway.kill())
    await gateway.start()
    const first = await Publisher.open({ port: gateway.mqttPort, clientId: 'first' })
    await first.publish('meter/total', '1')
    await first.close()
    await gateway.stop()

    await run('mount', ['-o', 'remount,ro', disk.path])
    await gateway.start()
    t.match(await gateway.readings(), [{ device: 'meter', name: 'total', value: 1 }], 'what was there')
    const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'again' })
    const waiting = publisher.publish('meter/total', '2')
    publisher.send('fast/x', '3')
    await until('values are live', async () => (await gateway.readings()).some(({ value }) => value === 3))
    t.equal(publisher.inFlight, 1, 'and not acknowledged')
    const ready = await gateway.fetch('/readyz')
    t.equal(ready.status, 503)
    t.match(await ready.text(), 'EROFS')

    await run('mount', ['-o', 'remount,rw', disk.path])
    await waiting
    await until('it is well again', async () => (await gateway.fetch('/readyz')).status === 200)
    await publisher.close()
    t.equal((await gateway.stop()).code, 0)
    await gateway.start()
    t.strictSame((await gateway.readings()).map(({ value }) => value).sort(), [2, 3], 'it was kept')
    t.equal((await gateway.stop()).code, 0)
  },
)

t.test('a disk that becomes read-only under the gateway, and writable again', { skip: straceMissing() }, async (t) => {
  const gateway = await startGateway(t, { log: LOG })
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'one' })
  await publisher.publish('meter/total', '1')
  const strace = spawn(
    STRACE,
    [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-p',
      `${gateway.pid}`,
      '-e',
      `trace=${WRITING}`,
      '-e',
      `inject=${WRITING}:error=EROFS`,
    ],
    { stdio: 'ignore' },
  )
  t.teardown(async () => void strace.kill('SIGKILL'))
  const waiting: Promise<number>[] = []
  await until(
    'it refuses',
    async () => {
      if (publisher.inFlight === 0) waiting.push(publisher.publish('meter/total', '2'))
      return (await gateway.status()).log.state === 'refusing'
    },
    LONG_MS,
  )
  t.match((await gateway.status()).log.reason, 'EROFS')
  publisher.send('fast/x', '3')
  await until('values are live', async () => (await gateway.readings()).some(({ value }) => value === 3), LONG_MS)
  t.equal(publisher.inFlight, 1)
  const gone = once(strace, 'exit')
  strace.kill('SIGINT')
  await gone
  await Promise.all(waiting)
  await until('it is well again', async () => (await gateway.fetch('/readyz')).status === 200, LONG_MS)
  await publisher.close()
  t.equal((await gateway.stop()).code, 0)
  await gateway.start()
  t.strictSame((await gateway.readings()).map(({ value }) => value).sort(), [2, 3])
})
