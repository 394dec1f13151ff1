import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { createNotifier } from '../../src/ops/systemd.ts'
import { rememberingLogger } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { needs } from '../support/needs.ts'
import { serviceManager } from '../support/service-manager.ts'
import { until } from '../support/until.ts'

const unit = join(import.meta.dirname, '../../systemd/tidegate.service')

test('the service manager hears what the gateway says', needs('socat'), async (t) => {
  const path = join(await temporaryDirectory(t), 'notify')
  const manager = await serviceManager(t, `UNIX-RECV:${path}`)
  const logger = rememberingLogger()
  const notifier = createNotifier({ NOTIFY_SOCKET: path }, process.pid, logger)
  await until('the manager listens', () => {
    notifier.status('hello')
    return manager.heard().includes('STATUS=hello')
  })
  const logged = logger.lines.length
  notifier.ready('all\nwell')
  notifier.reloading(1.5)
  notifier.alive()
  notifier.stopping()
  await until('everything arrives', () => manager.heard().includes('STOPPING=1'))
  t.match(manager.heard(), 'READY=1\nSTATUS=all well')
  t.match(manager.heard(), 'RELOADING=1\nMONOTONIC_USEC=1500')
  t.match(manager.heard(), 'WATCHDOG=1')
  t.equal(logger.lines.length, logged)
  notifier.close()
  notifier.close()
  notifier.status('not sent any more')
})

test('a service manager at an abstract address is reached too', needs('socat'), async (t) => {
  const name = `tidegate-test-${process.pid}`
  const manager = await serviceManager(t, `ABSTRACT-RECV:${name}`)
  const notifier = createNotifier({ NOTIFY_SOCKET: `@${name}` }, process.pid, rememberingLogger())
  t.teardown(() => notifier.close())
  await until('it is heard', () => {
    notifier.alive()
    return manager.heard().includes('WATCHDOG=1')
  })
})

test('without a service manager nothing is sent and nothing is said', (t) => {
  const logger = rememberingLogger()
  const notifier = createNotifier({}, process.pid, logger)
  notifier.ready('x')
  notifier.alive()
  notifier.close()
  t.strictSame(logger.lines, [])
  t.end()
})

test('a service manager that does not listen is logged once', async (t) => {
  const logger = rememberingLogger()
  const path = join(await temporaryDirectory(t), 'absent')
  const notifier = createNotifier({ NOTIFY_SOCKET: path }, process.pid, logger)
  notifier.ready('x')
  notifier.status('y')
  notifier.close()
  t.equal(logger.lines.length, 1)
})

test('the watchdog’s limit is known when it is meant for this process', (t) => {
  const limit = (env: Record<string, string>) => createNotifier(env, 42, rememberingLogger()).watchdogMs
  t.equal(limit({ WATCHDOG_USEC: '30000000' }), 30_000)
  t.equal(limit({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '42' }), 30_000)
  t.equal(limit({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '43' }), undefined)
  t.equal(limit({ WATCHDOG_USEC: 'soon' }), undefined)
  t.equal(limit({}), undefined)
  t.end()
})

test('the unit is valid and well confined', needs('systemd'), async (t) => {
  const file = join(await temporaryDirectory(t), 'tidegate.service')
  // verify looks for the program, which is not installed here.
  await writeFile(file, (await readFile(unit, 'utf8')).replace('/usr/bin/tidegate', '/usr/bin/env'))
  const verify = spawnSync('/usr/bin/systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
  t.equal(verify.stderr + verify.stdout, '')
  t.equal(verify.status, 0)
  const security = spawnSync('/usr/bin/systemd-analyze', ['security', '--offline=true', '--threshold=15', file], {
    encoding: 'utf8',
  })
  t.equal(security.status, 0, `exposure is at most 1.5: ${security.stdout.trim().split('\n').at(-1)}`)
})

test('the unit keeps to what Node needs', async (t) => {
  const text = await readFile(unit, 'utf8')
  t.match(text, /^Type=notify$/m)
  t.match(text, /^Restart=always$/m)
  t.match(text, /^StartLimitIntervalSec=0$/m)
  t.match(text, /^StateDirectory=tidegate$/m)
  t.match(text, /^SystemCallErrorNumber=EPERM$/m)
  t.notMatch(text, /^MemoryDenyWriteExecute=/m)
})
