// Reads device profiles: YAML files, one device family each, from the built-in directory and those of the configuration.
// A profile replaces one of the same name from an earlier directory. Everything that is wrong is reported at once.

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import type { DeviceProfile } from '../core/profile.ts'
import { type SerialSettings, serialProperties } from '../core/serial-settings.ts'
import { type ShapeRule, shapeSchema } from '../core/shape.ts'
import { ConfigDocument, type Problem } from './document.ts'
import { resolveModbus } from './modbus-section.ts'
import { contentHash, type PreparedProfiles, preparedProfiles, profilesReadBefore } from './prepared-profiles.ts'
import { profileSchema } from './profile-schema.ts'
import { profileFindings, type WrittenField, type WrittenProfile } from './profile-semantics.ts'
import { resolveUnits } from './resolution.ts'
import type { PluginType } from './schema.ts'
import { parseDuration } from './units.ts'
import { type Finding, validator } from './validation.ts'

/** A directory with more files is not one of profiles. */
const MAX_FILES = 1_000

export interface ProfileReport {
  /** Valid profiles, those of later directories last. */
  readonly profiles: readonly DeviceProfile[]
  /** `FILE:LINE:COL: message`, one problem each. */
  readonly problems: readonly string[]
}

/** `devices/` of this package, wherever it runs from: src/, dist/ or a bundle. */
export const builtInDevicesDirectory = (): string => {
  let directory = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const candidate = join(directory, 'devices')
    if (existsSync(join(candidate, 'README.md'))) return candidate
    const parent = dirname(directory)
    if (parent === directory)
      throw new TidegateError('TG_PROFILE_INVALID', 'the built-in device profiles are not installed')
    directory = parent
  }
}

/** `decoders`: plug-ins, for what rules name as their decoder. Throws TG_PROFILE_INVALID with every problem, one a line. */
export const loadDeviceProfiles = async (
  directories: readonly string[],
  decoders: readonly PluginType[],
): Promise<readonly DeviceProfile[]> => {
  const { profiles, problems } = await readDeviceProfiles(directories, decoders)
  if (problems.length > 0) throw new TidegateError('TG_PROFILE_INVALID', problems.join('\n'))
  return profiles
}

/** The same without throwing, for those who want what is valid and a list of what is not. */
export const readDeviceProfiles = async (
  directories: readonly string[],
  decoders: readonly PluginType[],
): Promise<ProfileReport> => {
  const reports: ProfileReport[] = []
  for (const directory of directories) {
    try {
      const files = (await readdir(directory)).filter((name) => /\.ya?ml$/.test(name)).sort()
      if (files.length > MAX_FILES) throw new TidegateError('TG_PROFILE_INVALID', `has more than ${MAX_FILES} profiles`)
      reports.push(
        await readProfileFiles(
          files.map((name) => join(directory, name)),
          decoders,
        ),
      )
    } catch (error) {
      reports.push({ profiles: [], problems: [`${shown(directory)}: ${unreadable(error)}`] })
    }
  }
  return mergeProfiles(reports)
}

/** Reads single files; two of them with one name are a problem. */
export const readProfileFiles = async (
  files: readonly string[],
  decoders: readonly PluginType[],
): Promise<ProfileReport> => {
  const profiles = new Map<string, DeviceProfile>()
  const problems: string[] = []
  const prepared = await preparedProfiles(decoders)
  const reading: Reading = { decoders, prepared, before: profilesReadBefore(decoders), validate: undefined }
  for (const file of files) {
    const found = await readProfile(file, reading)
    problems.push(...found.problems)
    if (found.profile === undefined) continue
    const other = profiles.get(found.profile.name)
    if (other === undefined) profiles.set(found.profile.name, found.profile)
    else problems.push(`${shown(file)}:1:1: profile ${other.name} is already in ${shown(other.file)}`)
  }
  return { profiles: [...profiles.values()], problems }
}

