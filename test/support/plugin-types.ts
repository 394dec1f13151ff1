// Two plug-in types to configure, with every kind of key that a schema may ask for.

import type { PluginType } from '../../src/config/schema.ts'

const brokerType: PluginType = {
  kind: 'source',
  type: 'mqtt-broker',
  schema: {
    type: 'object',
    properties: {
      listen: { type: 'string', format: 'listen', default: '127.0.0.1:1883' },
      maxPacketBytes: { type: 'string', format: 'size', default: '256KiB', formatMaximum: '256MiB' },
      maxConnections: { type: 'integer', minimum: 1, default: 1000 },
      connectTimeout: { type: 'string', format: 'duration', default: '10s' },
    },
    additionalProperties: false,
  },
}

const sinkType: PluginType = {
  kind: 'sink',
  type: 'amqp',
  schema: {
    type: 'object',
    required: ['url'],
    properties: {
      url: { type: 'string', format: 'uri' },
      exchange: { type: 'string', default: 'telemetry' },
      exchangeType: { type: 'string', enum: ['topic', 'direct', 'fanout'], default: 'topic' },
      compression: { type: 'string', enum: ['none'], default: 'none' },
      persistent: { type: 'boolean', default: true },
      batch: {
        type: 'object',
        default: {},
        additionalProperties: false,
        properties: {
          maxReadings: { type: 'integer', minimum: 1, maximum: 10_000, default: 500 },
          maxDelay: { type: 'string', format: 'duration', default: '1s' },
        },
      },
    },
    additionalProperties: false,
  },
}

export const pluginTypes: readonly PluginType[] = [brokerType, sinkType]
