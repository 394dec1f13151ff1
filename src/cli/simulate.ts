// tidegate simulate: publishes what simulated sensors say, over real MQTT with an ordinary client, at QoS 1.

import { randomUUID } from 'node:crypto'
import type { MqttClient } from 'mqtt'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { redactText } from '../core/redaction.ts'
import { delay } from '../core/time.ts'
import { parseArguments, parseWholeNumber } from './arguments.ts'
import { countText } from './format.ts'
import { type Publication, type SimulatedDevice, simulatedDevice } from './simulated-device.ts'
import { UsageError, type Verb } from './verb.ts'

const DEFAULT_URL = 'mqtt://127.0.0.1:1883'
const DEFAULT_DEVICES = 5
const MAX_DEVICES = 10_000
const MAX_RATE = 100_000
const CONNECT_TIMEOUT_MS = 10_000
const RECONNECT_MS = 1_000
/** Publications that may wait for their PUBACK; while so many do, no more are made, however high the rate. */
const MAX_IN_FLIGHT = 1_000
const TICK_MS = 10
const MAX_PAUSE_MS = 250
/** How long the end waits for the PUBACKs that are still out. */
const DRAIN_MS = 5_000

const usage = `Usage: tidegate simulate [options]

Publishes realistic readings over MQTT at QoS 1: temperature, humidity and pressure with slow
drift, in the dialects of the field (plain values, JSON, Tasmota, Zigbee2MQTT). Ends on Ctrl-C.

      --url URL       broker (default: ${DEFAULT_URL})
      --devices N     how many devices (default: ${DEFAULT_DEVICES})
      --rate R        publications per second, of all devices together (default: one per device)
      --count N       end after so many publications
  -h, --help          this text`

export interface SimulationOptions {
  readonly url: string
  readonly devices: number
  /** Publications per second. */
  readonly rate: number
  readonly count?: number | undefined
  readonly signal: AbortSignal
  /** The connection came, or went away with a reason. */
  readonly onConnection?: (lost?: string) => void
}

export const verb: Verb = {
  name: 'simulate',
  summary: 'publish realistic readings over MQTT',
  usage,
  async run(args, io) {
    const { values } = parseArguments(args, {
      url: { type: 'string' },
      devices: { type: 'string' },
      rate: { type: 'string' },
      count: { type: 'string' },
    } as const)
    const url = values.url ?? DEFAULT_URL
    if (!/^(mqtts?|wss?):\/\/[^/]/.test(url))
      throw new UsageError('--url must be mqtt://HOST:PORT or mqtts://HOST:PORT')
    const number = (option: 'devices' | 'count', maximum: number) => {
      const text = values[option]
      return text === undefined ? undefined : parseWholeNumber(`--${option}`, text, 1, maximum)
    }
    const devices = number('devices', MAX_DEVICES) ?? DEFAULT_DEVICES
    const acknowledged = await simulate({
      url,
      devices,
      rate: values.rate === undefined ? devices : parseRate(values.rate),
      count: number('count', Number.MAX_SAFE_INTEGER),
      signal: io.signal,
      onConnection: (lost) =>
        io.stderr.write(
          lost === undefined
            ? `tidegate: ${devices} simulated devices publish to ${redactText(url)}\n`
            : `tidegate: connection to ${redactText(url)} lost (${lost}), trying again\n`,
        ),
    })
    io.stdout.write(`${countText(acknowledged)} publications acknowledged\n`)
    return 0
  },
}

/** Publishes until the count is reached or the signal aborts; resolves with how many were acknowledged. */
export const simulate = async (options: SimulationOptions): Promise<number> => {
  const { devices, rate, count = Number.POSITIVE_INFINITY, signal } = options
  const client = await connect(options)
  const publications = endlessly(Array.from({ length: devices }, (_, index) => simulatedDevice(index)))
  let acknowledged = 0
  let inFlight = 0
  let sent = 0
  const publishOne = () => {
    const { topic, payload } = publications.next().value
    inFlight++
    sent++
    client.publish(topic, payload, { qos: 1 }, (error) => {
      inFlight--
      if (error === undefined || error === null) acknowledged++
    })
  }
  let base = 0
  let baseMs = performance.now()
  while (!signal.aborted && sent < count) {
    const due = Math.min(count, base + Math.ceil(((performance.now() - baseMs) / 1_000) * rate))
    while (sent < due && inFlight < MAX_IN_FLIGHT) publishOne()
    if (sent < due) {
      // The broker is slower than the rate, or away: go on from here at the rate, without a burst to catch up.
      base = sent
      baseMs = performance.now()
    }
    await pause(signal, Math.min(MAX_PAUSE_MS, Math.max(TICK_MS, 1_000 / rate)))
  }
  // All were asked for: wait for their PUBACKs. Ctrl-C: only for those that are about to come.
  while (inFlight > 0 && !signal.aborted) await pause(signal, TICK_MS)
  const drainUntilMs = performance.now() + DRAIN_MS
  while (inFlight > 0 && client.connected && performance.now() < drainUntilMs) await delay(TICK_MS)
  await client.endAsync(inFlight > 0)
  return acknowledged
}

// The loops look at the signal themselves.
const pause = (signal: AbortSignal, ms: number): Promise<void> => delay(ms, signal).catch(() => undefined)

function* endlessly(fleet: readonly SimulatedDevice[]): Generator<Publication, never, undefined> {
  for (;;) for (const device of fleet) yield* device.publish(Date.now())
}

// The first connection has to come; later ones are made again for as long as it takes.
const connect = async ({ url, signal, onConnection }: SimulationOptions): Promise<MqttClient> => {
  const mqtt = await import('mqtt')
  const client = mqtt.connect(url, {
    clientId: `tidegate-simulate-${randomUUID().slice(0, 8)}`,
    protocolVersion: 4,
    reconnectPeriod: RECONNECT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
  })
  try {
    await connected(client, AbortSignal.any([signal, AbortSignal.timeout(CONNECT_TIMEOUT_MS)]))
  } catch (error) {
    client.on('error', ignore) // whatever else goes wrong with a connection that was given up
    await client.endAsync(true)
    signal.throwIfAborted()
    const reason = systemCode(error) ?? describe(error)
    throw new TidegateError('TG_GATEWAY_UNREACHABLE', `no MQTT broker answers at ${redactText(url)} (${reason})`)
  }
  let reason = 'closed by the broker'
  let lost = false
  client.on('error', (error) => {
    reason = describe(error)
  })
  client.on('close', () => {
    if (!lost && !client.disconnecting) onConnection?.(reason)
    lost = true
  })
  client.on('connect', () => {
    if (lost) onConnection?.()
    lost = false
  })
  onConnection?.()
  return client
}

const connected = (client: MqttClient, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const finish = (settle: () => void) => () => {
      signal.removeEventListener('abort', onAbort)
      client.off('connect', onConnect)
      client.off('error', reject)
      settle()
    }
    const onAbort = finish(() => reject(signal.reason))
    const onConnect = finish(resolve)
    signal.addEventListener('abort', onAbort)
    client.on('connect', onConnect)
    client.on('error', reject)
    if (signal.aborted) onAbort()
  })

const ignore = () => undefined

const parseRate = (text: string): number => {
  const rate = /^[0-9]{1,6}(\.[0-9]{1,4})?$/.test(text) ? Number(text) : Number.NaN
  if (rate > 0 && rate <= MAX_RATE) return rate
  throw new UsageError(`--rate must be a number of publications per second up to ${MAX_RATE}, not '${text}'`)
}
