// The power is cut while the gateway ingests over MQTT, on a real file system whose unsynced writes are then gone: whatever was
// acknowledged is there, with every byte; no seq is used twice, not even one that was only shown live; every start succeeds.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openReader } from '../../src/log/reader.ts'
import { Completeness } from '../../src/upstream/completeness.ts'
import { readDelivered } from '../../src/upstream/delivered.ts'
import { startListener } from '../../src/upstream/listener.ts'
import { account } from '../support/account.ts'
import { lossMarks, readAll } from '../support/durable-log.ts'
import { PROGRAM } from '../support/gateway.ts'
import { type DiskType, loopDiskMissing } from '../support/loop-disk.ts'
import { PowerCuts, payloadOf } from '../support/power-cuts.ts'
import { until } from '../support/until.ts'

const LONG = process.env['TIDEGATE_LONG'] === '1'
/** For each of the two tests on ext4: a hundred in all, a thousand in the long run. */
const CUTS = LONG ? 420 : 43
const XFS_CUTS = 100
/** So that the log of the second test is written over several times. */
const LARGE_PADDING = 4_000

t.setTimeout(LONG ? 7_200_000 : 400_000)
t.jobs = 2

const figures = (cuts: PowerCuts, more: string): string =>
  [
    `${cuts.cycles} power cuts, ${cuts.earlyCuts} of them during a start`,
    `${cuts.load.acknowledgedCount} messages acknowledged, ${cuts.load.sent} sent`,
    `${cuts.live.size} shown live`,
    `${cuts.starts} of ${cuts.starts} starts succeeded, ${Math.round(cuts.startMs / cuts.starts)} ms each`,
    more,
  ].join('; ')

const inTheLog = async (t: Test, type: DiskType, times: number): Promise<void> => {
  const cuts = await PowerCuts.prepare(t, type, { log: { maxBytes: '128MiB' } })
  await cuts.cut(times)
  await cuts.settle()
  const { gateway, load, live } = cuts
  const { last } = (await gateway.status()).log
  await gateway.stop()

  const reader = openReader({ directory: gateway.data, fileSystem: nodeFileSystem(), durable: () => last })
  const { entries, gaps } = await readAll(reader, 0, 4_096)
  await reader.close()
  const messages = new Map<string, number>()
  let distorted = 0
  for (const { seq, kind, topic, payload } of entries) {
    if (kind !== 'message') continue
    const { n } = JSON.parse(payload.toString()) as { n: number }
    if (payload.toString() !== payloadOf(n)) distorted++
    messages.set(`${topic} ${n}`, seq)
  }
  const lost = [...load.acknowledged].flatMap(([device, numbers]) =>
    numbers.filter((n) => !messages.has(`${device} ${n}`)).map((n) => `${device} ${n}`),
  )
  t.same(lost.slice(0, 10), [], 'every acknowledged message is in the log')
  t.equal(distorted, 0, 'with every byte of its payload')
  t.ok(
    entries.every(({ seq }, index) => index === 0 || seq > (entries[index - 1]?.seq ?? 0)),
    'seqs ascend, so none is there twice',
  )
  t.same(cuts.repeated, [], 'no seq was shown for two messages')
  const other = [...live].filter(([seq, message]) => messages.has(message) && messages.get(message) !== seq)
  t.same(other.slice(0, 10), [], 'what was shown live has that seq in the log')
  const given = new Map([...messages].map(([message, seq]) => [seq, message]))
  const reused = [...live].filter(([seq, message]) => given.has(seq) && given.get(seq) !== message)
  t.same(reused.slice(0, 10), [], 'no seq that was shown live stands for another message')
  const reasons = new Set([...gaps, ...(lossMarks(entries) as { reason: string }[])].map(({ reason }) => reason))
  t.same([...reasons], ['unclean-stop'], 'nothing but skipped seqs')
  const { stdout } = await promisify(execFile)(process.execPath, [
    PROGRAM,
    'log',
    'verify',
    '--config',
    gateway.configFile,
  ])
  t.ok(stdout, 'log verify finds no damage')
  t.equal(load.misordered, 0, 'PUBACKs came in the order of the PUBLISHes')
  t.comment(figures(cuts, `${type}; ${lost.length} lost`))
}

t.test(`after ${CUTS} power cuts on ext4, all that was acknowledged is in the log`, { skip: loopDiskMissing() }, (t) =>
  inTheLog(t, 'ext4', CUTS),
)

t.test(
  `after ${CUTS} power cuts on ext4, all that was acknowledged is upstream, and every seq is explained`,
  { skip: loopDiskMissing() },
  async (t) => {
    const arrived: { seq: number; device: string; name: string; value: number | string | boolean }[] = []
    const completeness = new Completeness()
    const upstream = await startListener({
      host: '127.0.0.1',
      port: 0,
      onMessage: (message) => {
        const delivered = readDelivered(message)
        completeness.add(delivered)
        if (delivered.kind === 'readings') arrived.push(...delivered.readings)
        return 'accepted'
      },
    })
    t.teardown(() => upstream.close())
    const url = `amqp://127.0.0.1:${upstream.port}`
    // Segments of 64 KiB: they roll, are retired when they are settled, and written over.
    const cuts = await PowerCuts.prepare(
      t,
      'ext4',
      {
        log: { maxBytes: '1MiB', whenFull: 'refuse' },
        sinks: [{ name: 'hub', type: 'amqp1', url, filter: { names: ['n'] } }],
      },
      LARGE_PADDING,
    )
    await cuts.cut(CUTS)
    await cuts.settle()
    const { gateway, load } = cuts
    const done = async () => {
      const { sinks, seq } = await gateway.status()
      return sinks[0]?.position === seq
    }
    await until('everything is settled', done, 60_000)
    const { log } = await gateway.status()
    await gateway.stop()
    const { missing, confusions, duplicates } = account(load, arrived)
    t.same(missing.slice(0, 10), [], 'every acknowledged message is upstream')
    t.same(confusions.slice(0, 10), [], 'no message under two seqs, no seq for two messages')
    t.same(cuts.repeated, [], 'no seq was shown for two messages')
    const report = completeness.report()
    t.ok(report.complete, `every seq is accounted for: ${JSON.stringify(report.gateways[0]?.gaps)}`)
    t.same(log.lost, {}, 'no mark tells of a lost message')
    t.ok(log.first > 1, `old segments went, their files were written over: the log begins at seq ${log.first}`)
    t.comment(figures(cuts, `${missing.length} lost, ${duplicates} came upstream again under the same seq`))
  },
)

if (LONG)
  t.test(
    `after ${XFS_CUTS} power cuts on xfs, all that was acknowledged is in the log`,
    { skip: loopDiskMissing() },
    (t) => inTheLog(t, 'xfs', XFS_CUTS),
  )
