import { test } from 'tap'
import type { Command } from '../../src/core/contract.ts'
import { TidegateError } from '../../src/core/errors.ts'
import type { DeviceProfile } from '../../src/core/profile.ts'
import { startApi } from '../support/api-server.ts'
import { profileOf } from '../support/decoding.ts'
import { liveClient } from '../support/live-client.ts'
import { until } from '../support/until.ts'

const lamp: DeviceProfile = profileOf(
  'lamp',
  [{ topics: ['lamps/{device}/state'], decoder: 'json', device: 'lamps/{device}' }],
  {
    rawCommands: false,
    commands: [
      {
        name: 'power',
        title: 'Switches it',
        devices: ['lamps/{lamp}'],
        topic: 'lamps/{lamp}/set',
        payload: { state: '{value}', text: 'now {value}' },
        parameters: { value: { type: 'boolean', sends: { true: 'ON', false: 'OFF' } } },
      },
      {
        name: 'dim',
        topic: '{device}/set',
        payload: { brightness: '{level}', transition: '{seconds}' },
        qos: 0,
        parameters: {
          level: { type: 'number', range: [0, 254], integer: true },
          seconds: { type: 'number', default: 0 },
        },
      },
    ],
  },
)

const post = (url: string, device: string, body: unknown, headers = {}) =>
  fetch(`${url}/api/v1/devices/${device}/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

test('a command is answered with an id once the source took it', async (t) => {
  const sent: Command[] = []
  const send = async (command: Command) => {
    if (command.device === 'deaf') throw new TidegateError('TG_COMMAND_UNDELIVERABLE', 'no source reaches it')
    sent.push(command)
  }
  const { publish, url } = await startApi(t, { send })
  const accepted = await post(url, 'house%2Flamp', { topic: 'house/lamp/set', payload: 'ON', qos: 1 })
  t.equal(accepted.status, 202)
  t.equal((await accepted.json()).id, sent[0]?.id)
  t.match(sent, [{ device: 'house/lamp', topic: 'house/lamp/set', qos: 1 }])
  t.equal(sent[0]?.payload.toString(), 'ON')
  t.equal((await post(url, 'house/lamp', { payload: 'x' })).status, 409, 'nobody heard it')
  await publish('house/lamp', '{"on":false}')
  t.equal((await post(url, 'house/lamp', { payload: { on: true } })).status, 202)
  t.equal(sent[1]?.payload.toString(), '{"on":true}')
  t.equal((await post(url, 'deaf', { payload: 'x', topic: 'a/b' })).status, 409)
  for (const body of [
    {},
    { payload: 'x', qos: 3 },
    { payload: 'x', topic: 'a/+' },
    { payload: 1, topic: '$SYS/x' },
    [],
    null,
  ])
    t.equal((await post(url, 'house/lamp', body)).status, 400, JSON.stringify(body))
  const wrong = await fetch(`${url}/api/v1/devices/house/lamp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  t.equal(wrong.status, 405)
  t.equal(sent.length, 2)
})

test('without a source that takes commands they are undeliverable', async (t) => {
  const { url } = await startApi(t)
  const response = await post(url, 'lamp', { payload: 'ON', topic: 'lamp/set' })
  t.equal(response.status, 409)
  t.match(await response.json(), { code: 'TG_COMMAND_UNDELIVERABLE' })
})

test('the device says which commands its profile offers, and these are checked and written by it', async (t) => {
  const sent: Command[] = []
  const { publish, url } = await startApi(t, { profiles: [lamp], send: async (command) => void sent.push(command) })
  await publish('lamps/hall/state', '{"state":"ON"}')
  const device = await (await fetch(`${url}/api/v1/devices/lamps/hall`)).json()
  t.match(device.commands, [
    { name: 'power', title: 'Switches it', parameters: { value: { type: 'boolean' } } },
    { name: 'dim', parameters: { level: { range: [0, 254] } } },
  ])
  t.notOk('topic' in device.commands[0])
  t.equal((await post(url, 'lamps/hall', { command: 'power', value: false })).status, 202)
  t.equal((await post(url, 'lamps/hall', { command: 'dim', parameters: { level: 20 } })).status, 202)
  t.same(
    sent.map(({ topic, payload, qos }) => [topic, payload.toString(), qos]),
    [
      ['lamps/hall/set', '{"state":"OFF","text":"now OFF"}', 1],
      ['lamps/hall/set', '{"brightness":20,"transition":0}', 0],
    ],
  )
  const refusals: readonly (readonly [object, RegExp])[] = [
    [{ command: 'blink' }, /no command 'blink'; it has 'power', 'dim'/],
    [{ command: 'power' }, /needs the parameter 'value'/],
    [{ command: 'power', value: 'ON' }, /'value' .* must be true or false/],
    [{ command: 'dim', parameters: { level: 255 } }, /is 255, and must be from 0 to 254/],
    [{ command: 'dim', parameters: { level: 1.5 } }, /whole number/],
    [{ command: 'dim', parameters: { level: 1, colour: 2 } }, /no parameter 'colour'; it has 'level', 'seconds'/],
    [{ command: 'dim', value: 1 }, /'parameters'/],
    [{ command: 'power', value: true, topic: 'x' }, /exclude/],
    [{ payload: 'ON' }, /'command' only, which is 'power', 'dim'/],
  ]
  for (const [body, detail] of refusals) {
    const response = await post(url, 'lamps/hall', body)
    t.equal(response.status, 400, JSON.stringify(body))
    t.match(await response.json(), { code: 'TG_BAD_REQUEST', detail })
  }
  t.equal(sent.length, 2)
})

