// What the configuration hands to the AMQP sinks, defaults applied.

import type { AmqpConfig } from '../../src/sinks/amqp/sink.ts'
import type { Amqp1Config } from '../../src/sinks/amqp1/sink.ts'

export const amqpConfig = (url: string, more: Partial<AmqpConfig> = {}): AmqpConfig => ({
  url,
  exchange: 'telemetry',
  exchangeType: 'topic',
  routingKey: 'telemetry.{gateway}.{device}',
  unroutable: 'retry',
  commands: false,
  heartbeat: 10_000,
  batch: { maxReadings: 500 },
  ...more,
})

export const amqp1Config = (url: string, more: Partial<Amqp1Config> = {}): Amqp1Config => ({
  url,
  address: 'telemetry',
  routingKey: 'telemetry.{gateway}.{device}',
  heartbeat: 10_000,
  batch: { maxReadings: 500 },
  ...more,
})
