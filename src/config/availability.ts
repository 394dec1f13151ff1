// What the documentation of the whole product promises and this version does not have yet. Such a key or type is not a
// misspelling: the message says so, instead of naming the nearest known word.

import type { PluginType } from './schema.ts'

const laterTypes: Readonly<Record<PluginType['kind'], readonly string[]>> = {
  source: [],
  decoder: [],
  sink: ['influxdb', 'webhook'],
}

const laterKeys: Readonly<Record<string, readonly string[]>> = {
  'source mqtt-broker': ['websocket', 'tls', 'users', 'acl'],
  'sink amqp': ['compression', 'encoding', 'filter', 'backlog', 'tls'],
  'sink amqp1': ['compression', 'encoding', 'filter', 'backlog', 'tls'],
}

/** Whether the type is one of a later version. */
export const isLaterType = (kind: PluginType['kind'], type: string): boolean => laterTypes[kind].includes(type)

/** Whether the key, unknown now, is one of a later version. */
export const isLaterKey = (kind: PluginType['kind'], type: string, key: string): boolean =>
  laterKeys[`${kind} ${type}`]?.includes(key) ?? false
