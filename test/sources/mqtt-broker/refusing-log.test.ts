// Clients of the broker while the log takes nothing: those that want acknowledgements are held back, each for itself, and
// stay connected; QoS 0 flows on.

import { test } from 'tap'
import type { Entry } from '../../../src/core/contract.ts'
import { HIGH_WATER_MESSAGES } from '../../../src/log/limits.ts'
import { temporaryDirectory } from '../../support/directory.ts'
import { message, openTestLog, readAll } from '../../support/durable-log.ts'
import { faultyDisk } from '../../support/faulty-disk.ts'
import { connectRaw, packets, startBrokerOver } from '../../support/mqtt-broker.ts'
import { until } from '../../support/until.ts'

interface Test {
  teardown(work: () => Promise<void>): void
}

const brokerOnFullDisk = async (t: Test) => {
  const disk = faultyDisk()
  const log = await openTestLog(t, await temporaryDirectory(t), { fileSystem: disk })
  const broker = await startBrokerOver(t, log)
  const shown: Entry[] = []
  log.onUndurable((entries) => shown.push(...entries))
  disk.fail('write', 'ENOSPC', { part: '.seg', times: Number.POSITIVE_INFINITY })
  log.append(message('first'))
  await until('it refuses', () => log.info().state === 'refusing')
  while (log.info().pendingMessages < HIGH_WATER_MESSAGES) log.append({ ...message('crowd'), qos: 0 })
  await log.ready(0)
  return { disk, log, broker, shown }
}

const topics = (entries: readonly Entry[]) =>
  entries.map(({ topic }) => topic).filter((topic) => topic.startsWith('n/'))

test('QoS 1 and 2 are held back while QoS 0 of others flows on, and all of it goes on when there is room', async (t) => {
  const { disk, log, broker, shown } = await brokerOnFullDisk(t)
  const wanting = await connectRaw(t, broker, { clientId: 'wanting', keepalive: 1 })
  const twice = await connectRaw(t, broker, { clientId: 'twice' })
  const fast = await connectRaw(t, broker, { clientId: 'fast' })
  const large = { payload: Buffer.alloc(1_000) }
  // The first learns that there is no room; far more than the broker holds for one client comes behind it.
  wanting.send(packets.publish('n/1', 1, 1))
  await until('the first is shown', () => topics(shown).length === 1)
  wanting.send(...Array.from({ length: 500 }, (_, index) => packets.publish('n/more', 1, index + 2, large)))
  twice.send(packets.publish('n/2', 2, 1), packets.pingreq)
  await twice.has('pingresp')
  const heldAt = performance.now()
  for (let count = 0; performance.now() - heldAt < 3_000; count++) {
    fast.send(packets.publish(`n/fast/${count}`, 0))
    await until('QoS 0 is shown', () => topics(shown).at(-1) === `n/fast/${count}`)
  }
  t.notOk(wanting.ended, 'who is not read from is not missed: no keep-alive runs out')
  t.strictSame([...wanting.commands(), ...twice.commands()], ['connack', 'connack', 'pingresp'])
  t.equal(topics(shown).filter((topic) => topic === 'n/2' || topic === 'n/more').length, 0)
  t.equal(broker.refused('log'), 0, 'what is lost is no refusal of the broker; the log counts it')
  disk.heal()
  await wanting.has('puback', 501)
  await twice.has('pubrec')
  t.strictSame(
    wanting.ids('puback'),
    Array.from({ length: 501 }, (_, index) => index + 1),
  )
  const { entries } = await readAll(log.reader(), 0, 10_000)
  const durable = topics(entries)
  t.equal(durable.filter((topic) => topic === 'n/more').length, 500)
  t.notOk(
    durable.some((topic) => topic.startsWith('n/fast/')),
    'what was shown is not kept',
  )
})

test('what one client sends stays in order, whatever its QoS', async (t) => {
  const { disk, log, broker, shown } = await brokerOnFullDisk(t)
  const mixed = await connectRaw(t, broker, { clientId: 'mixed' })
  mixed.send(...Array.from({ length: 40 }, (_, index) => packets.publish(`n/${index}`, index === 0 ? 0 : 1, index)))
  mixed.send(
    ...Array.from({ length: 40 }, (_, index) => packets.publish(`n/${index + 40}`, (index % 2) as 0 | 1, index + 40)),
  )
  await until('the first ones are shown', () => topics(shown).length >= 1)
  disk.heal()
  await mixed.has('puback', 59)
  const names = (await until('all is durable', async () => {
    const { entries } = await readAll(log.reader(), 0, 10_000)
    return topics(entries).at(-1) === 'n/79' && topics(entries)
  })) as string[]
  const numbers = names.map((topic) => Number(topic.slice(2)))
  t.strictSame(
    numbers,
    [...numbers].sort((one, other) => one - other),
  )
})
