import { test } from 'tap'
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
