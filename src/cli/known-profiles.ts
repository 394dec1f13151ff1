// How messages are decoded under a configuration: the device profiles, the dialects that they may name, and the profiles that
// sources choose.

import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { type Config, ConfigError } from '../config/config.ts'
import { builtInDevicesDirectory, loadDeviceProfiles } from '../config/device-profiles.ts'
import { ConfigDocument } from '../config/document.ts'
import { nearest } from '../config/nearest.ts'
import { describe, TidegateError } from '../core/errors.ts'
import type { DeviceProfile, SourceBinding } from '../core/profile.ts'
import type { RouterOptions } from '../decode/router.ts'
import { decoderPlugins, sourceBindings } from '../plugins.ts'
import { configuration } from './configuration.ts'
import type { Io } from './io.ts'

export interface Decoding extends Required<RouterOptions> {
  readonly profiles: readonly DeviceProfile[]
}

/** Throws TG_PROFILE_INVALID with every problem, TG_CONFIG_INVALID where a source names a profile that cannot be its own. */
export const decodingOf = async (config: Config): Promise<Decoding> => {
  const { gateway, sources } = config
  const decoders = await decoderPlugins(gateway.plugins)
  const profiles = await loadDeviceProfiles([builtInDevicesDirectory(), ...gateway.devices], [...decoders.values()])
  const { bindings, refused } = await bindingsOf(config)
  const unfit = bindings.flatMap(({ source, profile }) => {
    const index = sources.findIndex(({ name }) => name === source)
    const fault = bindingFault(profile, sources[index]?.type, profiles)
    if (fault === undefined) return []
    const path = ['sources', index, ...(profilePath(sources[index]?.settings, profile) ?? [])]
    return [{ path, message: `sources[${source}] names the profile ${profile}, which ${fault}` }]
  })
  const faults = [...refused, ...unfit]
  if (faults.length > 0) throw await located(config, faults)
  return { decoders, profiles, bindings }
}

// A source that binds looks at its settings, and says what no schema can.
const bindingsOf = async ({ gateway, sources }: Config) => {
  const bindings: SourceBinding[] = []
  const refused: Fault[] = []
  for (const [index, source] of sources.entries()) {
    try {
      bindings.push(...(await sourceBindings([source], gateway.plugins)))
    } catch (error) {
      if (!(error instanceof TidegateError) || error.code !== 'TG_CONFIG_INVALID') throw error
      refused.push({ path: ['sources', index], message: describe(error) })
    }
  }
  return { bindings, refused }
}

interface Fault {
  readonly path: readonly (string | number)[]
  readonly message: string
}

const located = async ({ file }: Config, faults: readonly Fault[]): Promise<ConfigError> => {
  const document = new ConfigDocument(file === undefined ? '' : await readFile(file, 'utf8'))
  const problems = faults.map(({ path, message }) => ({ ...document.valuePosition(path), message }))
  const near = relative('.', file ?? '')
  // Short where it can be: relative to where the user is.
  return new ConfigError(file === undefined ? 'built-in defaults' : near.startsWith('..') ? file : near, problems)
}

/** Where in the settings of a source the profile is named. */
const profilePath = (value: unknown, profile: string): readonly (string | number)[] | undefined => {
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, member] of Object.entries(value)) {
    const step = Array.isArray(value) ? Number(key) : key
    if (key === 'profile' && member === profile) return [step]
    const below = profilePath(member, profile)
    if (below !== undefined) return [step, ...below]
  }
  return undefined
}

const bindingFault = (
  profile: string,
  type: string | undefined,
  profiles: readonly DeviceProfile[],
): string | undefined => {
  const found = profiles.find(({ name }) => name === profile)
  if (found !== undefined) return type === 'modbus' && found.modbus === undefined ? 'has no section modbus' : undefined
  const names = profiles.map(({ name }) => name)
  const meant = nearest(profile, names)
  return `does not exist${meant === undefined ? '' : `; did you mean ${meant}?`}`
}

/** The same for the configuration in a file. */
export const configuredDecoding = async (configFile: string | undefined, io: Io): Promise<Decoding> =>
  decodingOf(await configuration(configFile, io))
