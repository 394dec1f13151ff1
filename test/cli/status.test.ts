import { test } from 'tap'
import { verb } from '../../src/cli/status.ts'
import { runVerb } from '../../src/cli/verb.ts'
import type { LossMark } from '../../src/core/contract.ts'
import type { StatusReport } from '../../src/core/status.ts'
import { capturedIo } from '../support/captured-io.ts'
import { scriptedGateway } from '../support/scripted-gateway.ts'

const since = Date.UTC(2026, 10, 20, 10)

const report = (changes: Partial<StatusReport> = {}): StatusReport => ({
  gateway: 'greenhouse',
  version: '0.1.0',
  healthy: true,
  reasons: [],
  startedAt: since,
  uptimeSeconds: 93_784,
  seq: 1_842,
  sources: [{ name: 'broker', type: 'mqtt-broker', state: 'ok', since }],
  log: {
    first: 1,
    last: 1_842,
    segments: 2,
    bytes: 3_145_728,
    maxBytes: 2 ** 30,
    maxAgeMs: 1,
    state: 'ok',
    pendingMessages: 0,
    unkeptMessages: 0,
    commitMs: 2,
    pendingBytes: 0,
    messagesAppended: 1_842,
    payloadBytes: 1,
    writtenBytes: 1,
    commits: 1,
    lost: { retention: 7, corrupt: 0 },
    losses: [],
    quarantined: 0,
    wear: { hours: 0, payloadBytes: 0, physicalBytes: 0 },
  },
  sinks: [
    {
      name: 'cloud',
      type: 'amqp',
      state: 'degraded',
      since,
      reason: 'connection \u001b[31mrefused',
      position: 1_800,
      unsettled: [],
      backlogMessages: 42,
      confirmedMessages: 1_800,
      confirmedReadings: 3_000,
      rejectedMessages: 1,
      retries: 3,
    },
  ],
  live: { devices: 3, stale: 0, values: 9, faults: 1, subscribers: 2 },
  clock: { time: since, synced: false, bootId: 'x' },
  memory: { rssBytes: 64_000_000, heapUsedBytes: 20_000_000, externalBytes: 1 },
  ...changes,
})

const status = async (url: string, ...args: readonly string[]) => {
  const io = capturedIo()
  const code = await runVerb(verb, ['--url', url, ...args], io)
  return { code, out: io.out(), err: io.err() }
}

test('the report is shown for people, without control characters from outside', async (t) => {
  const gateway = await scriptedGateway(t, () => ({ body: report() }))
  const { code, out } = await status(gateway.url)
  t.equal(code, 0)
  t.strictSame(gateway.asked, ['/api/v1/status'])
  t.match(out, /^gateway {2}greenhouse \(tidegate 0\.1\.0\), up 1 d 2 h$/m)
  t.match(out, /^health {3}healthy$/m)
  t.match(out, /seq 1 to 1842, 3\.0 MiB of 1\.0 GiB in 2 segments, 7 lost \(retention\)$/m)
  t.match(out, /cloud {2}amqp {2}degraded since 2026-11-20T10:00:00\.000Z: connection \\x1b\[31mrefused/)
  t.match(out, /backlog 42, confirmed 1,800, rejected 1, retries 3/)
  t.match(out, /never set/)
})

test('the newest losses are listed: when, why, how many of whom, which seqs', async (t) => {
  const losses = [
    { first: 1, last: 9, count: 7, reason: 'retention', time: since, topics: { 'a/b': 5, '\u001b[31m': 2 } },
    { first: 10, last: 20, count: 0, reason: 'unclean-stop', time: since },
    { first: 30, last: 29, count: 1_234, reason: 'refused', time: since, detail: 'the disk is full' },
    { first: 4, last: 4, count: 1, reason: 'rejected', time: since, sink: 'cloud', devices: { a: 1 } },
  ] satisfies LossMark[]
  const base = report()
  const gateway = await scriptedGateway(t, () => ({ body: report({ log: { ...base.log, losses } }) }))
  const { out } = await status(gateway.url)
  const [, listed = ''] = out.split('newest losses\n')
  t.same(
    listed
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/).slice(1)),
    [
      ['rejected', '1 message', 'seq 4; of a 1'],
      ['refused', '1,234 messages', 'never had a seq; the disk is full'],
      ['unclean-stop', 'no message, only seqs', 'seq 10 to 20'],
      ['retention', '7 messages', 'seq 1 to 9; of a/b 5, \\x1b[31m 2'],
    ],
  )
})

