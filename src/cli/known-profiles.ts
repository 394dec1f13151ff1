// How messages are decoded under a configuration: the device profiles, the dialects that they may name, and the profiles that
// sources choose.

import type { Config } from '../config/config.ts'
import { builtInDevicesDirectory, loadDeviceProfiles } from '../config/device-profiles.ts'
import { TidegateError } from '../core/errors.ts'
import type { DeviceProfile } from '../core/profile.ts'
import type { RouterOptions } from '../decode/router.ts'
import { decoderPlugins, sourceBindings } from '../plugins.ts'
import { configuration } from './configuration.ts'
import type { Io } from './io.ts'

export interface Decoding extends Required<RouterOptions> {
  readonly profiles: readonly DeviceProfile[]
}

/** Throws TG_PROFILE_INVALID with every problem, TG_CONFIG_INVALID where a source names a profile that there is not. */
export const decodingOf = async ({ gateway, sources }: Config): Promise<Decoding> => {
  const decoders = await decoderPlugins(gateway.plugins)
  const profiles = await loadDeviceProfiles([builtInDevicesDirectory(), ...gateway.devices], [...decoders.values()])
  const bindings = await sourceBindings(sources, gateway.plugins)
  for (const { source, profile } of bindings) {
    if (profiles.some(({ name }) => name === profile)) continue
    throw new TidegateError(
      'TG_CONFIG_INVALID',
      `sources[${source}] names the profile ${profile}, which does not exist`,
    )
  }
  return { decoders, profiles, bindings }
}

/** The same for the configuration in a file. */
export const configuredDecoding = async (configFile: string | undefined, io: Io): Promise<Decoding> =>
  decodingOf(await configuration(configFile, io))
