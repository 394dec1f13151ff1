// Puts in what the configuration takes from outside: `${NAME}` from the environment, `${file:PATH}` from a file,
// `${credential:NAME}` from systemd. `$${` stands for a plain `${`. What is missing is a problem with its position.

import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isPair, isScalar, isSeq, visit } from 'yaml'
import { systemCode } from '../core/errors.ts'
import type { ConfigDocument, Path, Problem } from './document.ts'

/** A secret or a certificate has a few kilobytes; a larger file is a mistake. */
const MAX_FILE_BYTES = 65_536

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The directory that paths are relative to. */
  readonly base: string
}

export interface Filled {
  readonly problems: readonly Problem[]
  /** Values that were written without quotes, and may therefore stand for a number or a boolean. */
  readonly unquoted: readonly Path[]
  /** Values that could not be filled: what stands there now is not what was meant. */
  readonly failed: readonly Path[]
}

const placeholder = /\$\$\{|\$\{([^{}]*)\}|\$\{/g

/** Replaces in the tree of the document, values only. */
export const fillPlaceholders = (document: ConfigDocument, surroundings: Surroundings): Filled => {
  const problems: Problem[] = []
  const unquoted: Path[] = []
  const failed: Path[] = []
  visit(document.tree, {
    Scalar(key, scalar, ancestors) {
      if (key === 'key' || typeof scalar.value !== 'string' || !scalar.value.includes('${')) return
      const path = pathOf([...ancestors, scalar])
      let searchFrom = scalar.range?.[0] ?? 0
      scalar.value = scalar.value.replace(placeholder, (written: string, inner: string | undefined) => {
        const found = document.text.indexOf(written, searchFrom)
        const offset = found === -1 ? searchFrom : found
        searchFrom = offset + written.length
        if (written === '$${') return '${'
        const result = lookUp(inner, surroundings)
        if (typeof result === 'string') return result
        failed.push(path)
        problems.push({ ...document.positionAt(offset), message: result.fault })
        return ''
      })
      if (scalar.type === 'PLAIN') unquoted.push(path)
    },
  })
  return { problems, unquoted, failed }
}

const pathOf = (nodes: readonly unknown[]): Path =>
  nodes.flatMap((node, index): Path => {
    if (isPair(node)) return [isScalar(node.key) ? String(node.key.value) : '']
    return isSeq(node) ? [node.items.indexOf(nodes[index + 1])] : []
  })

type Result = string | { readonly fault: string }

const lookUp = (inner: string | undefined, { env, base }: Surroundings): Result => {
  if (inner === undefined)
    return { fault: 'the placeholder ${ is not closed; write $${ for these characters themselves' }
  if (inner.startsWith('file:')) {
    const path = inner.slice('file:'.length)
    return readText(resolve(base, path), `file ${path}`)
  }
  if (inner.startsWith('credential:')) return readCredential(inner.slice('credential:'.length), env)
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(inner)) return env[inner] ?? { fault: `environment variable ${inner} is not set` }
  return { fault: `\${${inner}} is not a placeholder; known are \${NAME}, \${file:PATH} and \${credential:NAME}` }
}

const readCredential = (name: string, env: Surroundings['env']): Result => {
  if (!/^[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,254}$/.test(name)) return { fault: `'${name}' cannot name a credential` }
  const directory = env['CREDENTIALS_DIRECTORY']
  if (directory === undefined || directory === '') {
    return { fault: `credential ${name} is missing: systemd passed none (see LoadCredential= in the unit)` }
  }
  return readText(join(directory, name), `credential ${name}`)
}

const readText = (path: string, what: string): Result => {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) return { fault: `${what} is larger than ${MAX_FILE_BYTES} bytes` }
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    const code = systemCode(error)
    return { fault: `${what} ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? String(error)})`}` }
  }
}
