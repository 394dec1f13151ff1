// Plug-in `amqp1`: sends readings over AMQP 1.0, to a broker or straight to `tidegate receive --listen`.

import type { SinkPlugin } from '../../core/plugin-contract.ts'
import { deliveryKeys } from '../delivery-schema.ts'
import { DEFAULT_ROUTING_KEY, ROUTING_KEY_PATTERN } from '../names.ts'
import { type Amqp1Config, Amqp1Sink } from './sink.ts'

export const plugin: SinkPlugin = {
  kind: 'sink',
  type: 'amqp1',
  schema: {
    type: 'object',
    required: ['url'],
    properties: {
      url: {
        type: 'string',
        pattern: '^amqps?://',
        description: 'amqp://USER:PASSWORD@HOST:PORT; keep the password in a credential or a file',
      },
      address: { type: 'string', minLength: 1, default: 'telemetry', description: 'Target of the link' },
      routingKey: {
        type: 'string',
        pattern: ROUTING_KEY_PATTERN,
        default: DEFAULT_ROUTING_KEY,
        description: 'Template of the subject, with {gateway} and {device}; every / of the device becomes a .',
      },
      encoding: { type: 'string', enum: ['senml+json'], default: 'senml+json' },
      compression: { type: 'string', enum: ['none'], default: 'none' },
      heartbeat: {
        type: 'string',
        format: 'duration',
        formatMinimum: '1s',
        default: '10s',
        description: 'A peer that is silent for twice as long is given up',
      },
      ...deliveryKeys,
    },
  },
  create: (config, context) => new Amqp1Sink(config as Amqp1Config, context),
}
