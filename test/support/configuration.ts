// A configuration written to a file of the test's own and loaded, or the problems that it has.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Config, ConfigError } from '../../src/config/config.ts'
import { type LoadOptions, loadConfig } from '../../src/config/load.ts'
import { temporaryDirectory } from './directory.ts'
import { pluginTypes } from './plugin-types.ts'

export interface Given extends Partial<LoadOptions> {
  /** Further files beside the configuration. */
  readonly files?: Readonly<Record<string, string>>
}

type Test = Parameters<typeof temporaryDirectory>[0]

/** The configuration of this text, in a directory of its own. */
export const configOf = async (t: Test, text: string, { files = {}, ...options }: Given = {}): Promise<Config> => {
  const directory = await temporaryDirectory(t)
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content)
  const file = join(directory, 'tidegate.yaml')
  await writeFile(file, text)
  return await loadConfig({ file, env: { HOME: directory }, hostname: 'test-host', plugins: pluginTypes, ...options })
}

/** What is wrong with this text, as `LINE:COL: message`. */
export const problemsOf = async (t: Test, text: string, given: Given = {}): Promise<readonly string[]> => {
  try {
    await configOf(t, text, given)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.lines.map((line) => line.replace(/^.*?tidegate\.yaml:/, ''))
  }
}
