// The built program as a process: exit codes, streams, signals.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { PROGRAM, plainEnvironment, prepareGateway } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { scriptedGateway } from '../support/scripted-gateway.ts'
import { serviceManager } from '../support/service-manager.ts'
import { until } from '../support/until.ts'

const start = (...args: readonly string[]) => {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: plainEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const end = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }))
  return { child, end, out: () => out, err: () => err }
}

const run = (...args: readonly string[]) => start(...args).end

test('--version and --help are answered, and no verb is wrong usage', async (t) => {
  t.match(await run('--version'), { code: 0, out: /^tidegate \d+\.\d+\.\d+\n$/, err: '' })
  t.match(await run('--help'), { code: 0, out: /^ {2}run +run the gateway in the foreground$/m, err: '' })
  t.match(await run('check', '--help'), { code: 0, out: /^Usage: tidegate check/, err: '' })
  t.match(await run(), { code: 2, out: '', err: /^Usage: tidegate VERB/m })
})

test('an unknown verb names the nearest, exit code 2', async (t) => {
  t.match(await run('statsu'), { code: 2, out: '', err: /unknown verb 'statsu'; did you mean 'status'\?/ })
  t.match(await run('frobnicate'), { code: 2, out: '', err: /^tidegate: unknown verb 'frobnicate'\n/ })
})

test('an unknown level or option of run is wrong usage', async (t) => {
  t.match(await run('run', '--log-level', 'loud'), { code: 2, err: /must be one of trace, debug/ })
  t.match(await run('run', '--confg', 'x'), { code: 2, err: /did you mean --config/ })
})

test('a reader that goes away ends the program quietly', async (t) => {
  const reading = { seq: 2, device: 'd', name: 'n', value: 'x'.repeat(1_000), time: 'T' }
  let seq = 1
  const gateway = await scriptedGateway(t, (path) =>
    path === '/api/v1/status' ? { body: { seq } } : { body: { seq: ++seq, readings: Array(100).fill(reading) } },
  )
  const { child, end, err } = start('tail', '--url', gateway.url)
  await once(child.stdout, 'data')
  child.stdout.destroy()
  t.equal((await end).code, 0)
  t.equal(err(), '')
})

/** With a standard output that takes nothing, as on a full disk. */
const startFull = (...args: readonly string[]) => {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: plainEnvironment(),
    stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
  })
  let err = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  return { child, err: () => err, end: once(child, 'close').then(([code]) => ({ code: code as number | null, err })) }
}

test('output that a full disk does not take is a failure in one line', async (t) => {
  t.match(await startFull('devices', 'list').end, {
    code: 1,
    err: /^tidegate: the output cannot be written: ENOSPC[^\n]*\n$/,
  })
})

test('a gateway whose output goes to a full disk goes on', needs('mosquitto-clients'), async (t) => {
  const gateway = await prepareGateway(t, {})
  await gateway.writeConfig()
  const { child, err, end } = startFull('run', '--config', gateway.configFile)
  t.teardown(() => child.kill('SIGKILL'))
  const port = await until('the broker listens', () => /"address":"127.0.0.1:(\d+)","msg":"mqtt/.exec(err())?.[1])
  t.ok(Number(port) > 0)
  const publish = spawn('mosquitto_pub', ['-p', port, '-q', '1', '-t', 'a', '-m', '1'])
  t.strictSame(await once(publish, 'close'), [0, null])
  child.kill('SIGTERM')
  t.match(await end, { code: 0 })
})

test('a signal ends a verb that waits with exit code 0', async (t) => {
  const gateway = await scriptedGateway(t, (path) => (path === '/api/v1/status' ? { body: { seq: 1 } } : undefined))
  const { child, end } = start('tail', '--url', gateway.url)
  await until('it polls', () => gateway.asked.length === 2)
  child.kill('SIGINT')
  t.match(await end, { code: 0, err: '' })
})

test('the service manager hears when the gateway is ready, and when it stops', needs('socat'), async (t) => {
  const gateway = await prepareGateway(t, {})
  const path = join(gateway.directory, 'notify')
  const manager = await serviceManager(t, `UNIX-RECV:${path}`)
  await until('the manager listens', () => existsSync(path))
  const notified = await prepareGateway(t, { env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '600000' } })
  await notified.start()
  await until('it is ready and feeds the watchdog', () => /READY=1\nSTATUS=healthy.*WATCHDOG=1/s.test(manager.heard()))
  t.equal((await notified.stop()).code, 0)
  await until('it says that it stops', () => manager.heard().includes('STOPPING=1'))
})
