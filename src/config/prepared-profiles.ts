// Device profiles that were read and checked when the program was built: reading and checking the YAML of all takes half a
// second and tens of megabytes, on a small machine ten times as long. A prepared profile stands for a file of exactly the same
// content, under exactly the same dialects; every other file is read as it is, so a changed profile counts at once.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import type { DeviceProfile } from '../core/profile.ts'
import type { PluginType } from './schema.ts'
import { record } from './schema.ts'

type Prepared = Omit<DeviceProfile, 'file'>

/** By the hash of the file's content. */
export type PreparedProfiles = ReadonlyMap<string, Prepared>

/** Written by the build, beside the program. */
const FILE = new URL('../profiles.json', import.meta.url)

export const contentHash = (content: string): string => createHash('sha256').update(content).digest('base64')

/** Empty where there are none, or none for these dialects: then the files are read. */
export const preparedProfiles = async (
  decoders: readonly PluginType[],
  file: URL = FILE,
): Promise<PreparedProfiles> => {
  let written: unknown
  try {
    written = JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return new Map() // it runs from its sources, or the file is damaged: the profiles themselves are there
  }
  const { dialects, profiles } = record(written)
  if (dialects !== fingerprint(decoders)) return new Map()
  return new Map(Object.entries(record(profiles)) as [string, Prepared][])
}

/** What this process has read itself, under the dialects of the last time; a reload need not read it again. */
export const profilesReadBefore = (decoders: readonly PluginType[]): Map<string, Prepared> => {
  const dialects = fingerprint(decoders)
  if (before.dialects !== dialects || before.profiles.size > MAX_BEFORE) before = { dialects, profiles: new Map() }
  return before.profiles
}

/** Versions of files that were changed again and again. */
const MAX_BEFORE = 1_000
let before: { readonly dialects: string; readonly profiles: Map<string, Prepared> } = {
  dialects: '',
  profiles: new Map(),
}

/** What preparedProfiles() reads, for profiles whose files are at hand. */
export const prepareProfiles = async (
  profiles: readonly DeviceProfile[],
  decoders: readonly PluginType[],
): Promise<string> => {
  const entries: [string, Prepared][] = []
  for (const { file, ...profile } of profiles) {
    const hash = contentHash(await readFile(file, 'utf8'))
    // What JSON cannot hold is read from its file each time.
    if (isDeepStrictEqual(JSON.parse(JSON.stringify(profile)), profile)) entries.push([hash, profile])
  }
  return JSON.stringify({ dialects: fingerprint(decoders), profiles: Object.fromEntries(entries) })
}

const fingerprint = (decoders: readonly PluginType[]): string => {
  const dialects = decoders.filter(({ kind }) => kind === 'decoder').map(({ type, schema }) => [type, schema] as const)
  return contentHash(JSON.stringify(dialects.toSorted(([one], [other]) => (one < other ? -1 : 1))))
}
