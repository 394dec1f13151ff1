// From a file to the one frozen configuration: parse, fill placeholders, validate with the plug-ins' schemas, resolve
// units and paths. Every problem is found in one go, each with its position.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { redactText } from '../core/redaction.ts'
import { assemble } from './assembly.ts'
import { type Config, ConfigError } from './config.ts'
import { ConfigDocument, type Problem } from './document.ts'
import { fileFindings } from './files.ts'
import { partFindings, wholeSchema } from './parts.ts'
import { fillPlaceholders } from './placeholders.ts'
import { coerceAt, resolveUnits, withoutEmptyKeys } from './resolution.ts'
import { coreSchema, list, type PluginType, record } from './schema.ts'
import { semanticFindings } from './semantics.ts'
import { type Finding, pathText, validator } from './validation.ts'

/** Used when no file is named, if it exists. */
const DEFAULT_CONFIG_FILE = '/etc/tidegate/tidegate.yaml'

export interface LoadOptions {
  /** As the user wrote it, for messages. Without it: the default file if it exists, else the built-in defaults. */
  readonly file?: string | undefined
  readonly defaultFile?: string
  /** What holds when there is no file, as YAML; empty unless given. */
  readonly builtIn?: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly hostname: string
  /** The built-in plug-ins. */
  readonly plugins: readonly PluginType[]
  /** Loads a third-party plug-in from an absolute path. Without it, `gateway.plugins` is an error. */
  readonly loadPlugin?: (path: string) => Promise<PluginType>
}

/** Throws ConfigError with everything that is wrong, or TG_CONFIG_MISSING when the file cannot be read. */
export const loadConfig = async (options: LoadOptions): Promise<Config> => {
  const { env, hostname, defaultFile = DEFAULT_CONFIG_FILE, builtIn = '' } = options
  const label = options.file ?? (existsSync(defaultFile) ? defaultFile : undefined)
  const file = label === undefined ? undefined : resolve(label)
  const base = file === undefined ? resolve('.') : dirname(file)
  const document = new ConfigDocument(label === undefined ? builtIn : await read(label))
  const problems: Problem[] = [...document.problems]
  const refuseIfAny = () => {
    if (problems.length > 0) throw new ConfigError(label ?? 'built-in defaults', problems)
  }
  refuseIfAny()

  const { problems: missing, unquoted, failed } = fillPlaceholders(document, { env, base })
  const { value: written, problem } = document.value()
  problems.push(...missing, ...(problem === undefined ? [] : [problem]))
  if (problem !== undefined) refuseIfAny()

  const { plugins, findings: pluginFindings } = await allPlugins(written, base, options)
  const schema = wholeSchema(written, plugins)
  const filled = unquoted.reduce<unknown>((value, path) => coerceAt(value, path, schema), written ?? {})
  const value = withoutEmptyKeys(filled, schema)
  const findings = [...validator(coreSchema)(value), ...partFindings(value, plugins), ...pluginFindings]
  // What the schema refuses already need not be looked at for its meaning.
  const refused = new Set(findings.map(({ path }) => pathText(path)))
  const further = [...semanticFindings(value), ...fileFindings(value, base)]
  findings.push(...further.filter(({ path }) => !refused.has(pathText(path))))
  // A placeholder that could not be filled leaves a broken text, whose own faults are only its echo.
  const broken = new Set(failed.map(pathText))
  const own = findings.filter(({ path }) => !broken.has(pathText(path)))
  problems.push(...own.map((finding) => located(document, finding)))
  refuseIfAny()

  return assemble(resolveUnits(value, wholeSchema(value, plugins)), { file, base, env, hostname })
}

const read = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw new TidegateError('TG_CONFIG_MISSING', `${file} does not exist`)
    throw new TidegateError('TG_CONFIG_MISSING', `${file} cannot be read`, { cause: error })
  }
}

const allPlugins = async (written: unknown, base: string, { plugins, loadPlugin }: LoadOptions) => {
  const loaded: PluginType[] = []
  const findings: Finding[] = []
  const paths = list(record(record(written)['gateway'])['plugins'])
  for (const [index, path] of paths.entries()) {
    if (typeof path !== 'string' || path === '') continue // reported by the schema
    const report = (message: string) => findings.push({ path: ['gateway', 'plugins', index], at: 'value', message })
    if (loadPlugin === undefined) {
      report('third-party plug-ins are not available in this version yet')
      continue
    }
    try {
      const plugin = await loadPlugin(resolve(base, path))
      const fault = schemaFault(plugin)
      if (fault === undefined) loaded.push(plugin)
      else report(`plug-in ${path}: its schema is not valid: ${fault}`)
    } catch (error) {
      report(`plug-in ${path}: ${describe(error)}`)
    }
  }
  return { plugins: [...plugins, ...loaded], findings }
}

const schemaFault = (plugin: PluginType): string | undefined => {
  try {
    validator({ type: 'object', ...plugin.schema })
    return undefined
  } catch (error) {
    return describe(error)
  }
}

const located = (document: ConfigDocument, { path, at, message }: Finding): Problem => ({
  ...(at === 'key' ? document.keyPosition(path) : document.valuePosition(path)),
  message: redactText(message),
})
