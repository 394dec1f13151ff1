import { test } from 'tap'
import { simulate, verb } from '../../src/cli/simulate.ts'
import { simulatedDevice } from '../../src/cli/simulated-device.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { plugin } from '../../src/sources/mqtt-broker/plugin.ts'
import { capturedIo } from '../support/captured-io.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { memoryLog } from '../support/memory-log.ts'
import { router } from '../support/profiles.ts'
import { until } from '../support/until.ts'

type Test = Parameters<typeof temporaryDirectory>[0]

const startBroker = async (t: Test, listen = '127.0.0.1:0') => {
  const log = memoryLog()
  if (plugin.kind !== 'source') throw new Error('not a source')
  const source = plugin.create(
    { listen },
    {
      name: 'broker',
      gateway: 'test',
      logger: rememberingLogger(),
      meter: rememberingMeter(),
      clock: turnableClock(),
      directory: await temporaryDirectory(t),
      replay: async function* () {
        // nothing was retained
      },
      profile: () => undefined,
    },
  )
  t.teardown(() => source.close())
  await source.start(log, new AbortController().signal)
  return { log, source, address: String(source.health().detail?.['address']) }
}

test('as many publications as asked for arrive at the broker, each acknowledged', async (t) => {
  const { log, address } = await startBroker(t)
  const io = capturedIo()
  const args = ['--url', `mqtt://${address}`, '--devices', '7', '--rate', '2000', '--count', '300']
  t.equal(await runVerb(verb, args, io), 0)
  t.equal(log.entries.length, 300)
  t.equal(io.out(), '300 publications acknowledged\n')
  t.ok(new Set(log.entries.map(({ topic }) => topic)).size >= 7)
})

test('the signal ends it, with what is in flight acknowledged', async (t) => {
  const { log, address } = await startBroker(t)
  const controller = new AbortController()
  const done = simulate({ url: `mqtt://${address}`, devices: 2, rate: 500, signal: controller.signal })
  await until('something came', () => log.entries.length > 20)
  controller.abort(new Error('enough'))
  t.equal(await done, log.entries.length)
})

test('a broker that goes away and comes back is published to again', async (t) => {
  const { source, address } = await startBroker(t)
  const controller = new AbortController()
  const notes: (string | undefined)[] = []
  const done = simulate({
    url: `mqtt://${address}`,
    devices: 2,
    rate: 200,
    signal: controller.signal,
    onConnection: (lost) => notes.push(lost),
  })
  await until('it is connected', () => notes.length === 1)
  await source.close()
  await until('the loss is told', () => notes.length === 2)
  const { log } = await startBroker(t, address)
  await until('something comes again', () => log.entries.length > 0)
  controller.abort(new Error('enough'))
  await done
  t.match(notes, [undefined, String, undefined])
})

test('no broker at the start is an error, a wrong option wrong usage', async (t) => {
  const { source, address } = await startBroker(t)
  await source.close()
  const run = async (...args: readonly string[]) => {
    const io = capturedIo()
    const code = await runVerb(verb, args, io)
    return { code, err: io.err() }
  }
  t.match(await run('--url', `mqtt://u:hunter2@${address}`), {
    code: 1,
    err: /no MQTT broker answers at mqtt:\/\/u:\*\*\*@/,
  })
  t.match(await run('--url', 'http://h'), { code: 2 })
  t.match(await run('--rate', '0'), { code: 2 })
  t.match(await run('--devices', '0'), { code: 2 })
  t.match(await run('--count', 'x'), { code: 2 })
})

test('simulated devices are steady, plausible, and understood by the decoder', async (t) => {
  const { decode } = router
  const start = Date.UTC(2026, 10, 20, 10)
  for (let index = 0; index < 10; index++) {
    const device = simulatedDevice(index)
    let before: number | undefined
    for (let step = 0; step < 200; step++) {
      for (const { topic, payload } of device.publish(start + step * 10_000)) {
        const message = { topic, payload: Buffer.from(payload), source: 'broker', receivedAt: start }
        const { fault, readings } = decode(message)
        if (fault !== undefined) t.fail(`${topic} ${payload}: ${fault}`)
        const temperature = readings.find(({ name }) => /temperature$/i.test(name))?.value
        if (typeof temperature !== 'number') continue
        if (temperature < -10 || temperature > 45) t.fail(`${temperature} is no room temperature`)
        if (before !== undefined && Math.abs(temperature - before) > 0.5) t.fail(`${before} → ${temperature} jumps`)
        before = temperature
      }
    }
    t.not(before, undefined, `device ${index} has a temperature`)
  }
})
