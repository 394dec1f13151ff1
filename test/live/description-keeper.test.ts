import { test } from 'tap'
import type { Known } from '../../src/core/known-topic.ts'
import { Knowledge } from '../../src/decode/knowledge.ts'
import { DescriptionKeeper } from '../../src/live/description-keeper.ts'
import { rememberingLogger, rememberingMeter } from '../support/context.ts'
import { type MemoryLog, memoryLog } from '../support/memory-log.ts'
import { router as shared } from '../support/profiles.ts'
import { until } from '../support/until.ts'

const TOPIC = 'homie/d/n/p/$unit'
const SIGNAL = new AbortController().signal

const said = (payload: string, topic = TOPIC) => ({
  topic,
  payload: Buffer.from(payload),
  source: 's',
  qos: 1 as const,
  retain: true,
})

const setUp = (log: MemoryLog, read: () => Promise<Known | string | undefined>, canWrite = true) => {
  const router = shared.forgetful()
  const written: Known[] = []
  const logger = rememberingLogger()
  let aside = 0
  const knowledge = new Knowledge(router, () => log.reader())
  const keeper = new DescriptionKeeper({
    router,
    knowledge,
    read,
    setAside: async () => {
      aside++
    },
    write: async (known) => {
      if (!canWrite) throw new Error('the disk is full')
      written.push(known)
      return 100
    },
    durable: () => log.durable,
    logger,
    meter: rememberingMeter(),
  })
  const unit = () => router.decode({ ...said('1', 'homie/d/n/p'), receivedAt: 0 }).readings[0]?.unit
  return { keeper, written, logger, unit, knowledge, aside: () => aside }
}

const durable = async (log: MemoryLog, count: number) => until('all is durable', () => log.durable === count)

test('what the log holds is learnt at the start, what comes is learnt, and the end writes it', async (t) => {
  const log = memoryLog()
  log.append(said('W'))
  await durable(log, 1)
  const first = setUp(log, async () => undefined)
  await first.keeper.start(SIGNAL)
  t.equal(first.unit(), 'W')
  log.onDurable((entries) => first.keeper.learn(entries))
  log.append(said('V'))
  log.append(said('1', 'homie/d/n/p'))
  await durable(log, 3)
  t.equal(first.unit(), 'V')
  await Promise.all([first.keeper.close(), first.keeper.close()])
  t.equal(first.written.length, 1)
  t.equal(first.written[0]?.upTo, 3)

  log.forget(3)
  const second = setUp(log, async () => first.written[0])
  await second.keeper.start(SIGNAL)
  t.equal(second.unit(), 'V', 'the log has forgotten it')
  await second.keeper.close()
  t.strictSame(second.written, [], 'nothing new: nothing is written')
})

test('a file that cannot be used is set aside, and made anew from the log', async (t) => {
  const log = memoryLog()
  log.append(said('A'))
  await durable(log, 1)
  const { keeper, unit, written, aside, logger } = setUp(log, async () => 'its check sum is wrong')
  await keeper.start(SIGNAL)
  t.equal(unit(), 'A')
  t.equal(aside(), 1)
  t.match(JSON.stringify(logger.lines), /its check sum is wrong/)
  await keeper.close()
  t.equal(written.length, 1)
})

test('a log that cannot be read and a disk that takes nothing keep nothing from starting or ending', async (t) => {
  const log = memoryLog()
  log.append(said('A'))
  await durable(log, 1)
  const broken: MemoryLog = {
    ...log,
    durable: 1,
    reader: () => ({ read: () => Promise.reject(new Error('EIO')), close: async () => undefined }),
  }
  const { keeper, unit, logger } = setUp(broken, async () => undefined, false)
  await keeper.start(SIGNAL)
  t.equal(unit(), undefined)
  keeper.learn(log.entries)
  t.equal(unit(), 'A')
  await keeper.close()
  t.match(JSON.stringify(logger.lines), /EIO.*the disk is full/s)
})
