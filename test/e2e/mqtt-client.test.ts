import { test } from 'tap'
import { startGateway } from '../support/gateway.ts'
import { mosquittoPub } from '../support/mosquitto.ts'
import { startMosquitto } from '../support/mosquitto-broker.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

const tools = needs('mosquitto', 'mosquitto-clients')

test(
  'sensors at another broker are shown and counted; after kill -9 nothing they said is missing',
  tools,
  async (t) => {
    const broker = await startMosquitto(t)
    const house = { name: 'house', type: 'mqtt-client', url: broker.url, topics: ['sensors/#'] }
    const gateway = await startGateway(t, { sources: [house] })
    const source = async () => (await gateway.status()).sources.find(({ name }) => name === 'house')
    await until('the broker is found', async () => (await source())?.state === 'ok')
    await mosquittoPub(broker.port, '-t', 'sensors/attic/temperature', '-m', '21.5 °C', '-q', '1')
    const readings = async () => JSON.stringify(await (await fetch(`${gateway.url}/api/v1/readings`)).json())
    await until('it is shown', async () => (await readings()).includes('"device":"sensors/attic","name":"temperature"'))

    await gateway.kill()
    for (let number = 0; number < 20; number++)
      await mosquittoPub(broker.port, '-t', `sensors/away/n${number}`, '-m', `${number}`, '-q', '1')
    await gateway.start()
    await until('what came meanwhile is there', async () => {
      const shown = await readings()
      return Array.from({ length: 20 }, (_, number) => `"name":"n${number}"`).every((name) => shown.includes(name))
    })
    t.pass()
  },
)

test('a bridge that brings the own messages back is told', tools, async (t) => {
  const broker = await startMosquitto(t)
  const gateway = await startGateway(t, {
    sources: [{ name: 'house', type: 'mqtt-client', url: broker.url, topics: ['#'] }],
  })
  await broker.stop()
  const bridge = ['connection tidegate', `address 127.0.0.1:${gateway.mqttPort}`, 'topic # in 1', 'restart_timeout 1']
  await broker.configure(...bridge)
  await broker.start()
  const source = async () => (await gateway.status()).sources.find(({ name }) => name === 'house')
  await until('the broker is found again', async () => (await source())?.state === 'ok', 30_000)
  let number = 0
  await until(
    'the loop is told',
    async () => {
      await mosquittoPub(gateway.mqttPort, '-t', 'sensors/x', '-m', `${number++}`, '-q', '1')
      return (await source())?.detail?.['sameMessagesAs'] === 'broker'
    },
    30_000,
  )
  t.ok((await gateway.metric('tidegate_source_loops_total', { source: 'house' })) > 0)
})