test('what the log costs the card is told by the payload byte, and by the day once there is an hour to judge by', async (t) => {
  const of = async (hours: number) => {
    const { log } = report()
    const wear = { hours, payloadBytes: 1_048_576, physicalBytes: 6_815_744 }
    const gateway = await scriptedGateway(t, () => ({ body: report({ log: { ...log, wear } }) }))
    return /^wear +(.*)$/m.exec((await status(gateway.url)).out)?.[1]
  }
  t.equal(await of(0.2), '6.5 bytes written per payload byte, 6.5 MiB so far')
  t.equal(await of(6), '6.5 bytes written per payload byte, 26.0 MiB a day so far (6.0 h)')
  t.equal(await of(23.5), '6.5 bytes written per payload byte, 6.6 MiB a day')
})

test('a gateway that is not healthy is exit code 1, whatever the status of the answer', async (t) => {
  const body = report({ healthy: false, reasons: ['log: the disk is full'] })
  for (const code of [200, 503]) {
    const gateway = await scriptedGateway(t, () => ({ status: code, body }))
    const result = await status(gateway.url)
    t.equal(result.code, 1)
    t.match(result.out, /NOT healthy: log: the disk is full/)
  }
})

test('--json prints the report as it came', async (t) => {
  const gateway = await scriptedGateway(t, () => ({ body: report() }))
  t.strictSame(JSON.parse((await status(gateway.url, '--json')).out), report())
})

test('a gateway that does not answer is exit code 1 with what to do', async (t) => {
  const gateway = await scriptedGateway(t, () => ({ body: {} }))
  await gateway.stop()
  const { code, err } = await status(gateway.url)
  t.equal(code, 1)
  t.match(
    err,
    /no gateway answers at http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\); check that it runs.*TG_GATEWAY_UNREACHABLE/,
  )
})

test('something else that answers is not taken for a gateway', async (t) => {
  for (const body of [undefined, [], {}, 'hello', { healthy: true }]) {
    const gateway = await scriptedGateway(t, () => ({ body }))
    const { code, err } = await status(gateway.url)
    t.equal(code, 1)
    t.match(err, /TG_GATEWAY_UNREACHABLE/)
  }
})

test('the token goes into the header and comes from the environment', async (t) => {
  const seen: (string | undefined)[] = []
  const gateway = await scriptedGateway(t, (_path, { headers }) => {
    seen.push(headers.authorization)
    return headers.authorization === undefined
      ? { status: 401, body: { title: 'Unauthorized', detail: 'a token is needed' } }
      : { body: report() }
  })
  const { code, err } = await status(gateway.url)
  t.equal(code, 1)
  t.match(err, /TIDEGATE_TOKEN: a token is needed.*TG_UNAUTHORIZED/)
  const io = { ...capturedIo(), env: { TIDEGATE_TOKEN: 'abc' } }
  t.equal(await runVerb(verb, ['--url', gateway.url], io), 0)
  t.strictSame(seen, [undefined, 'Bearer abc'])
})

test('a wrong --url is wrong usage', async (t) => {
  for (const url of ['127.0.0.1:8080', 'ftp://h', 'http://user:password@h', '']) {
    const { code, err } = await status(url)
    t.equal(code, 2)
    t.match(err, /--url must be/)
  }
})
