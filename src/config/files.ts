// Looks whether the files and directories that the configuration names are there, before anything starts.

import { accessSync, constants, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { systemCode } from '../core/errors.ts'
import type { Path } from './document.ts'
import { list, record } from './schema.ts'
import { type Finding, pathText } from './validation.ts'

/** `base` is the directory that relative paths start from. */
export const fileFindings = (value: unknown, base: string): readonly Finding[] => {
  const { gateway, api } = record(value)
  const tls = record(record(api)['tls'])
  return [
    ...list(record(gateway)['plugins']).map((path, index) => look(path, base, ['gateway', 'plugins', index], 'file')),
    ...list(record(gateway)['devices']).map((path, index) =>
      look(path, base, ['gateway', 'devices', index], 'directory'),
    ),
    ...(['cert', 'key'] as const).map((key) => look(tls[key], base, ['api', 'tls', key], 'file')),
  ].filter((finding) => finding !== undefined)
}

const look = (path: unknown, base: string, at: Path, expected: 'file' | 'directory'): Finding | undefined => {
  if (typeof path !== 'string' || path === '') return undefined
  const fault = pathFault(resolve(base, path), expected)
  return fault === undefined ? undefined : { path: at, at: 'value', message: `${pathText(at)}: ${path} ${fault}` }
}

const pathFault = (path: string, expected: 'file' | 'directory'): string | undefined => {
  try {
    if (statSync(path).isDirectory() !== (expected === 'directory')) return `is not a ${expected}`
    accessSync(path, constants.R_OK)
    return undefined
  } catch (error) {
    const code = systemCode(error)
    return code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? String(error)})`
  }
}
