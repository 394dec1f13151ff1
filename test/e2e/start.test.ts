// Starting and not being able to, and being told to stop while starting.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import { Publisher } from '../support/broker-clients.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { Gateway, prepareGateway, startGateway } from '../support/gateway.ts'
import { occupyPort } from '../support/port.ts'

test('a port in use ends the start with one line that names the port and the key', async (t) => {
  const taken = await occupyPort()
  t.teardown(() => taken.close())
  const address = `127.0.0.1:${taken.port}`
  for (const [options, key] of [
    [{ broker: { listen: address } }, 'listen'],
    [{ api: { listen: address } }, 'api.listen'],
  ] as const) {
    const gateway = await prepareGateway(t, options)
    await gateway.writeConfig()
    const exit = await gateway.launch()
    t.equal(exit.code, 1, key)
    const lines = gateway.output.split('\n').filter((line) => line.includes(String(taken.port)))
    t.equal(lines.length, 1, `one line names the port: ${gateway.output}`)
    t.match(lines[0], key)
    t.notMatch(gateway.output, /^\s+at .*:\d+:\d+\)?$/m, 'no stack trace')
  }
})

test('a second gateway on the same data directory refuses to start, and the first goes on', async (t) => {
  const first = await startGateway(t)
  const second = new Gateway(first.directory, {})
  await second.writeConfig()
  const exit = await second.launch()
  t.equal(exit.code, 1)
  t.match(second.output, first.data)
  t.match(second.output, /another gateway|locked|in use/i)
  const publisher = await Publisher.open({ port: first.mqttPort, clientId: 'after' })
  t.teardown(() => publisher.close())
  await publisher.publish('still/here', '1')
})

test('a place in the data directory that cannot be used ends the start with one line that names it', async (t) => {
  for (const place of ['', 'log', 'sources']) {
    const gateway = await prepareGateway(t)
    await gateway.writeConfig()
    if (place !== '') await mkdir(gateway.data)
    await writeFile(join(gateway.data, place), 'not a directory')
    const exit = await gateway.launch()
    t.equal(exit.code, 1, place)
    t.match(gateway.output, join(gateway.data, place), place)
    t.match(gateway.output, /^tidegate: .*TG_DATA_UNUSABLE/m, place)
    t.notMatch(gateway.output, 'please report it', place)
  }
})

test('a killed gateway leaves no lock behind', async (t) => {
  const gateway = await startGateway(t)
  await gateway.kill()
  await gateway.start()
  t.equal((await gateway.stop()).code, 0)
})

test('an invalid configuration is told with line and column, exit 2', async (t) => {
  const gateway = await prepareGateway(t, { log: { maxByts: '1GiB' } })
  await gateway.writeConfig()
  const exit = await gateway.launch()
  t.equal(exit.code, 2)
  t.match(gateway.output, /tidegate\.yaml:\d+:\d+: .*maxByts.*maxBytes/)
})

test('SIGTERM while starting ends the process soon, and the next start works', async (t) => {
  const directory = await temporaryDirectory(t)
  // From before the first line of JavaScript to well after everything listens.
  for (const afterMs of [20, 60, 100, 150, 200, 250, 300, 400, 600]) {
    const gateway = new Gateway(directory, {})
    await gateway.writeConfig()
    const exited = gateway.launch()
    await sleep(afterMs)
    gateway.signal('SIGTERM')
    const exit = await Promise.race([exited, sleep(10_000, undefined, { ref: false })])
    if (exit === undefined) await gateway.kill()
    t.ok(exit, `ended after SIGTERM at ${afterMs} ms: ${gateway.output}`)
    // Before Node has installed any handler the signal itself ends the process.
    t.ok(exit?.code === 0 || exit?.signal === 'SIGTERM', `${afterMs} ms: code ${exit?.code}, signal ${exit?.signal}`)
  }
  const gateway = new Gateway(directory, {})
  await gateway.start()
  t.equal((await gateway.stop()).code, 0)
})
