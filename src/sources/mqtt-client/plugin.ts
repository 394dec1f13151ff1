// The plug-in 'mqtt-client': its configuration and what it creates.

import { readFileSync } from 'node:fs'
import { TidegateError } from '../../core/errors.ts'
import type { SourcePlugin } from '../../core/plugin-contract.ts'
import type { MqttClientSettings, Protocol } from './settings.ts'
import { MqttClientSource } from './source.ts'
import { parseBrokerUrl } from './url.ts'

/** The accepted configuration, sizes in bytes and durations in milliseconds. */
interface MqttClientConfig {
  readonly url: string
  readonly topics: readonly string[]
  readonly qos?: 0 | 1 | 2
  readonly protocol?: Protocol
  readonly clientId?: string
  readonly session?: 'persistent' | 'clean'
  readonly sessionExpiry?: number
  readonly keepAlive?: number
  readonly connectTimeout?: number
  readonly maxPacketBytes?: number
  readonly username?: string
  readonly password?: string
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly verify?: boolean }
}

const DAY_MS = 86_400_000

export const plugin: SourcePlugin = {
  kind: 'source',
  type: 'mqtt-client',
  schema: {
    type: 'object',
    description: 'Subscribes at an existing MQTT broker, version 3.1.1 or 5',
    additionalProperties: false,
    required: ['url', 'topics'],
    properties: {
      url: { type: 'string', minLength: 1, description: 'mqtt://HOST:PORT, or mqtts:// for TLS' },
      topics: {
        type: 'array',
        minItems: 1,
        maxItems: 1_000,
        uniqueItems: true,
        items: { type: 'string', format: 'topic-filter' },
        description: 'Topic Filters to subscribe to',
      },
      qos: {
        enum: [0, 1, 2],
        default: 1,
        description: 'Highest QoS; 1 and 2 are acknowledged to the broker when the message is durable',
      },
      protocol: {
        enum: ['auto', '3.1.1', '5'],
        default: 'auto',
        description: 'Version of MQTT; auto: 5, else 3.1.1',
      },
      clientId: {
        type: 'string',
        minLength: 1,
        maxLength: 256,
        description: 'Client Identifier; names the session. Default: tidegate-GATEWAY-NAME',
      },
      session: {
        enum: ['persistent', 'clean'],
        default: 'persistent',
        description: 'Whether the broker keeps messages while the gateway is away',
      },
      sessionExpiry: {
        type: 'string',
        format: 'duration',
        // Four bytes of seconds (MQTT 5, 3.1.2.11.2).
        formatMaximum: '49710d',
        default: '7d',
        description: 'How long it keeps them (MQTT 5)',
      },
      keepAlive: { type: 'string', format: 'duration', formatMinimum: '1s', formatMaximum: '18h', default: '60s' },
      connectTimeout: {
        type: 'string',
        format: 'duration',
        formatMinimum: '100ms',
        formatMaximum: '5m',
        default: '30s',
        description: 'How long the broker may take to accept the connection',
      },
      maxPacketBytes: {
        type: 'string',
        format: 'size',
        formatMinimum: '1KiB',
        // The log takes a message of 1 MiB with its topic.
        formatMaximum: '1MiB',
        default: '1MiB',
        description: 'Largest PUBLISH; a larger one is passed over, counted and logged',
      },
      username: { type: 'string', minLength: 1, description: 'Or in the url' },
      password: { type: 'string', description: 'Best from a file or a systemd credential' },
      tls: {
        type: 'object',
        additionalProperties: false,
        description: 'For mqtts://',
        properties: {
          ca: {
            type: 'string',
            minLength: 1,
            description: 'PEM file, absolute: who signs the certificate of the broker',
          },
          cert: { type: 'string', minLength: 1, description: 'PEM file, absolute: certificate of this client' },
          key: { type: 'string', minLength: 1, description: 'PEM file, absolute: its private key' },
          verify: { type: 'boolean', default: true, description: 'false takes any certificate' },
        },
      },
    },
  },
  bindings: (config, name) => {
    settingsOf(config as MqttClientConfig, name, '') // `tidegate check` calls this, too: what is wrong shows there
    return []
  },
  create: (config, context) => {
    const settings = settingsOf(config as MqttClientConfig, context.name, context.gateway)
    return new MqttClientSource(settings, context)
  },
}

const settingsOf = (config: MqttClientConfig, name: string, gateway: string): MqttClientSettings => {
  const at = `sources[${name}]`
  const address = parseBrokerUrl(config.url, `${at}.url`)
  const username = config.username ?? address.username
  const password = config.password ?? address.password
  const { ca, cert, key, verify = true } = config.tls ?? {}
  if (config.tls !== undefined && !address.tls)
    throw new TidegateError('TG_CONFIG_INVALID', `${at}.tls is for a url that begins with mqtts://`)
  if ((cert === undefined) !== (key === undefined))
    throw new TidegateError('TG_CONFIG_INVALID', `${at}.tls needs both cert and key, or neither`)
  return {
    address,
    topics: config.topics,
    qos: config.qos ?? 1,
    protocol: config.protocol ?? 'auto',
    clientId: config.clientId ?? `tidegate-${gateway}-${name}`,
    persistent: config.session !== 'clean',
    sessionExpiryMs: config.sessionExpiry ?? 7 * DAY_MS,
    keepAliveMs: config.keepAlive ?? 60_000,
    connectTimeoutMs: config.connectTimeout ?? 30_000,
    maxPacketBytes: config.maxPacketBytes ?? 2 ** 20,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    tls: {
      verify,
      ...(ca === undefined ? {} : { ca: pem(ca, `${at}.tls.ca`) }),
      ...(cert === undefined ? {} : { cert: pem(cert, `${at}.tls.cert`) }),
      ...(key === undefined ? {} : { key: pem(key, `${at}.tls.key`) }),
    },
  }
}

const pem = (path: string, key: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new TidegateError('TG_CONFIG_INVALID', `${key}: ${path} cannot be read`, { cause: error })
  }
}
