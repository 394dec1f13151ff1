// A meter and a relay board on one serial line, polled by the built program: readings over REST, a command that switches a
// relay, and a meter that falls silent.

import { test } from 'tap'
import { startGateway } from '../support/gateway.ts'
import { modbusLine } from '../support/modbus-line.ts'
import { ModbusSlave } from '../support/modbus-slave.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

test('a meter and a relay on a serial line are readings, and take commands', needs('socat'), async (t) => {
  const line = await modbusLine(t)
  const slave = new ModbusSlave()
  slave.unit(1).float(0, 230.1).float(12, -85.4).float(70, 49.99).float(72, 12.5)
  slave.unit(2)
  await slave.serve(line.far)
  t.teardown(() => slave.close())
  const gateway = await startGateway(t, {
    sources: [
      {
        name: 'bus',
        type: 'modbus',
        path: line.path,
        baudRate: 9600,
        timeout: '200ms',
        units: [
          { unit: 1, profile: 'sdm120', device: 'solar', every: '200ms' },
          { unit: 2, profile: 'waveshare-relay-8ch', device: 'valves', every: '500ms' },
        ],
      },
    ],
  })
  const value = async (device: string, name: string) =>
    (await gateway.readings(`?device=${device}&name=${name}`)).find((reading) => reading.name === name)
  t.match(await until('the meter shows', async () => value('solar', 'power')), { value: -85.4, unit: 'W' })
  t.match(await value('solar', 'energy_import'), { value: 12.5, unit: 'kWh' })
  t.match(await until('the relay shows', async () => value('valves', 'relay3')), { value: false })

  const command = (payload: unknown) =>
    gateway.fetch('/api/v1/devices/valves/commands', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ payload }),
    })
  t.equal((await command({ relay3: 'ON' })).status, 202)
  t.equal(slave.unit(2).coils.get(2), true)
  await until('the new state shows', async () => (await value('valves', 'relay3'))?.value === true)
  const refused = await command({ relay9: 'ON' })
  t.ok(refused.status >= 400)
  t.match(await refused.json(), { detail: /relay9/ })

  slave.unit(1).manner = 'silent'
  const about = async () => (await gateway.status()).sources.find(({ name }) => name === 'bus')
  await until('the status names the silent unit', async () =>
    /^1 of 2 units without answer \(1\)/.test((await about())?.reason ?? ''),
  )
  t.match(await about(), { state: 'ok', detail: { 'unit 2': 'valves: online' } })
  const presence = async () => (await gateway.json<{ presence?: string }>('/api/v1/devices/solar')).presence
  await until('the meter is offline', async () => (await presence()) === 'offline')
  const stopped = await gateway.stop()
  t.equal(stopped.code, 0)
})
