// One connection to a broker, from the CONNECT to its end: MQTT.js for the protocol, the tap in front of it for publications.
// It never reconnects by itself: the source opens the next one.

import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { IClientOptions } from 'mqtt'
import { describe, TidegateError } from '../../core/errors.ts'
import { PublishTap, type TapEvents } from './publish-tap.ts'
import type { MqttClientSettings } from './settings.ts'

/** Unacknowledged publications that the broker may send (MQTT 5, 3.1.2.11.3): several commits of the log deep. */
const RECEIVE_MAXIMUM = 4_096
/** Operating systems notice a dead peer by it where the keep-alive of MQTT is long. */
const TCP_KEEP_ALIVE_MS = 30_000
/** Reason codes of a CONNACK that mean "not this version": MQTT 3.1.1, 3.2.2.3 and MQTT 5, 3.2.2.2. */
const UNSUPPORTED_VERSION: ReadonlySet<unknown> = new Set([1, 132])

export interface Link {
  readonly version: 4 | 5
  readonly tap: PublishTap
  /** Whether the broker still had the session. */
  readonly sessionPresent: boolean
  /** Filters that the broker refused. Rejects when the connection ends before it answers. */
  subscribe(filters: readonly string[]): Promise<readonly string[]>
  unsubscribe(filters: readonly string[]): Promise<void>
  /** Resolves when the broker has it (QoS 1 and 2), or it is sent (QoS 0). */
  publish(topic: string, payload: Buffer, qos: 0 | 1 | 2): Promise<void>
  /** Resolves with the reason when the connection has ended. */
  readonly ended: Promise<string>
  /** Says goodbye within so long. */
  close(deadlineMs: number): Promise<void>
}

/** The broker does not speak this version of the protocol. */
export class UnsupportedVersion extends TidegateError {
  override readonly name = 'UnsupportedVersion'
}

/** Resolves when the broker has accepted the connection. Rejects with TG_UPSTREAM_UNREACHABLE or TG_UPSTREAM_REFUSED. */
export const openLink = async (
  settings: MqttClientSettings,
  version: 4 | 5,
  events: TapEvents,
  signal: AbortSignal,
): Promise<Link> => {
  // Loaded with the first connection: it costs a gateway without one several MiB.
  const { MqttClient } = await import('mqtt')
  signal.throwIfAborted()
  const { address, qos } = settings
  const socket = openSocket(settings)
  const tap = new PublishTap(socket, version, settings.maxPacketBytes, events)
  const client = new MqttClient(() => tap, clientOptions(settings, version))
  let reason: string | undefined
  // The first that is known is why; what follows are its consequences.
  const because = (text: string) => {
    reason ??= text
  }
  tap.on('error', (error) => because(describe(error)))
  client.on('disconnect', ({ reasonCode }) => because(`the broker said goodbye with reason ${reasonCode ?? 0}`))
  const ended = new Promise<string>((resolve) => {
    client.once('close', () => resolve(reason ?? 'the connection was closed'))
  })
  const close = async (deadlineMs: number) => {
    const late = setTimeout(() => tap.destroy(), deadlineMs)
    // MQTT.js sends DISCONNECT, ends the stream, and calls back; never while the broker owes it an answer.
    await Promise.race([new Promise<void>((resolve) => client.end(tap.destroyed, {}, () => resolve())), ended])
    clearTimeout(late)
    tap.destroy()
    await ended
  }
  const made = (sessionPresent: boolean): Link => ({
    version,
    tap,
    sessionPresent,
    subscribe: async (filters) => {
      const wanted = Object.fromEntries(
        filters.map((filter) => [filter, { qos, ...(version === 5 && v5Options(filter)) }]),
      )
      try {
        await beforeEnd(client.subscribeAsync(wanted), ended)
        return []
      } catch (error) {
        const codes = subackCodes(error)
        if (codes === undefined) throw error
        return filters.filter((_, index) => (codes[index] ?? 0) >= 128)
      }
    },
    unsubscribe: async (filters) => {
      await beforeEnd(client.unsubscribeAsync([...filters]), ended)
    },
    publish: async (topic, payload, sendQos) => {
      await beforeEnd(client.publishAsync(topic, payload, { qos: sendQos }), ended)
    },
    ended,
    close,
  })
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      signal.removeEventListener('abort', onAbort)
      client.end(true)
      tap.destroy()
      reject(error)
    }
    const onAbort = () => fail(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
    signal.addEventListener('abort', onAbort, { once: true })
    client.once('connect', ({ sessionPresent }) => {
      signal.removeEventListener('abort', onAbort)
      resolve(made(sessionPresent))
    })
    // Before the CONNACK it is why there is none; afterwards the end of the connection says it.
    client.on('error', (error) => {
      because(describe(error))
      fail(refusalOf(error, address.shown))
    })
    void ended.then((why) => fail(new TidegateError('TG_UPSTREAM_UNREACHABLE', `${address.shown}: ${why}`)))
  })
}

/**
 * MQTT 5, 3.8.3.1: not what this client publishes itself, which a shared subscription must not ask for [MQTT-3.8.3-4]; retained
 * messages only when the subscription is new.
 */
const v5Options = (filter: string) => ({ nl: !filter.startsWith('$share/'), rh: 1 }) as const

const openSocket = ({ address, tls }: MqttClientSettings): Socket => {
  const { host, port } = address
  const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS }
  if (!address.tls) return connectTcp(options)
  const { ca, cert, key, verify } = tls
  return connectTls({
    ...options,
    servername: host,
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  })
}

const clientOptions = (settings: MqttClientSettings, version: 4 | 5): IClientOptions => {
  const { clientId, persistent, keepAliveMs, connectTimeoutMs, username, password, maxPacketBytes } = settings
  return {
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId,
    clean: !persistent,
    keepalive: Math.ceil(keepAliveMs / 1_000),
    connectTimeout: connectTimeoutMs,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(version === 5 && {
      properties: {
        receiveMaximum: RECEIVE_MAXIMUM,
        maximumPacketSize: maxPacketBytes,
        ...(persistent && { sessionExpiryInterval: Math.ceil(settings.sessionExpiryMs / 1_000) }),
      },
    }),
  }
}

const refusalOf = (error: Error & { readonly code?: unknown }, shown: string): TidegateError => {
  const message = `${shown}: ${describe(error)}`
  if (UNSUPPORTED_VERSION.has(error.code)) return new UnsupportedVersion('TG_UPSTREAM_REFUSED', message)
  // A number is the reason code of a CONNACK, a text that of the operating system.
  return new TidegateError(typeof error.code === 'number' ? 'TG_UPSTREAM_REFUSED' : 'TG_UPSTREAM_UNREACHABLE', message)
}

/** What the broker said to each filter, where it refused one: MQTT.js tells it as an error that holds the SUBACK. */
const subackCodes = (error: unknown): readonly number[] | undefined => {
  const packet: unknown = typeof error === 'object' && error !== null && 'packet' in error ? error.packet : undefined
  const granted: unknown = typeof packet === 'object' && packet !== null && 'granted' in packet && packet.granted
  return Array.isArray(granted) ? granted.map(Number) : undefined
}

/** MQTT.js calls back never when the connection ends in between. */
const beforeEnd = <T>(answer: Promise<T>, ended: Promise<string>): Promise<T> =>
  Promise.race([
    answer,
    ended.then((why) => {
      throw new TidegateError('TG_UPSTREAM_UNREACHABLE', why)
    }),
  ])
