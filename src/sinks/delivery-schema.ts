// The keys that every built-in sink shares; the forwarder acts on them. Durations and sizes have the formats of config/units.ts.

import { MAX_SENML_RECORDS } from '../core/senml.ts'
import { shapeSchema } from '../core/shape.ts'

export const deliveryKeys = {
  batch: {
    type: 'object',
    description: 'How readings are collected into one message upstream',
    properties: {
      maxReadings: { type: 'integer', minimum: 1, maximum: MAX_SENML_RECORDS, default: 500 },
      maxDelay: {
        type: 'string',
        format: 'duration',
        default: '250ms',
        description: 'How long readings may wait for company; the first after a pause goes at once',
      },
    },
    additionalProperties: false,
    default: {},
  },
  filter: {
    type: 'object',
    description: 'Only readings that match are forwarded; the others are told as filtered',
    properties: {
      devices: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        description: 'MQTT Topic Filters over the device',
      },
      names: { type: 'array', items: { type: 'string', minLength: 1 } },
    },
    additionalProperties: false,
  },
  shape: shapeSchema,
  stallAfter: {
    type: 'string',
    format: 'duration',
    default: '30s',
    description: 'A write without any progress for this long is given up and the connection made anew',
  },
} as const
