import { test } from 'tap'
import { readingText, verb } from '../../src/cli/tail.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { capturedIo } from '../support/captured-io.ts'
import { type Script, scriptedGateway } from '../support/scripted-gateway.ts'
import { until } from '../support/until.ts'

const reading = (seq: number) => ({
  seq,
  device: 'sensors/a',
  name: 'temperature',
  value: seq / 2,
  unit: 'Cel',
  time: 'T',
})

/** A gateway whose newest seq is `seq`, and which has these pages by the seq they follow on. */
const serving =
  (seq: number, pages: Readonly<Record<number, object>>): Script =>
  (path) => {
    if (path === '/api/v1/status') return { body: { seq } }
    const body = pages[Number(new URL(path, 'http://h').searchParams.get('after'))]
    return body === undefined ? undefined : { body }
  }

const start = (url: string, ...args: readonly string[]) => {
  const controller = new AbortController()
  const io = { ...capturedIo(), signal: controller.signal }
  const code = runVerb(verb, ['--url', url, ...args], io)
  return { io, code, stop: () => controller.abort(new Error('SIGINT received')) }
}

test('readings come one a line, from what is new on, and the signal ends it well', async (t) => {
  const gateway = await scriptedGateway(t, serving(4, { 4: { seq: 6, readings: [reading(5), reading(6)] } }))
  const { io, code, stop } = start(gateway.url)
  await until('the page is shown', () => io.out().includes('6  sensors/a'))
  stop()
  t.equal(await code, 0)
  t.equal(io.out(), 'T  5  sensors/a  temperature  2.5 Cel\nT  6  sensors/a  temperature  3 Cel\n')
  t.strictSame(gateway.asked.slice(0, 3), [
    '/api/v1/status',
    '/api/v1/readings?after=4&wait=30s',
    '/api/v1/readings?after=6&wait=30s',
  ])
})

test('device, name and start are asked for, and --json prints JSON lines', async (t) => {
  const gateway = await scriptedGateway(t, serving(4, { 0: { seq: 5, readings: [reading(5)] } }))
  const { io, code, stop } = start(gateway.url, '--device', 'sensors/#', '--name', 'a b', '--after', '0', '--json')
  await until('the page is shown', () => io.out() !== '')
  stop()
  t.equal(await code, 0)
  t.strictSame(JSON.parse(io.out()), reading(5))
  t.equal(gateway.asked[1], '/api/v1/readings?after=0&wait=30s&device=sensors%2F%23&name=a%20b')
})

test('a restart of the gateway is waited for, and nothing is skipped or shown twice', async (t) => {
  const gateway = await scriptedGateway(t, serving(4, { 4: { seq: 5, readings: [reading(5)] } }))
  const { io, code, stop } = start(gateway.url)
  await until('the first is shown', () => io.out() !== '')
  await gateway.stop()
  await until('the loss is told', () => io.err().includes('waiting for the gateway'))
  await gateway.restart(serving(9, { 5: { seq: 7, readings: [reading(6), reading(7)] } }))
  await until('the rest is shown', () => io.out().includes('  7  '))
  stop()
  t.equal(await code, 0)
  t.match(io.err(), /^tidegate: no gateway answers.*; waiting for the gateway\ntidegate: the gateway is back\n$/)
  t.equal(io.out().split('\n').length, 4)
})

test('a gateway that comes back with another log is read from its start', async (t) => {
  const gateway = await scriptedGateway(t, serving(100, {}))
  const { io, code, stop } = start(gateway.url)
  await until('it polls', () => gateway.asked.length >= 2)
  await gateway.stop()
  await until('the loss is told', () => io.err() !== '')
  await gateway.restart(serving(2, { 0: { seq: 2, readings: [reading(2)] } }))
  await until('the reading is shown', () => io.out() !== '')
  stop()
  t.equal(await code, 0)
  t.match(io.err(), /back with another log; starting over/)
})

test('holes are told on standard error', async (t) => {
  const gaps = [{ from: 5, to: 90, reason: 'retention' }]
  const gateway = await scriptedGateway(t, serving(100, { 4: { seq: 91, gaps, readings: [reading(91)] } }))
  const { io, code, stop } = start(gateway.url, '--after', '4')
  await until('the reading is shown', () => io.out() !== '')
  stop()
  await code
  t.match(io.err(), /seq 5 to 90 are gone \(retention\)/)
})

test('what waiting does not change ends it: no gateway at the start, a refusal, a wrong filter', async (t) => {
  const gateway = await scriptedGateway(t, (path) =>
    path === '/api/v1/status' ? { body: { seq: 1 } } : { status: 400, body: { detail: 'name is not known' } },
  )
  const refused = start(gateway.url)
  t.equal(await refused.code, 1)
  t.match(refused.io.err(), /refused with 400: name is not known/)
  await gateway.stop()
  const absent = start(gateway.url)
  t.equal(await absent.code, 1)
  t.match(absent.io.err(), /TG_GATEWAY_UNREACHABLE/)
  t.equal(await start(gateway.url, '--device', 'a/#/b').code, 2)
  t.equal(await start(gateway.url, '--after', '-1').code, 2)
})

test('a reading cannot drive the terminal', (t) => {
  const text = readingText({
    time: 'T',
    seq: 1,
    device: 'a\u001b[2Jb',
    name: 'n\n',
    value: 'x\u202ey',
    timeQuality: 'unsynced',
  })
  t.equal(text, 'T  1  a\\x1b[2Jb  n\\x0a  x\\u202ey  (clock unsynced)')
  t.end()
})
