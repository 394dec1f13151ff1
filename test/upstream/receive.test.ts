import { test } from 'tap'
import type { Io } from '../../src/cli/io.ts'
import { verb } from '../../src/cli/receive.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { Amqp1Sink } from '../../src/sinks/amqp1/sink.ts'
import { amqp1Config } from '../support/amqp-config.ts'
import { type Forwarding, forwarding, message, testContext } from '../support/forwarding.ts'
import { memoryCursor } from '../support/memory-cursor.ts'
import { until } from '../support/until.ts'

interface Test {
  teardown(work: () => Promise<void>): void
}

/** Runs the verb beside the test; `out` and `err` grow. */
const receive = (t: Test, ...args: string[]) => {
  const abort = new AbortController()
  const run = { out: '', err: '', end: () => abort.abort(), code: Promise.resolve(-1) }
  const io = {
    stdin: process.stdin,
    stdout: {
      write: (text: string) => {
        run.out += text
      },
    },
    stderr: {
      write: (text: string) => {
        run.err += text
      },
    },
    env: {},
    signal: abort.signal,
  } satisfies Io
  run.code = runVerb(verb, args, io)
  t.teardown(async () => {
    abort.abort()
    await run.code
  })
  return run
}

const urlOf = async (run: { readonly err: string }): Promise<string> => {
  const found = await until('it listens', () => /amqp:\/\/[\d.:]+/.exec(run.err)?.[0])
  return found
}

const gateway = async (t: Test, url: string, more: object = {}): Promise<Forwarding> => {
  const made = await forwarding(t, new Amqp1Sink(amqp1Config(url), testContext()), more)
  made.forwarder.start()
  return made
}

test('what a gateway sends is printed, one reading a line, until enough has come', async (t) => {
  const run = receive(t, '--listen', 'amqp://127.0.0.1:0', '--count', '3', '--verify')
  const { log } = await gateway(t, await urlOf(run))
  for (const payload of ['21.5', 'broken', '22', '23']) await log.deliver(message('sensors/a', payload))
  t.equal(await run.code, 0)
  t.match(run.out, /greenhouse {2}2\d{3}-.*Z {2}1 {2}sensors\/a {2}value {2}21\.5\n/)
  t.match(run.out, /complete: every seq is accounted for\ngreenhouse: seq 1 to 4, 3 arrived/)
})

test('--json gives lines for programs, the report last', async (t) => {
  const run = receive(t, '--listen', 'amqp://127.0.0.1:0', '--count', '2', '--verify', '--json')
  const { log } = await gateway(t, await urlOf(run))
  for (const payload of ['1', '', '2']) await log.deliver(message('a', payload))
  t.equal(await run.code, 0)
  const lines = run.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(lines[0], { gateway: 'greenhouse', lane: 'fresh', seq: 1, device: 'a', name: 'value', value: 1, time: /Z$/ })
  t.ok(lines.some(({ loss }) => loss?.reason === 'filtered'))
  t.match(lines.at(-1), { report: { complete: true, gateways: [{ arrived: 2 }] } })
})

test('an unexplained gap is reported, and the exit code is 1', async (t) => {
  const run = receive(t, '--listen', 'amqp://127.0.0.1:0', '--verify', '--quiet')
  const url = await urlOf(run)
  const one = await gateway(t, url)
  for (const payload of ['1', '2']) await one.log.deliver(message('a', payload))
  await one.settled()
  await one.forwarder.close(1_000)
  // A gateway that lost its memory of three messages.
  for (const payload of ['3', '4', '5', '6']) await one.log.deliver(message('a', payload))
  const cursor = memoryCursor([{ first: 6, last: Number.POSITIVE_INFINITY }])
  const two = await gateway(t, url, { log: one.log, cursor })
  await two.settled()
  run.end()
  t.equal(await run.code, 1)
  t.match(run.out, /^NOT complete\n[\s\S]*gap: seq 3 to 5\n/)
})

test('a silence ends it', async (t) => {
  const run = receive(t, '--listen', 'amqp://127.0.0.1:0', '--verify', '--idle', '50ms')
  t.equal(await run.code, 0)
  t.match(run.out, /nothing was received/)
})

test('wrong usage exits with 2, an address in use with 1', async (t) => {
  const busy = receive(t, '--listen', 'amqp://127.0.0.1:0')
  const url = await urlOf(busy)
  const second = receive(t, '--listen', url)
  t.equal(await second.code, 1)
  t.match(second.err, /^tidegate: port \d+ of 127\.0\.0\.1 \(--listen\) is in use;/)
  for (const args of [
    ['--queue', 'q'],
    ['--url', 'amqp://h'],
    ['--listen', 'amqp://h', '--url', 'amqp://h', '--queue', 'q'],
    ['--listen', 'http://h'],
    ['--bind', 'x:y'],
    ['--url', 'amqp://h', '--queue', 'q', '--bind', 'x'],
    ['--idle', '10'],
    ['--count', '0'],
    ['--quite'],
  ]) {
    const run = receive(t, ...args)
    t.equal(await run.code, 2, args.join(' '))
    t.match(run.err, /See 'tidegate receive --help'/, args.join(' '))
  }
  const hidden = receive(t, '--url', 'amqp://u:secretword@127.0.0.1:1', '--queue', 'q')
  t.equal(await hidden.code, 1)
  t.match(hidden.err, /ECONNREFUSED/)
  t.notMatch(hidden.err, /secretword/)
})
