// The device profiles that a gateway with this configuration uses.

import { builtInDevicesDirectory, loadDeviceProfiles } from '../config/device-profiles.ts'
import type { DeviceProfile } from '../core/profile.ts'
import { configuration } from './configuration.ts'
import type { Io } from './io.ts'

/** Throws TG_PROFILE_INVALID with every problem. */
export const deviceProfiles = async (configFile: string | undefined, io: Io): Promise<readonly DeviceProfile[]> => {
  const { gateway } = await configuration(configFile, io)
  return loadDeviceProfiles([builtInDevicesDirectory(), ...gateway.devices])
}
