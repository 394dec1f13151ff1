import { test } from 'tap'
import { verb } from '../../src/cli/status.ts'
import { runVerb } from '../../src/cli/verb.ts'
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
  live: { devices: 3, values: 9, faults: 1, subscribers: 2 },
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
