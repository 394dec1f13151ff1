// Retained messages belong to the log: they are there after a restart, planned or not.

import { test } from 'tap'
import { startGateway } from '../support/gateway.ts'
import { mosquittoPub, mosquittoSub } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'

test(
  'a retained message is given to a new subscriber after kill -9 and after a graceful stop',
  needs('mosquitto-clients'),
  async (t) => {
    const gateway = await startGateway(t)
    const retained = () => mosquittoSub(gateway.mqttPort, 1, 5_000, '-v', '-t', 'state/#')
    await mosquittoPub(gateway.mqttPort, '-q', '1', '-r', '-t', 'state/door', '-m', 'open')
    await mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'state/noise', '-m', 'not retained')
    t.same(await retained(), ['state/door open'])
    await gateway.kill()
    await gateway.start()
    t.same(await retained(), ['state/door open'], 'after kill -9')
    await gateway.stop()
    await gateway.start()
    t.same(await retained(), ['state/door open'], 'after a graceful stop')

    await mosquittoPub(gateway.mqttPort, '-q', '1', '-r', '-t', 'state/door', '-n')
    await gateway.stop()
    await gateway.start()
    await t.rejects(
      mosquittoSub(gateway.mqttPort, 1, 1_000, '-t', 'state/#'),
      'an empty retained message has removed it',
    )
  },
)

test('a persistent session is given what came while its client was away', needs('mosquitto-clients'), async (t) => {
  const gateway = await startGateway(t)
  const session = ['-i', 'dashboard', '-c', '-q', '1', '-t', 'house/#']
  await mosquittoPub(gateway.mqttPort, '-q', '1', '-r', '-t', 'house/first', '-m', 'one')
  t.same(await mosquittoSub(gateway.mqttPort, 1, 5_000, ...session), ['one'], 'subscribed')
  await mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'house/second', '-m', 'two')
  t.same(await mosquittoSub(gateway.mqttPort, 1, 5_000, ...session), ['two'])
})