test('what became of commands is read from the log, which no client can write it into', async (t) => {
  let fails = false
  const send = async () => {
    if (fails) throw new Error('the cable is out')
  }
  const { live, publish, url } = await startApi(t, { profiles: [lamp], send })
  await publish('lamps/hall/state', '{"state":"ON"}')
  const list = async () => (await (await fetch(`${url}/api/v1/devices/lamps%2Fhall/commands`)).json()).commands
  t.same(await list(), [])
  t.equal((await fetch(`${url}/api/v1/devices/nowhere/commands`)).status, 404)
  t.equal((await post(url, 'lamps/hall', { command: 'power', value: true })).status, 202)
  fails = true
  const failed = await post(url, 'lamps/hall', { command: 'power', value: false })
  t.equal(failed.status, 409)
  t.match(await failed.json(), { detail: /cable/ })
  await publish('$tidegate/commands/lamps/hall', JSON.stringify({ id: 'forged', device: 'lamps/hall', at: 0 }))
  await until('both outcomes are in the log', async () =>
    (await list()).every(({ outcome }: { outcome: string }) => outcome !== 'pending'),
  )
  t.match(await list(), [
    { command: 'power', outcome: 'failed', error: /cable/, payload: /OFF/, by: 'rest', source: 'broker' },
    { command: 'power', outcome: 'sent', payload: /ON/, topic: 'lamps/hall/set', seq: 2 },
  ])
  t.equal((await list()).length, 2)
  const { devices } = await (await fetch(`${url}/api/v1/devices`)).json()
  t.notOk(
    devices.some(({ source }: { source: string }) => source.startsWith('$')),
    'audit entries are no device',
  )
  t.equal(live.state.faultCount, 0)
})

test('the same id is sent once, and another command under it is refused', async (t) => {
  const sent: Command[] = []
  const { publish, url } = await startApi(t, { profiles: [lamp], send: async (command) => void sent.push(command) })
  await publish('lamps/hall/state', '{"state":"ON"}')
  const body = { id: 'press-1', command: 'power', value: true }
  const answers = await Promise.all([1, 2, 3].map(() => post(url, 'lamps/hall', body)))
  t.same(
    answers.map(({ status }) => status),
    [202, 202, 202],
  )
  t.same(await answers[0]?.json(), { id: 'press-1' })
  t.equal(sent.length, 1)
  t.equal((await post(url, 'lamps/hall', { ...body, value: false })).status, 400)
  t.equal(sent.length, 1)
})

test('over the WebSocket the same commands go the same way, under the name of the token', async (t) => {
  const sent: Command[] = []
  const hash = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' // test
  const headers = { authorization: 'Bearer test' }
  const { publish, url } = await startApi(t, {
    api: { tokens: [{ name: 'panel', hash }] },
    profiles: [lamp],
    send: async (command) => void sent.push(command),
  })
  await publish('lamps/hall/state', '{"state":"ON"}')
  const client = liveClient(t, url)
  await client.next('hello')
  client.send({ type: 'auth', token: 'test' })
  await client.next('authorized')
  client.send({ type: 'command', id: 1, device: 'lamps/hall', command: 'dim', parameters: { level: 3 } })
  t.match(await client.next('accepted'), { id: 1, command: sent[0]?.id })
  client.send({ type: 'command', id: 2, device: 'lamps/hall', command: 'dim', parameters: { level: -1 } })
  t.match(await client.next('error'), { id: 2, code: 'TG_BAD_REQUEST', message: /from 0 to 254/ })
  client.send({ type: 'command', id: 3, payload: 'x' })
  await until('it is refused too', () => client.messages.some(({ type, id }) => type === 'error' && id === 3))
  t.equal((await post(url, 'lamps/hall', { command: 'power', value: true }, headers)).status, 202)
  const { commands } = await (await fetch(`${url}/api/v1/devices/lamps%2Fhall/commands`, { headers })).json()
  t.match(commands, [{ by: 'rest:panel' }, { by: 'ws:panel' }])
})

test('a command that cannot be written into the log is not sent', async (t) => {
  const sent: Command[] = []
  const { log, publish, url } = await startApi(t, { send: async (command) => void sent.push(command) })
  await publish('house/lamp', '{"on":false}')
  log.fail(new TidegateError('TG_LOG_WRITE', 'the disk is full'))
  const response = await post(url, 'house/lamp', { payload: 'ON' })
  t.equal(response.status, 503)
  t.match(await response.json(), { code: 'TG_UNAVAILABLE', detail: /not sent/ })
  t.equal(sent.length, 0)
})
