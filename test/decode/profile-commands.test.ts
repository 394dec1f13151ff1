// What the commands of the built-in profiles make of a request: topics and payloads as the manuals of the devices have them.

import { test } from 'tap'
import { commandRequest } from '../../src/commands/request.ts'
import { deviceCaptures, writeCommand } from '../../src/commands/writing.ts'
import { profiles } from '../support/profiles.ts'

interface Body {
  readonly command: string
  readonly value?: unknown
  readonly parameters?: Readonly<Record<string, unknown>>
}

const written = (profile: string, device: string, body: Body): string => {
  const command = profiles
    .find(({ name }) => name === profile)
    ?.commands?.find(({ name, ...rest }) => name === body.command && deviceCaptures({ name, ...rest }, device))
  const request = commandRequest(body)
  const captures = command === undefined ? undefined : deviceCaptures(command, device)
  if (command === undefined || captures === undefined || request.kind !== 'named')
    throw new Error(`${device} has no such command`)
  const { topic, payload } = writeCommand(command, captures, request)
  return `${topic} ${payload}`
}

const CASES: readonly (readonly [string, string, Body, string])[] = [
  ['tasmota', 'plug', { command: 'power', value: true }, 'cmnd/plug/POWER ON'],
  ['tasmota', 'plug', { command: 'power', value: false, parameters: { relay: '2' } }, 'cmnd/plug/POWER2 OFF'],
  ['tasmota', 'lamp', { command: 'dimmer', value: 40 }, 'cmnd/lamp/Dimmer 40'],
  [
    'zigbee2mqtt',
    'zigbee2mqtt/hall/lamp',
    { command: 'state', value: true },
    'zigbee2mqtt/hall/lamp/set {"state":"ON"}',
  ],
  ['zigbee2mqtt', 'zigbee2mqtt/lamp', { command: 'brightness', value: 254 }, 'zigbee2mqtt/lamp/set {"brightness":254}'],
  ['shelly-gen1', 'shellies/x-1', { command: 'relay', value: true }, 'shellies/x-1/relay/0/command on'],
  ['shelly-gen1', 'shellies/x-1', { command: 'roller-position', value: 30 }, 'shellies/x-1/roller/0/command/pos 30'],
  ['shelly-gen2', 'house/shelly', { command: 'switch', value: false }, 'house/shelly/command/switch:0 off'],
  ['opendtu', 'solar/1161', { command: 'limit', value: 300 }, 'solar/1161/cmd/limit_nonpersistent_absolute 300'],
  ['evcc', 'evcc/loadpoints/1', { command: 'mode', value: 'pv' }, 'evcc/loadpoints/1/mode/set pv'],
  ['wled', 'wled/a1', { command: 'brightness', value: 0 }, 'wled/a1 0'],
]

for (const [profile, device, body, expected] of CASES)
  test(`${profile}: ${JSON.stringify(body)} becomes ${expected}`, async (t) => {
    t.equal(written(profile, device, body), expected)
  })

test('what a device must not be told is refused, and who has no such command has none', async (t) => {
  t.throws(() => written('tasmota', 'plug', { command: 'dimmer', value: 101 }), { code: 'TG_BAD_REQUEST' })
  t.throws(() => written('zigbee2mqtt', 'zigbee2mqtt/x', { command: 'state', value: 'sideways' }), {
    code: 'TG_BAD_REQUEST',
  })
  t.throws(() => written('wled', 'wled/a1', { command: 'brightness', value: 1.5 }), { code: 'TG_BAD_REQUEST' })
  t.throws(() => written('tasmota', 'two/levels', { command: 'power', value: true }), /no such command/)
})
