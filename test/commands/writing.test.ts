import { test } from 'tap'
import { commandRequest } from '../../src/commands/request.ts'
import { deviceCaptures, writeCommand } from '../../src/commands/writing.ts'
import type { ProfileCommand } from '../../src/core/profile.ts'

const write = (command: ProfileCommand, body: object, device = 'house/lamp') => {
  const request = commandRequest({ command: command.name, ...body })
  const captures = deviceCaptures(command, device)
  if (request.kind !== 'named' || captures === undefined) throw new Error('not a command of this device')
  const { topic, payload, qos } = writeCommand(command, captures, request)
  return `${topic} ${qos} ${payload}`
}

const label: ProfileCommand = {
  name: 'label',
  topic: '{device}/set',
  payload: { label: '{value}', note: 'says {value}', keep: [1, true, null, '{value}'] },
  parameters: { value: { type: 'string' } },
}

const hostile = [
  '"}',
  '","admin":true,"x":"',
  '\\',
  '\\"',
  '{device}',
  '{value}',
  '$&$1$$',
  '__proto__',
  '</script>',
  '\u00e4\u{1f600}',
]

test('a text cannot break out of a JSON payload, nor become a template', async (t) => {
  for (const value of hostile) {
    const written = write(label, { value })
    const parsed = JSON.parse(written.slice('house/lamp/set 1 '.length))
    t.same(parsed, { label: value, note: `says ${value}`, keep: [1, true, null, value] }, value)
  }
})

test('control characters and broken Unicode are refused: a line break would begin a second command', async (t) => {
  const line: ProfileCommand = { name: 'say', payload: 'SAY {value}\n', parameters: { value: { type: 'string' } } }
  t.equal(write(line, { value: 'hello' }), 'undefined 1 SAY hello\n')
  for (const value of ['a\nRESET', 'a\r', 'a\0b', '\u001b[2J', '\u2028', '\ud800', 'x'.repeat(257)])
    t.throws(() => write(line, { value }), { code: 'TG_BAD_REQUEST' }, `${value.length} from ${value.charCodeAt(0)}`)
})

test('a value is one level of a topic', async (t) => {
  const relay: ProfileCommand = {
    name: 'power',
    topic: 'cmnd/{device}/POWER{relay}',
    payload: '{value}',
    parameters: {
      relay: { type: 'string', default: '' },
      value: { type: 'boolean', sends: { true: 'ON', false: 'OFF' } },
    },
  }
  t.equal(write(relay, { value: true }, 'plug'), 'cmnd/plug/POWER 1 ON')
  t.equal(write(relay, { parameters: { relay: '2', value: false } }, 'plug'), 'cmnd/plug/POWER2 1 OFF')
  const room = { ...relay, topic: 'cmnd/{relay}/POWER' }
  t.equal(write(room, { parameters: { relay: 'hall', value: true } }), 'cmnd/hall/POWER 1 ON')
  t.throws(() => write(room, { value: true }), { code: 'TG_BAD_REQUEST' }, 'an empty level')
  for (const name of ['2/x', '+', '#', '/..'])
    t.throws(() => write(relay, { parameters: { relay: name, value: true } }), { code: 'TG_BAD_REQUEST' }, name)
})

test('no command goes to topics of the server, whatever device or value would make one', async (t) => {
  const direct: ProfileCommand = {
    name: 'x',
    topic: '{value}/set',
    payload: '1',
    parameters: { value: { type: 'string' } },
  }
  t.throws(() => write(direct, { value: '$SYS' }), { code: 'TG_BAD_REQUEST' })
  t.throws(() => write({ ...direct, topic: '{device}/set' }, { value: '1' }, '$tidegate'), { code: 'TG_BAD_REQUEST' })
  for (const topic of ['$SYS/x', 'a/#', '', 'a\0'])
    t.throws(() => commandRequest({ payload: 1, topic }), { code: 'TG_BAD_REQUEST' }, topic)
})

test('values of numbers, booleans and lists are what the profile allows, and keep their type', async (t) => {
  const mode: ProfileCommand = {
    name: 'mode',
    payload: { mode: '{mode}', level: '{level}' },
    parameters: {
      mode: { type: 'string', values: ['eco', 'boost'] },
      level: { type: 'number', range: [0, 10], default: 5 },
    },
  }
  t.equal(write(mode, { parameters: { mode: 'eco' } }), 'undefined 1 {"mode":"eco","level":5}')
  t.equal(write(mode, { parameters: { mode: 'boost', level: 0 } }), 'undefined 1 {"mode":"boost","level":0}')
  const refusals: readonly (readonly [object, RegExp])[] = [
    [{ mode: 'fast' }, /one of "eco", "boost"/],
    [{ mode: 'eco', level: 10.01 }, /from 0 to 10/],
    [{ mode: 'eco', level: '5' }, /a number/],
    [{ mode: 'eco', level: null }, /a number/],
    [{ mode: 1 }, /a text/],
    [{ mode: 'eco', toString: 1 }, /no parameter 'toString'/],
    [JSON.parse('{"mode":"eco","__proto__":1}'), /no parameter '__proto__'/],
  ]
  for (const [parameters, message] of refusals)
    t.throws(() => write(mode, { parameters }), { code: 'TG_BAD_REQUEST', message }, JSON.stringify(parameters))
})

test('a command is for the devices that its patterns name, and captures what they say', async (t) => {
  const command: ProfileCommand = {
    name: 'x',
    devices: ['sites/{site}/{unit...}'],
    topic: 'c/{site}/{unit}',
    payload: '',
  }
  t.equal(write(command, {}, 'sites/north/pump/1'), 'c/north/pump/1 1 ')
  t.equal(deviceCaptures(command, 'elsewhere/x'), undefined)
})

test('what is no request says what is wrong with it', async (t) => {
  for (const body of [null, 1, 'x', [], {}, { command: '' }, { command: 1 }, { command: 'x', parameters: [] }])
    t.throws(() => commandRequest(body), { code: 'TG_BAD_REQUEST' }, JSON.stringify(body))
  for (const id of [1, '', ' ', 'a b', 'x'.repeat(65), '../x'])
    t.throws(() => commandRequest({ payload: 1, id }), { code: 'TG_BAD_REQUEST', message: /'id'/ }, String(id))
  t.throws(() => commandRequest({ payload: 'x'.repeat(300_000) }), { code: 'TG_MESSAGE_TOO_LARGE' })
})
