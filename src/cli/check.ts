// tidegate check: validates the configuration with everything it refers to, and starts nothing.

import { parseArguments } from './arguments.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import { decodingOf } from './known-profiles.ts'
import type { Verb } from './verb.ts'

const usage = `Usage: tidegate check [options]

Validates the configuration without starting anything. Every problem is printed as
FILE:LINE:COL: message, all at once, and the exit code is 2 if there is any.

${configUsage}
  -h, --help          this text`

export const verb: Verb = {
  name: 'check',
  summary: 'validate the configuration without starting',
  usage,
  async run(args, io) {
    const { values } = parseArguments(args, configOption)
    const config = await configuration(values.config, io)
    const { file, gateway, sources, sinks } = config
    const { profiles } = await decodingOf(config)
    const names = (parts: readonly { readonly name: string }[]) => parts.map(({ name }) => name).join(', ') || 'none'
    io.stdout.write(
      `${values.config ?? file ?? 'built-in defaults'}: valid; gateway ${gateway.id}; ` +
        `sources: ${names(sources)}; sinks: ${names(sinks)}; ${profiles.length} device profiles; data in ${gateway.data}\n`,
    )
    return 0
  },
}
