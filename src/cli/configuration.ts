// How every verb comes to its configuration: `--config FILE`, the default file, or the built-in defaults.

import { hostname } from 'node:os'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { builtInPlugins, loadPlugin } from '../plugins.ts'
import type { Io } from './io.ts'

/** The option, for parseArguments. */
export const configOption = { config: { type: 'string', short: 'c' } } as const

/** Its line in a usage text. */
export const configUsage =
  '  -c, --config FILE   configuration (default: /etc/tidegate/tidegate.yaml, else built-in defaults)'

/** `builtIn` are the defaults to use when there is no file at all, as YAML. */
export const configuration = async (file: string | undefined, io: Io, builtIn = ''): Promise<Config> =>
  loadConfig({ file, env: io.env, hostname: hostname(), plugins: await builtInPlugins(), loadPlugin, builtIn })
