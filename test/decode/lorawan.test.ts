// The dialect of LoRaWAN network servers, beyond the examples of the profiles the-things-stack and chirpstack.

import { test } from 'tap'
import type { Decoding } from '../../src/core/contract.ts'
import { brief, messageOn } from '../support/decoding.ts'
import { router } from '../support/profiles.ts'

const uplink = (message: string, outer = ''): Decoding =>
  router.decode(messageOn('v3/app1@ttn/devices/dev1/up', `{${outer}"uplink_message":{${message}}}`))
const valueNamed = (decoding: Decoding, name: string) => decoding.readings.find((one) => one.name === name)?.value

const LORA = '"settings":{"data_rate":{"lora":{"spreading_factor":7}}}'

test('fields of the server that are 0 are not there, and count as 0 where that is certain', async (t) => {
  const first = uplink(`"f_port":1,"frm_payload":"AA==","rx_metadata":[{"rssi":-30}],${LORA}`)
  t.equal(valueNamed(first, 'f_cnt'), 0)
  t.equal(valueNamed(first, 'snr'), 0, 'a LoRa frame has a ratio')
  t.equal(
    valueNamed(uplink('"frm_payload":"AA==","rx_metadata":[{"rssi":-30}]'), 'snr'),
    undefined,
    'an FSK frame has none',
  )
  t.equal(valueNamed(uplink('"frm_payload":"AA=="'), 'f_port'), undefined, 'a frame without a port')
})

test('a value that the formatter left out is not made up', async (t) => {
  const both = uplink('"decoded_payload":{"temperature":0,"open":false,"text":""}')
  t.strictSame(brief(both), ['temperature=0', 'open=false', 'text=""', 'f_cnt=0'])
  t.strictSame(brief(uplink('"decoded_payload":{}')), ['f_cnt=0'])
  t.match(uplink('"decoded_payload":{"temperature":nan}').doubtful, [{ name: 'temperature', reason: 'faulty' }])
})

test('received_at of the network server is the time, else that of the application server, else the arrival', async (t) => {
  const times = [
    uplink('"received_at":"2026-11-20T10:00:00.123456789Z"', '"received_at":"2026-11-20T10:00:01Z",'),
    uplink('"f_cnt":1', '"received_at":"2026-11-20T10:00:01Z",'),
    uplink('"received_at":"2026-11-20T10:00:00"'),
    uplink('"rx_metadata":[{"time":"2019-01-29T13:02:34Z","rssi":-1}]'),
  ].map(({ readings }) => readings[0]?.timeMs)
  t.strictSame(times, [Date.UTC(2026, 10, 20, 10, 0, 0, 123), Date.UTC(2026, 10, 20, 10, 0, 1), undefined, undefined])
})

test('measurements of a common form keep their own times', async (t) => {
  const at = (hour: number) => `2026-11-20T0${hour}:00:00Z`
  const { readings } = uplink(
    `"normalized_payload":[{"time":"${at(8)}","air":{"temperature":1}},{"time":"${at(9)}","air":{"temperature":2}},7]`,
    `"received_at":"${at(9)}",`,
  )
  const temperatures = readings.filter(({ name }) => name === 'normalized.air.temperature')
  t.strictSame(
    temperatures.map(({ value, unit, timeMs }) => [value, unit, timeMs]),
    [
      [1, 'Cel', Date.parse(at(8))],
      [2, 'Cel', Date.parse(at(9))],
    ],
  )
})

test('integers beyond 2^53 keep their digits, and __proto__ is a name like any other', async (t) => {
  const decoding = uplink('"decoded_payload":{"serial":12345678901234567890,"__proto__":{"polluted":1}}')
  t.strictSame(brief(decoding), ['serial="12345678901234567890"', '__proto__.polluted=1', 'f_cnt=0'])
  t.notOk('polluted' in {})
})

test('what is no uplink, or of a wrong form, is a fault and never a crash', async (t) => {
  for (const text of ['{}', '{"uplink_message":1}', '{"uplink_message":null}', '{"uplink_message":{'])
    t.match(router.decode(messageOn('v3/a/devices/b/up', text)), {
      profile: 'the-things-stack',
      readings: [],
      fault: String,
    })
  const odd = uplink(
    '"decoded_payload":[1],"normalized_payload":{"a":1},"rx_metadata":[null,7,{"rssi":"x"}],"f_cnt":null,"settings":[]',
  )
  t.strictSame(brief(odd), ['f_cnt=0', 'gateways=3'])
  const many = `"rx_metadata":[${Array(1001).fill('{}').join(',')}]`
  t.match(uplink(many).fault, /more than 1000/)
})
