// Plug-in `amqp`: sends readings to an AMQP 0-9-1 broker such as RabbitMQ. CONTRACT section 7.

import type { SinkPlugin } from '../../core/plugin-contract.ts'
import { deliveryKeys } from '../delivery-schema.ts'
import { DEFAULT_ROUTING_KEY, ROUTING_KEY_PATTERN } from '../names.ts'
import { type AmqpConfig, AmqpSink } from './sink.ts'

export const plugin: SinkPlugin = {
  kind: 'sink',
  type: 'amqp',
  schema: {
    type: 'object',
    required: ['url'],
    properties: {
      url: {
        type: 'string',
        pattern: '^amqps?://',
        description: 'amqp://USER:PASSWORD@HOST:PORT/VHOST; keep the password in a credential or a file',
      },
      exchange: {
        type: 'string',
        maxLength: 127,
        default: 'telemetry',
        description: 'Durable exchange, declared if missing',
      },
      exchangeType: { type: 'string', enum: ['topic', 'direct', 'fanout', 'headers'], default: 'topic' },
      routingKey: {
        type: 'string',
        pattern: ROUTING_KEY_PATTERN,
        default: DEFAULT_ROUTING_KEY,
        description: 'Template with {gateway} and {device}; every / of the device becomes a .',
      },
      encoding: { type: 'string', enum: ['senml+json'], default: 'senml+json' },
      compression: { type: 'string', enum: ['none'], default: 'none' },
      unroutable: {
        type: 'string',
        enum: ['retry', 'deadLetter'],
        default: 'retry',
        description: 'What happens to a message for which no queue is bound: wait for a queue, or set it aside',
      },
      commands: {
        type: 'boolean',
        default: true,
        description: 'Takes commands to devices from the queue tidegate.{gateway}.commands, declared if missing',
      },
      heartbeat: {
        type: 'string',
        format: 'duration',
        formatMinimum: '1s',
        default: '10s',
        description: 'A broker that is silent for twice as long is given up',
      },
      ...deliveryKeys,
    },
  },
  create: (config, context) => new AmqpSink(config as AmqpConfig, context),
}
