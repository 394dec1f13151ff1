// The arguments of a verb: options as node:util parses them, with errors that name the nearest known option.

import { type ParseArgsConfig, parseArgs } from 'node:util'
import { nearest } from '../config/nearest.ts'
import { systemCode } from '../core/errors.ts'
import { UsageError } from './verb.ts'

type Options = NonNullable<ParseArgsConfig['options']>
type Parsed<O extends Options> = ReturnType<typeof parseArgs<{ options: O; allowPositionals: true; strict: true }>>

/** Throws UsageError. At most `positionals` words may stand beside the options. */
export const parseArguments = <const O extends Options>(
  args: readonly string[],
  options: O,
  positionals = 0,
): Parsed<O> => {
  const parsed = parse(args, options)
  const extra = parsed.positionals[positionals]
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  return parsed
}

/** A whole number in a range, as an option gives it. */
export const parseWholeNumber = (option: string, text: string, minimum: number, maximum: number): number => {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  throw new UsageError(`${option} must be a whole number from ${minimum} to ${maximum}, not '${text}'`)
}

const parse = <O extends Options>(args: readonly string[], options: O): Parsed<O> => {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined || !code.startsWith('ERR_PARSE_ARGS')) throw error
    const unknown = /^Unknown option '(-{1,2}[^']*)'/.exec(String(error instanceof Error && error.message))?.[1]
    if (unknown === undefined) throw new UsageError(firstSentence(error))
    const meant = nearest(unknown.replace(/^-+/, ''), Object.keys(options))
    throw new UsageError(`unknown option '${unknown}'${meant === undefined ? '' : `; did you mean --${meant}?`}`)
  }
}

const firstSentence = (error: unknown): string =>
  error instanceof Error ? (error.message.split(/[.\n]/)[0] ?? error.message) : String(error)
