// The built-in device profiles, and a router over them with every built-in dialect.

import { builtInDevicesDirectory, loadDeviceProfiles } from '../../src/config/device-profiles.ts'
import { createRouter } from '../../src/decode/router.ts'
import { decoderPlugins } from '../../src/plugins.ts'

export const decoders = await decoderPlugins([])
export const profiles = await loadDeviceProfiles([builtInDevicesDirectory()], [...decoders.values()])
export const router = createRouter(profiles, { decoders })