/** Later reports replace profiles of the same name and stand behind the others. */
export const mergeProfiles = (reports: readonly ProfileReport[]): ProfileReport => {
  const profiles = new Map<string, DeviceProfile>()
  for (const profile of reports.flatMap((report) => report.profiles)) {
    profiles.delete(profile.name)
    profiles.set(profile.name, profile)
  }
  return { profiles: [...profiles.values()], problems: reports.flatMap((report) => report.problems) }
}

interface Reading {
  readonly decoders: readonly PluginType[]
  readonly prepared: PreparedProfiles
  readonly before: Map<string, Omit<DeviceProfile, 'file'>>
  /** Made for the first file that was not prepared. */
  validate: ReturnType<typeof validator> | undefined
}

const readProfile = async (
  file: string,
  reading: Reading,
): Promise<{ readonly profile?: DeviceProfile; readonly problems: readonly string[] }> => {
  let content: string
  try {
    content = await readFile(file, 'utf8')
  } catch (error) {
    return { problems: [`${shown(file)}:1:1: ${unreadable(error)}`] }
  }
  const hash = contentHash(content)
  const known = reading.prepared.get(hash) ?? reading.before.get(hash)
  if (known !== undefined) return { profile: { ...known, file }, problems: [] }
  const document = new ConfigDocument(content)
  const at = ({ line, column, message }: Problem) => `${shown(file)}:${line}:${column}: ${message}`
  if (document.problems.length > 0) return { problems: document.problems.map(at) }
  const { value, problem } = document.value()
  if (problem !== undefined) return { problems: [at(problem)] }
  const { decoders } = reading
  reading.validate ??= validator(profileSchema(dialectNames(decoders)))
  const findings = reading.validate(value)
  // Only what the schema accepted can be looked at more closely.
  const all = findings.length > 0 ? findings : profileFindings(value as WrittenProfile, decoders)
  if (all.length > 0) {
    const located = all.map((finding) => ({ ...position(document, finding), message: ofProfile(finding.message) }))
    return { problems: located.sort((a, b) => a.line - b.line || a.column - b.column).map(at) }
  }
  const profile = withMatchLists(value as WrittenProfile)
  reading.before.set(hash, profile)
  return { profile: { ...profile, file }, problems: [] }
}

const dialectNames = (decoders: readonly PluginType[]): readonly string[] =>
  decoders.filter(({ kind }) => kind === 'decoder').map(({ type }) => type)

const withMatchLists = (written: WrittenProfile): Omit<DeviceProfile, 'file'> => {
  const lists = ({ fields }: { readonly fields?: readonly WrittenField[] }) =>
    fields === undefined ? {} : { fields: fields.map((field) => ({ ...field, match: [field.match].flat() })) }
  const { fields: _, rules, interval, serial, modbus, shape, ...rest } = written
  const section = modbus === undefined ? undefined : resolveModbus(modbus)
  const intervalMs = interval === undefined ? undefined : parseDuration(interval)
  return {
    ...rest,
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(serial === undefined
      ? {}
      : { serial: resolveUnits(serial, { properties: serialProperties }) as SerialSettings }),
    ...(section === undefined ? {} : { modbus: section }),
    ...(shape === undefined ? {} : { shape: resolveUnits(shape, shapeSchema) as readonly ShapeRule[] }),
    ...lists(written),
    rules: rules.map((rule) => {
      const { fields: __, ...ruleRest } = rule
      const options = rule.decoder === 'modbus' && section !== undefined ? { options: { ...section } } : {}
      return { ...ruleRest, ...lists(rule), ...options }
    }),
  }
}

const position = (document: ConfigDocument, { path, at }: Finding) =>
  at === 'key' ? document.keyPosition(path) : document.valuePosition(path)

const ofProfile = (message: string): string => message.replace(/^the configuration /, 'the profile ')

const unreadable = (error: unknown): string =>
  systemCode(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${describe(error)}`

/** Short where it can be: relative to where the user is. */
const shown = (path: string): string => {
  const near = relative('.', path)
  return near.startsWith('..') ? path : near
}
