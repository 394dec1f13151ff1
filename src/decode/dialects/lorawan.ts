// The dialect 'lorawan': uplinks as LoRaWAN network servers publish them over MQTT, The Things Stack v3 and ChirpStack v4.
//
// What the device measured stands in an object that a payload formatter made; beside it stand the frame counter and, per
// gateway, how well the frame was heard. A gateway is a stranger to the device: only the best one is told.
// Both servers write proto3 JSON: a field of the server that is 0 is not there. For a counter, absence is therefore zero.
// What the device's own formatter leaves out is not known to be zero: no reading.

import type { Decoded } from '../../core/contract.ts'
import { DecodeError } from '../../core/errors.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { documentLeaves } from '../generic.ts'
import { parseJson } from '../json-text.ts'
import { Leaves } from '../leaves.ts'
import { payloadText } from '../payload.ts'
import { payloadTime } from '../time-field.ts'

type Json = Readonly<Record<string, unknown>>

interface Options {
  readonly server: 'the-things-stack' | 'chirpstack'
}

/** What both servers tell, in our words. */
interface Uplink {
  readonly time: unknown
  /** Made by the payload formatter. */
  readonly decoded: unknown
  /** Measurements in a common form, each with a time or without. */
  readonly normalized: readonly unknown[]
  /** The payload itself, Base64. */
  readonly raw: unknown
  readonly port: unknown
  readonly counter: unknown
  readonly spreadingFactor: unknown
  readonly receptions: readonly Reception[]
  readonly batteryPercent: unknown
}

interface Reception {
  readonly gateway: unknown
  readonly rssi: unknown
  readonly snr: unknown
}

/** More gateways than this never hear one frame: the list is not what it claims to be. */
const MAX_RECEPTIONS = 1_000

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'lorawan',
  schema: {
    description: 'Uplinks of LoRaWAN devices, as a network server publishes them',
    properties: {
      server: { enum: ['the-things-stack', 'chirpstack'], description: 'Whose JSON it is' },
    },
    required: ['server'],
  },
  create: (options) => {
    const read = (options as Options).server === 'chirpstack' ? chirpStackUplink : thingsStackUplink
    return {
      decode: ({ payload, device }) => {
        const text = payloadText(payload)
        const leaves = documentLeaves(text, parseJson(text), (document) => uplinkLeaves(device, read(document)))
        return decoded(leaves)
      },
    }
  },
}

const decoded = ({ readings, fault, doubtful }: Leaves): Decoded => ({
  readings,
  ...(fault === undefined ? {} : { fault }),
  ...(doubtful === undefined ? {} : { doubtful }),
})

const uplinkLeaves = (device: string, uplink: Uplink): Leaves => {
  const leaves = new Leaves(device, payloadTime(uplink.time, 'iso8601'))
  if (isObject(uplink.decoded)) leaves.walk(uplink.decoded, '', 0)
  else leaves.walk(uplink.raw, 'frm_payload', 0)
  walkNormalized(leaves, uplink.normalized)
  leaves.walk(uplink.batteryPercent, 'last_battery_percentage', 0)
  // A frame without a port carries nothing for the application; the port is not said to be 0 for it.
  leaves.walk(uplink.port, 'f_port', 0)
  leaves.walk(uplink.counter ?? 0, 'f_cnt', 0)
  leaves.walk(uplink.spreadingFactor, 'spreading_factor', 0)
  const best = bestReception(uplink.receptions)
  if (best !== undefined) {
    leaves.walk(best.rssi, 'rssi', 0)
    // Only LoRa modulation has a ratio; of a LoRa frame that lacks it, it was 0.
    leaves.walk(best.snr ?? (uplink.spreadingFactor === undefined ? undefined : 0), 'snr', 0)
    leaves.walk(best.gateway, 'gateway', 0)
    leaves.walk(uplink.receptions.length, 'gateways', 0)
  }
  return leaves
}

const walkNormalized = (leaves: Leaves, measurements: readonly unknown[]): void => {
  for (const [index, measurement] of measurements.entries()) {
    if (!isObject(measurement)) continue
    const { time, ...values } = measurement
    const ownMs = payloadTime(time, 'iso8601')
    // Measurements of the same time need names of their own.
    const name = measurements.length === 1 || ownMs !== undefined ? 'normalized' : `normalized.${index}`
    const before = leaves.readings.length
    leaves.walk(values, name, 0)
    if (ownMs !== undefined)
      leaves.readings.push(...leaves.readings.splice(before).map((reading) => ({ ...reading, timeMs: ownMs })))
  }
}

/** Where the frame was loudest. */
const bestReception = (receptions: readonly Reception[]): Reception | undefined =>
  receptions.reduce<Reception | undefined>(
    (best, one) => (best === undefined || loudness(one) > loudness(best) ? one : best),
    undefined,
  )

const loudness = ({ rssi }: Reception): number => (typeof rssi === 'number' ? rssi : Number.NEGATIVE_INFINITY)

// https://www.thethingsindustries.com/docs/integrations/data-formats/
const thingsStackUplink = (document: unknown): Uplink => {
  const message = object(document, 'uplink_message')
  if (message === undefined) throw new DecodeError("the payload has no 'uplink_message'")
  const settings = object(message, 'settings')
  return {
    // The network server's time is the earlier one; the application server adds its own around it.
    time: own(message, 'received_at') ?? own(document, 'received_at'),
    decoded: own(message, 'decoded_payload'),
    normalized: list(message, 'normalized_payload'),
    raw: own(message, 'frm_payload'),
    port: own(message, 'f_port'),
    counter: own(message, 'f_cnt'),
    spreadingFactor: own(object(object(settings, 'data_rate'), 'lora'), 'spreading_factor'),
    batteryPercent: own(object(message, 'last_battery_percentage'), 'value'),
    receptions: list(message, 'rx_metadata').map((reception) => ({
      gateway: own(object(reception, 'gateway_ids'), 'gateway_id'),
      rssi: own(reception, 'channel_rssi') ?? own(reception, 'rssi'),
      snr: own(reception, 'snr'),
    })),
  }
}

// https://www.chirpstack.io/docs/chirpstack/integrations/events.html
const chirpStackUplink = (document: unknown): Uplink => {
  if (!isObject(document) || object(document, 'deviceInfo') === undefined)
    throw new DecodeError("the payload has no 'deviceInfo'")
  const lora = object(object(object(document, 'txInfo'), 'modulation'), 'lora')
  return {
    time: own(document, 'time'),
    decoded: own(document, 'object'),
    normalized: [],
    raw: own(document, 'data'),
    port: own(document, 'fPort'),
    counter: own(document, 'fCnt'),
    spreadingFactor: own(lora, 'spreadingFactor'),
    batteryPercent: undefined,
    receptions: list(document, 'rxInfo').map((reception) => ({
      gateway: own(reception, 'gatewayId'),
      rssi: own(reception, 'rssi'),
      snr: own(reception, 'snr'),
    })),
  }
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const own = (value: unknown, key: string): unknown =>
  isObject(value) && Object.hasOwn(value, key) ? (value[key] ?? undefined) : undefined

const object = (value: unknown, key: string): Json | undefined => {
  const found = own(value, key)
  return isObject(found) ? found : undefined
}

const list = (value: unknown, key: string): readonly unknown[] => {
  const found = own(value, key)
  if (!Array.isArray(found)) return []
  if (found.length > MAX_RECEPTIONS) throw new DecodeError(`${key} has more than ${MAX_RECEPTIONS} elements`)
  return found
}
