import { test } from 'tap'
import { countText, durationText, sizeText, table } from '../../src/cli/format.ts'
import { addressesOf, addressText, statusLine } from '../../src/cli/run-text.ts'
import { StatusLine } from '../../src/cli/status-line.ts'
import type { StatusReport } from '../../src/core/status.ts'
import { capturedIo } from '../support/captured-io.ts'
import { configOf } from '../support/configuration.ts'

const report = {
  healthy: true,
  reasons: [],
  uptimeSeconds: 61,
  sources: [
    { name: 'broker', type: 'mqtt-broker', state: 'ok', since: 0, detail: { address: '127.0.0.1:1883' } },
    { name: 'other', type: 'other', state: 'ok', since: 0, detail: { address: '127.0.0.1:9' } },
  ],
  log: { messagesAppended: 1_500 },
  sinks: [{ name: 'cloud', state: 'ok', backlogMessages: 2 }],
  live: { devices: 3 },
  memory: { rssBytes: 64 * 2 ** 20 },
} as unknown as StatusReport

test('the addresses come one a line, the name of the thing first', async (t) => {
  const config = await configOf(
    t,
    'gateway: { data: /data }\nsinks: [{ name: cloud, type: amqp, url: "amqp://u:p@h" }]',
  )
  const lines = (api: string) => addressText(addressesOf(api, report, config), config, undefined).split('\n')
  const expected = ['dashboard   http://127.0.0.1:8080/', 'mqtt        127.0.0.1:1883', 'data        /data']
  t.strictSame(lines('http://127.0.0.1:8080'), [...expected, 'upstream    cloud (amqp)', ''])
  t.strictSame(lines('127.0.0.1:8080/').slice(0, 3), expected)
})

test('with TLS the dashboard is at https', async (t) => {
  const config = await configOf(t, 'api: { tls: { cert: a, key: a } }', { files: { a: '' } })
  t.equal(addressesOf('http://127.0.0.1:8080', report, config).api, 'https://127.0.0.1:8080')
})

test('the status line says how fast and how well', (t) => {
  const pace = { messages: 1_000, atMs: 0 }
  t.equal(
    statusLine(report, pace, 2_000),
    'up 1 min 1 s · 1,500 messages (250/s) · 3 devices · cloud ok, backlog 2 · 64.0 MiB',
  )
  t.match(statusLine({ ...report, healthy: false, reasons: ['log: full'] }, pace, 0), /· NOT healthy: log: full$/)
  t.end()
})

test('the status line is drawn over itself, fits, and leaves nothing behind', (t) => {
  const io = capturedIo()
  const line = new StatusLine(io.stdout)
  line.clear()
  t.equal(io.out(), '')
  line.draw('one')
  line.draw(`two\n${'x'.repeat(500)}`)
  line.clear()
  const [, first, second, last] = io.out().split('\r\u001b[K')
  t.equal(first, 'one')
  t.match(second, /^two\\x0ax+$/)
  t.equal(second?.length, 100)
  t.equal(last, '')
  t.end()
})

test('numbers are written for people', (t) => {
  t.strictSame([0, 1_023, 1_024, 2 ** 20 * 1.5, 2 ** 30 * 200, 2 ** 60].map(sizeText), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
    '200 GiB',
    '1048576 TiB',
  ])
  t.strictSame([0, 999, 59_000, 3_600_000, 90_061_000].map(durationText), ['0 s', '1 s', '59 s', '1 h', '1 d 1 h'])
  t.equal(countText(1_234_567), '1,234,567')
  t.equal(table([['a', 'bb', ''], ['ccc', 'd', 'e'], []]), 'a    bb\nccc  d   e\n')
  t.end()
})
