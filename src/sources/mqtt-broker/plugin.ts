// The plug-in 'mqtt-broker': its configuration and what it creates.

import { TidegateError } from '../../core/errors.ts'
import type { SourcePlugin } from '../../core/plugin-contract.ts'
import { parseAddress } from './listener.ts'
import { MqttBrokerSource } from './source.ts'

/** The accepted configuration, sizes in bytes and durations in milliseconds. */
interface MqttBrokerConfig {
  readonly listen?: string
  readonly maxPacketBytes?: number
  readonly maxConnections?: number
  readonly connectTimeout?: number
}

const DEFAULT_LISTEN = '127.0.0.1:1883'
const DEFAULT_MAX_PACKET_BYTES = 256 * 1024
const DEFAULT_MAX_CONNECTIONS = 1_000
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000

export const plugin: SourcePlugin = {
  kind: 'source',
  type: 'mqtt-broker',
  schema: {
    type: 'object',
    description: 'An MQTT 3.1.1 broker: sensors publish to it, other clients may subscribe',
    additionalProperties: false,
    properties: {
      listen: {
        type: 'string',
        format: 'listen',
        default: DEFAULT_LISTEN,
        description: 'HOST:PORT for MQTT over TCP',
      },
      maxPacketBytes: {
        type: 'string',
        format: 'size',
        formatMinimum: '1KiB',
        // The log takes a message of 1 MiB with its topic.
        formatMaximum: '1MiB',
        default: '256KiB',
        description: 'Largest PUBLISH; a client that sends a larger one is disconnected',
      },
      maxConnections: {
        type: 'integer',
        minimum: 1,
        maximum: 100_000,
        default: DEFAULT_MAX_CONNECTIONS,
        description: 'Connections at a time',
      },
      connectTimeout: {
        type: 'string',
        format: 'duration',
        formatMinimum: '100ms',
        formatMaximum: '5m',
        default: '10s',
        description: 'How long a connection may take to send its CONNECT',
      },
    },
  },
  create: (config, context) => {
    const {
      listen = DEFAULT_LISTEN,
      maxPacketBytes = DEFAULT_MAX_PACKET_BYTES,
      maxConnections = DEFAULT_MAX_CONNECTIONS,
      connectTimeout = DEFAULT_CONNECT_TIMEOUT_MS,
    } = config as MqttBrokerConfig
    const address = parseAddress(listen)
    if (address === undefined)
      throw new TidegateError('TG_CONFIG_INVALID', `sources[${context.name}].listen must be HOST:PORT, not '${listen}'`)
    return new MqttBrokerSource(
      { ...address, maxPacketBytes, maxConnections, connectTimeoutMs: connectTimeout },
      context,
    )
  },
}
