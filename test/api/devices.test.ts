import { test } from 'tap'
import type { Command } from '../../src/core/contract.ts'
import { TidegateError } from '../../src/core/errors.ts'
import { startApi } from '../support/api-server.ts'

test('devices are listed with when they were last heard, their profile and their faults', async (t) => {
  const { meter, publish, url } = await startApi(t)
  await publish('house/attic', '{"temperature":20,"humidity":50}')
  await publish('house/cellar', '{"temperature":')
  const { seq, devices } = await (await fetch(`${url}/api/v1/devices`)).json()
  t.equal(seq, 2)
  t.match(devices, [
    { device: 'house/attic', profile: 'generic', source: 'broker', lastSeq: 1, values: 2, faults: 0, stale: false },
    { device: 'house/cellar', lastSeq: 2, values: 0, faults: 1, lastFault: { seq: 2, time: String, reason: String } },
  ])
  t.match(devices[0].lastHeard, /^\d{4}-.*Z$/)
  t.equal(meter.values.get('decode_faults_total{profile=generic}'), 1)
})

test('one device is found by its name, percent-encoded or not, and shows its values', async (t) => {
  const { publish, url } = await startApi(t)
  for (const device of ['house/attic', 'Küche am Hof', '50%', 'a/commands'])
    await publish(device, `{"who":${JSON.stringify(device)}}`)
  for (const path of ['house/attic', 'house%2Fattic', 'K%C3%BCche%20am%20Hof', '50%25', 'a/commands']) {
    const response = await fetch(`${url}/api/v1/devices/${path}`)
    t.equal(response.status, 200, path)
    const body = await response.json()
    t.equal(body.device, decodeURIComponent(path))
    t.match(body.readings, [{ name: 'who', value: body.device }])
    t.equal(body.values, 1)
  }
  const unknown = await fetch(`${url}/api/v1/devices/nowhere`)
  t.equal(unknown.status, 404)
  t.match(await unknown.json(), { code: 'TG_NOT_FOUND', detail: /nowhere/ })
})

test('a command is answered with an id once the source took it', async (t) => {
  const sent: Command[] = []
  const send = async (command: Command) => {
    if (command.device === 'deaf') throw new TidegateError('TG_COMMAND_UNDELIVERABLE', 'no source reaches it')
    sent.push(command)
  }
  const { url } = await startApi(t, { api: { send } })
  const post = (device: string, body: unknown) =>
    fetch(`${url}/api/v1/devices/${device}/commands`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const accepted = await post('house%2Flamp', { topic: 'house/lamp/set', payload: 'ON', qos: 1 })
  t.equal(accepted.status, 202)
  t.equal((await accepted.json()).id, sent[0]?.id)
  t.match(sent, [{ device: 'house/lamp', topic: 'house/lamp/set', qos: 1 }])
  t.equal(sent[0]?.payload.toString(), 'ON')
  t.equal((await post('house/lamp', { payload: { on: true } })).status, 202)
  t.equal(sent[1]?.payload.toString(), '{"on":true}')
  t.equal((await post('deaf', { payload: 'x' })).status, 409)
  for (const body of [{}, { payload: 'x', qos: 3 }, { payload: 'x', topic: 'a/+' }, [], null])
    t.equal((await post('house/lamp', body)).status, 400, JSON.stringify(body))
  const wrong = await fetch(`${url}/api/v1/devices/house/lamp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  t.equal(wrong.status, 405)
})

test('without a source that takes commands they are undeliverable', async (t) => {
  const { url } = await startApi(t)
  const response = await fetch(`${url}/api/v1/devices/lamp/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"payload":"ON"}',
  })
  t.equal(response.status, 409)
  t.match(await response.json(), { code: 'TG_COMMAND_UNDELIVERABLE' })
})
