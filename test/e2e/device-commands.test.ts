// Commands and presence through the built program, with clients that are not ours: a profile's command reaches mosquitto_sub, its
// audit entries outlive kill -9 and reach the upstream's account, and a killed client is offline by its will.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { test } from 'tap'
import { type Gateway, prepareGateway } from '../support/gateway.ts'
import { mosquittoPub, mosquittoSub } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

const clients = needs('mosquitto-clients')

const PROFILE = `name: valve
title: Valve of the tests
source: https://example.com/
about: A valve.
rules:
  - topics: ['valves/{device}/state']
    decoder: json
    device: 'valves/{device}'
commands:
  - name: open
    topic: '{device}/set'
    payload: { percent: '{percent}', note: 'by "{who}"' }
    parameters:
      percent: { type: number, range: [0, 100], integer: true, unit: '%' }
      who: { type: string, default: nobody }
examples:
  - { topic: valves/north/state, payload: '{"percent":5}', device: valves/north, readings: [{ name: percent, value: 5 }] }
`

interface Recorded {
  readonly outcome: string
  readonly id: string
}

const post = (gateway: Gateway, device: string, body: object) =>
  gateway.fetch(`/api/v1/devices/${encodeURIComponent(device)}/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const recorded = async (gateway: Gateway) =>
  (await gateway.json<{ commands: readonly Recorded[] }>('/api/v1/devices/valves%2Fnorth/commands')).commands

test('a command of a profile reaches the device, and its record outlives kill -9', clients, async (t) => {
  const gateway = await prepareGateway(t, { gateway: { devices: ['profiles'] } })
  await mkdir(join(gateway.directory, 'profiles'))
  await writeFile(join(gateway.directory, 'profiles', 'valve.yaml'), PROFILE)
  await gateway.start()
  await mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'valves/north/state', '-m', '{"percent":0}')
  const received = mosquittoSub(gateway.mqttPort, 2, 20_000, '-q', '1', '-t', 'valves/north/set')
  const body = { command: 'open', parameters: { percent: 40, who: 'me", "percent": 100, "x": "' } }
  const id = await until('the subscriber is there', async () => {
    const response = await post(gateway, 'valves/north', body)
    if (response.status === 202) return ((await response.json()) as { id: string }).id
    t.equal(response.status, 409)
    return undefined
  })
  t.equal((await post(gateway, 'valves/north', { command: 'open', parameters: { percent: 101 } })).status, 400)
  t.equal((await post(gateway, 'valves/north', { payload: 'raw', topic: 'valves/north/set' })).status, 202)
  const [first = '', second] = await received
  t.same(JSON.parse(first), { percent: 40, note: 'by "me", "percent": 100, "x": ""' })
  t.equal(second, 'raw')
  await until('the outcomes are in the log', async () =>
    (await recorded(gateway)).every(({ outcome }) => outcome !== 'pending'),
  )
  const before = await recorded(gateway)
  await gateway.kill()
  await gateway.start()
  t.same(await recorded(gateway), before)
  t.ok(before.some((command) => command.id === id && command.outcome === 'sent'))
  const { devices } = await gateway.json<{ devices: readonly { device: string }[] }>('/api/v1/devices')
  t.same(
    devices.map(({ device }) => device),
    ['valves/north'],
    'audit entries are no device',
  )
})

test('no client can publish to topics of the gateway', clients, async (t) => {
  const gateway = await prepareGateway(t)
  await gateway.start()
  const topic = '$tidegate/commands/valves/north'
  await t.rejects(mosquittoPub(gateway.mqttPort, '-q', '1', '-t', topic, '-m', '{"id":"forged"}'))
  await t.rejects(
    mosquittoPub(gateway.mqttPort, '-q', '1', '-t', 'a', '-m', 'x', '--will-topic', topic, '--will-payload', 'x'),
  )
  t.equal((await gateway.status()).seq, 0)
})

test('a Tasmota plug that dies is offline by its will and stale at once, and back with its birth', async (t) => {
  const gateway = await prepareGateway(t)
  await gateway.start()
  const will = { topic: 'tele/plug/LWT', payload: Buffer.from('Offline'), qos: 1, retain: true } as const
  const url = `mqtt://127.0.0.1:${gateway.mqttPort}`
  const plug = await connectAsync(url, { will, reconnectPeriod: 0 })
  await plug.publishAsync('tele/plug/LWT', 'Online', { qos: 1, retain: true })
  await plug.publishAsync('tele/plug/SENSOR', '{"ENERGY":{"Power":12}}', { qos: 1 })
  const shown = () =>
    gateway.json<Record<string, unknown>>('/api/v1/devices/plug').catch((): Record<string, unknown> => ({}))
  await until('it is online', async () => (await shown())['presence'] === 'online')
  t.match(await shown(), { stale: false, presenceSince: { seq: 1 } })
  plug.stream.destroy()
  await until('it is offline', async () => (await shown())['presence'] === 'offline')
  t.match(await shown(), { stale: true, staleReason: 'offline', profile: 'tasmota' })
  t.equal(await gateway.metric('tidegate_devices_stale'), 1)
  t.equal((await gateway.status()).live.stale, 1)
  const back = await connectAsync(url, { will })
  t.teardown(() => back.endAsync(true))
  await back.publishAsync('tele/plug/LWT', 'Online', { qos: 1, retain: true })
  await until('it is back', async () => (await shown())['presence'] === 'online')
  t.match(await shown(), { stale: false })
  await gateway.kill()
  await gateway.start()
  await until('it is known again', async () => (await shown())['presence'] === 'online')
})
