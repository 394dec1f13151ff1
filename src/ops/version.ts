// The version of the program that runs, as its package says.

import { existsSync, readFileSync } from 'node:fs'

let known: string | undefined

/** Read once; 'unknown' when the package file is not where it belongs. */
export const version = (): string => {
  known ??= readVersion()
  return known
}

// package.json stands above src/ and dist/: one level up from a bundle, two from this file.
const readVersion = (): string => {
  const file = ['../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url))
  if (file === undefined) return 'unknown'
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : 'unknown'
}
