// tidegate init: writes a commented configuration to start from, with the schema beside it for editors. It never overwrites
// a configuration.

import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { defaultGatewayId } from '../config/assembly.ts'
import { shippedSchema } from '../config/schema.ts'
import { describe, systemCode } from '../core/errors.ts'
import { builtInPlugins } from '../plugins.ts'
import { parseArguments } from './arguments.ts'
import { template } from './init-template.ts'
import type { Verb } from './verb.ts'

const CONFIG_NAME = 'tidegate.yaml'
const SCHEMA_NAME = 'tidegate.schema.json'

const usage = `Usage: tidegate init [--dir DIR]

Writes ${CONFIG_NAME}, commented, to start from, and ${SCHEMA_NAME} beside it, which editors
use to complete and check it. An existing ${CONFIG_NAME} is left alone: exit code 1.

      --dir DIR   where to write (default: the current directory; made if missing)
  -h, --help      this text`

export const verb: Verb = {
  name: 'init',
  summary: 'write a commented configuration to start from',
  usage,
  async run(args, io) {
    const { values } = parseArguments(args, { dir: { type: 'string' } } as const)
    const directory = values.dir ?? '.'
    const file = join(directory, CONFIG_NAME)
    const schemaFile = join(directory, SCHEMA_NAME)
    try {
      await mkdir(directory, { recursive: true })
      await writeFile(file, template(defaultGatewayId(hostname()), `./${SCHEMA_NAME}`), { flag: 'wx' })
      await writeFile(schemaFile, `${JSON.stringify(shippedSchema(await builtInPlugins()), undefined, 2)}\n`)
    } catch (error) {
      const code = systemCode(error)
      if (code === undefined) throw error
      const exists = code === 'EEXIST' && existsSync(file)
      const text = exists
        ? `${file} exists already and is left as it is`
        : `${file} cannot be written: ${describe(error)}`
      io.stderr.write(`tidegate: ${text}\n`)
      return 1
    }
    io.stdout.write(
      `wrote ${file} and ${schemaFile}\n` +
        `next: tidegate check --config ${file}, then tidegate run --config ${file}\n`,
    )
    return 0
  },
}
