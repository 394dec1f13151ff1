// A serial device from its plug to the dashboard's API: a telegram becomes readings, an unplug is told and survived, and a
// command is written back.

import { mkdir, writeFile } from 'node:fs/promises'
import { test } from 'tap'
import { temporaryDirectory } from '../support/directory.ts'
import { startGateway } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { SerialPair } from '../support/serial-pair.ts'
import { until } from '../support/until.ts'

/** As in any year of the standard: no CRC before version 4. */
const TELEGRAM = ['/ISk5\\2MT382-1000', '', '1-0:1.8.1(012345.678*kWh)', '1-0:1.7.0(0001.19*kW)', '!', ''].join('\r\n')

const profile = `name: test-meter
title: A meter of this test
source: https://example.com/meter
about: One line is one value.
serial: { baudRate: 9600, framing: { type: delimiter, start: "<", end: ">", strip: true }, write: { terminator: "\\n" } }
rules:
  - { decoder: scalar, name: level, fields: [ { match: level, unit: m } ] }
examples:
  - { topic: meter, payload: '12.5', fault: x }
`

test('a serial device is one path and one profile: readings, unplug, re-plug, command', needs('socat'), async (t) => {
  const directory = await temporaryDirectory(t)
  const cables = ['tty0', 'tty1'].map((name) => new SerialPair(directory, name))
  const [well, meter] = cables as [SerialPair, SerialPair]
  for (const cable of cables) {
    t.teardown(() => cable.unplug())
    await cable.plug()
  }
  await mkdir(`${directory}/devices`)
  await writeFile(`${directory}/devices/test-meter.yaml`, profile)
  const gateway = await startGateway(t, {
    gateway: { devices: [`${directory}/devices`] },
    sources: [
      { name: 'well', type: 'serial', path: well.path, profile: 'test-meter', device: 'well' },
      { name: 'meter', type: 'serial', path: meter.path, profile: 'dsmr', device: 'house/meter' },
    ],
  })
  const source = async (name: string) => {
    const status = (await (await gateway.fetch('/api/v1/status')).json()) as {
      sources: { name: string; state: string }[]
    }
    return status.sources.find((one) => one.name === name)
  }
  const value = async (device: string, name: string) => {
    const response = await gateway.fetch(`/api/v1/readings?device=${encodeURIComponent(device)}`)
    const { readings } = (await response.json()) as { readings: { name: string; value: unknown; unit?: string }[] }
    return readings.find((reading) => reading.name === name)
  }

  await well.write('9><12.5>')
  await meter.write(`1-0:1.7.0(9*kW)\r\n!\r\n${TELEGRAM}`)
  await until('the level', async () => (await value('well', 'level'))?.value === 12.5)
  t.match(await value('well', 'level'), { unit: 'm' })
  const meters = await until('the telegram', async () => {
    const response = await gateway.fetch('/api/v1/readings?device=house%2Fmeter')
    const { readings } = (await response.json()) as { readings: { value: unknown; unit?: string }[] }
    return readings.length > 0 && readings
  })
  t.ok(meters.some(({ value: energy }) => energy === 12345.678))

  await well.unplug()
  await until('the status says so', async () => (await source('well'))?.state === 'degraded')
  t.match(await source('well'), { reason: /plug/ })
  await well.plug()
  await until('it is found again', async () => (await source('well'))?.state === 'ok')
  await well.write('<13>')
  await until('the next level', async () => (await value('well', 'level'))?.value === 13)

  const answer = await gateway.fetch('/api/v1/devices/well/commands', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload: 'pump on' }),
  })
  t.equal(answer.status, 202)
  t.equal(await well.read(), 'pump on\n')

  const metrics = await (await gateway.fetch('/metrics')).text()
  t.match(metrics, /tidegate_serial_closings_total\{source="well",reason="unplugged"\} 1/)
  t.match(metrics, /tidegate_messages_received_total\{source="meter"\} 1/)
  t.equal((await gateway.stop()).code, 0)
})
