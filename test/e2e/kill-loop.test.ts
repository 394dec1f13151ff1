// A service manager that starts a gateway again and again, killed each time within its first moments: every later start
// succeeds, nothing piles up on the disk, and no seq is used twice.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Publisher } from '../support/broker-clients.ts'
import { type Reading, startGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const KILLS = process.env['TIDEGATE_LONG'] === '1' ? 500 : 30
const EARLIEST_MS = 100
const LATEST_MS = 500
const OPENING_MS = 100
/** Each start that comes to its first commit leaves a small segment; one that lives for seconds makes one of many. */
const MAX_FILES = 10

t.setTimeout(60_000 + KILLS * 2_000)

t.test(`killed ${KILLS} times within half a second of its start, the gateway starts again`, async (t) => {
  const gateway = await startGateway(t)
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'before' })
  for (let n = 0; n < 20; n++) await publisher.publish('sensors/a', `{"n":${n}}`)
  await publisher.close()
  const before = (await gateway.status()).seq
  await gateway.kill()
  const files = async (directory: string): Promise<readonly string[]> =>
    readdir(join(gateway.data, directory)).catch(() => [])
  const filesBefore = (await files('log')).length

  let ended = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const exit = gateway.launch()
    // Every other one as soon as the log has something to say, which is while it opens; the others whenever it is.
    if (kill % 2 === 0) await sleep(EARLIEST_MS + Math.random() * (LATEST_MS - EARLIEST_MS))
    else {
      await until('the log opens', () => gateway.output !== '' || !gateway.running, 30_000)
      await sleep(Math.random() * OPENING_MS)
    }
    if (!gateway.running) ended++
    await gateway.kill()
    await exit
  }
  t.equal(ended, 0, 'no start ended by itself')

  const startedAt = performance.now()
  await gateway.start()
  const startMs = performance.now() - startedAt
  const after = await Publisher.open({ port: gateway.mqttPort, clientId: 'after' })
  await after.publish('sensors/b', '{"n":1}')
  await after.close()
  const { log } = await gateway.status()
  const filesAfter = (await files('log')).length
  t.ok(filesAfter - filesBefore <= KILLS + 1, `${filesBefore} files before, ${filesAfter} after`)
  const merged = await until(
    'the small segments of the starts have become few',
    async () => {
      const { length } = await files('log')
      return length - filesBefore <= MAX_FILES && length
    },
    60_000,
  )
  t.same(await files('quarantine'), [], 'nothing is in quarantine')
  t.same(log.lost, {}, 'nothing is lost')
  const readings = await until('both values are there', async () => {
    const found = await gateway.json<{ readings: Reading[] }>('/api/v1/history?limit=100')
    return found.readings.length >= 21 && found.readings
  })
  const seqs = readings.map(({ seq }) => seq)
  t.equal(new Set(seqs).size, seqs.length, 'no seq stands for two values')
  t.ok((seqs.at(-1) ?? 0) > before)
  t.same(
    readings.filter(({ device }) => device === 'sensors/a').map(({ value }) => value),
    Array.from({ length: 20 }, (_, n) => n),
  )
  t.comment(
    `${KILLS} kills; ${filesBefore} files before, ${filesAfter} after, ${merged} once they were merged; the start behind them took ${Math.round(startMs)} ms`,
  )
})
