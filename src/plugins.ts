// The one table of built-in plug-ins, and the loader of third-party ones. Both give the same thing: a module that exports
// `plugin`. Each is imported only when a configuration names it, so that what is not used costs neither time nor memory.

import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { describe, TidegateError } from './core/errors.ts'
import type { DecoderPlugin, Plugin, SinkPlugin, SourcePlugin } from './core/plugin-contract.ts'
import type { SourceBinding } from './core/profile.ts'

/** It stands in configurations and profiles. */
const PLUGIN_TYPE = /^[a-z0-9][a-z0-9-]{0,63}$/

type Load = () => Promise<{ readonly plugin: Plugin }>

const builtIn: readonly (readonly [kind: Plugin['kind'], type: string, load: Load])[] = [
  ['source', 'mqtt-broker', () => import('./sources/mqtt-broker/plugin.ts')],
  ['source', 'mqtt-client', () => import('./sources/mqtt-client/plugin.ts')],
  ['source', 'modbus', () => import('./sources/modbus/plugin.ts')],
  ['source', 'serial', () => import('./sources/serial/plugin.ts')],
  ['sink', 'amqp', () => import('./sinks/amqp/plugin.ts')],
  ['sink', 'amqp1', () => import('./sinks/amqp1/plugin.ts')],
  ['decoder', 'modbus', () => import('./decode/dialects/modbus/plugin.ts')],
  ['decoder', 'senml', () => import('./decode/dialects/senml.ts')],
  ['decoder', 'sparkplug', () => import('./decode/dialects/sparkplug/plugin.ts')],
  ['decoder', 'homie', () => import('./decode/dialects/homie.ts')],
  ['decoder', 'home-assistant', () => import('./decode/dialects/home-assistant/plugin.ts')],
  ['decoder', 'csv', () => import('./decode/dialects/csv.ts')],
  ['decoder', 'binary', () => import('./decode/dialects/binary/plugin.ts')],
  ['decoder', 'pairs', () => import('./decode/dialects/pairs.ts')],
  ['decoder', 'regex', () => import('./decode/dialects/regex.ts')],
  ['decoder', 'lorawan', () => import('./decode/dialects/lorawan.ts')],
  ['decoder', 'senml-cbor', () => import('./decode/dialects/senml-cbor.ts')],
  ['decoder', 'line-protocol', () => import('./decode/dialects/line-protocol.ts')],
  ['decoder', 'nmea', () => import('./decode/dialects/nmea/plugin.ts')],
  ['decoder', 'dsmr', () => import('./decode/dialects/dsmr/plugin.ts')],
  ['decoder', 'vedirect', () => import('./decode/dialects/vedirect/plugin.ts')],
  ['decoder', 'pms', () => import('./decode/dialects/pms.ts')],
  ['decoder', 'sds', () => import('./decode/dialects/sds.ts')],
  ['decoder', 'ruuvi', () => import('./decode/dialects/ruuvi/plugin.ts')],
]

/** Every built-in plug-in, for the configuration's schema. */
export const builtInPlugins = (): Promise<Plugin[]> =>
  Promise.all(builtIn.map(async ([, , load]) => (await load()).plugin))

/** The device profiles that sources of the configuration choose. */
export const sourceBindings = async (
  sources: readonly { readonly name: string; readonly type: string; readonly settings: unknown }[],
  files: readonly string[],
): Promise<readonly SourceBinding[]> => {
  const bindings = sources.map(async ({ name, type, settings }) => {
    const plugin = await sourcePlugin(type, files)
    return plugin.bindings?.(settings, name) ?? []
  })
  return (await Promise.all(bindings)).flat()
}

/** Every dialect by its type: the built-in ones, and those of the listed files, which replace built-in ones. */
export const decoderPlugins = async (files: readonly string[]): Promise<ReadonlyMap<string, DecoderPlugin>> => {
  const plugins = [
    ...(await Promise.all(
      builtIn.filter(([kind]) => kind === 'decoder').map(async ([, , load]) => (await load()).plugin),
    )),
    ...(await Promise.all(files.map(loadPlugin))),
  ]
  return new Map(plugins.flatMap((plugin) => (plugin.kind === 'decoder' ? [[plugin.type, plugin]] : [])))
}

/** Loads one third-party plug-in by the absolute path of its module. */
export const loadPlugin = async (path: string): Promise<Plugin> => {
  let exported: unknown
  try {
    exported = await import(pathToFileURL(path).href)
  } catch (error) {
    const reason = existsSync(path) ? describe(error) : 'it does not exist'
    throw new TidegateError('TG_PLUGIN', `${path} cannot be loaded: ${reason}`)
  }
  // A module's namespace has no prototype: it is no instance of Object.
  const plugin = typeof exported === 'object' && exported !== null && 'plugin' in exported ? exported.plugin : undefined
  if (!isPlugin(plugin))
    throw new TidegateError('TG_PLUGIN', `${path} does not export a plugin: ${pluginFaults(plugin).join('; ')}`)
  return plugin
}

/** Finds the source plug-in of a type: a built-in one, or the one that a listed file exports. */
export const sourcePlugin = async (type: string, files: readonly string[]): Promise<SourcePlugin> => {
  const plugin = await find('source', type, files)
  if (plugin.kind === 'source') return plugin
  throw new TidegateError('TG_PLUGIN', `'${type}' is not a source`)
}

/** Finds the sink plug-in of a type: a built-in one, or the one that a listed file exports. */
export const sinkPlugin = async (type: string, files: readonly string[]): Promise<SinkPlugin> => {
  const plugin = await find('sink', type, files)
  if (plugin.kind === 'sink') return plugin
  throw new TidegateError('TG_PLUGIN', `'${type}' is not a sink`)
}

const find = async (kind: Plugin['kind'], type: string, files: readonly string[]): Promise<Plugin> => {
  const known = builtIn.find(([knownKind, knownType]) => knownKind === kind && knownType === type)
  if (known !== undefined) return (await known[2]()).plugin
  for (const file of files) {
    const plugin = await loadPlugin(file)
    if (plugin.kind === kind && plugin.type === type) return plugin
  }
  throw new TidegateError('TG_PLUGIN', `there is no ${kind} of type '${type}'`)
}

/** Everything that the parts of a plug-in must be, so that what is wrong is said when it is loaded. */
const pluginFaults = (value: unknown): readonly string[] => {
  if (typeof value !== 'object' || value === null)
    return ['`export const plugin` with kind, type, schema and create is missing']
  const { kind, type, schema, create } = value as Readonly<Record<string, unknown>>
  return [
    ...(kind === 'source' || kind === 'sink' || kind === 'decoder' ? [] : ['kind must be source, decoder or sink']),
    ...(typeof type === 'string' && PLUGIN_TYPE.test(type) ? [] : ['type must be a name of a-z, 0-9 and -']),
    ...(typeof schema === 'object' && schema !== null && !Array.isArray(schema)
      ? []
      : ['schema must be a JSON Schema']),
    ...(typeof create === 'function' ? [] : ['create must be a function']),
  ]
}

const isPlugin = (value: unknown): value is Plugin => pluginFaults(value).length === 0
