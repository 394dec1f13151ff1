// A verb of the command line, and how its outcome becomes an exit code: 0 done, 1 failed at run time, 2 wrong usage or
// invalid configuration.

import { describe, type ErrorCode, TidegateError } from '../core/errors.ts'
import { redactText } from '../core/redaction.ts'
import type { Io } from './io.ts'

export interface Verb {
  readonly name: string
  /** One line, for the list of verbs. */
  readonly summary: string
  /** The whole text of `--help`, without a trailing newline. */
  readonly usage: string
  /** Resolves with the exit code. What it throws is shown by runVerb. */
  run(args: readonly string[], io: Io): Promise<number>
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Runs the verb, answers `--help`, and shows whatever it throws as a user can use it. */
export const runVerb = async (verb: Verb, args: readonly string[], io: Io): Promise<number> => {
  if (asksForHelp(args)) {
    io.stdout.write(`${verb.usage}\n`)
    return 0
  }
  try {
    return await verb.run(args, io)
  } catch (error) {
    if (io.signal.aborted && error === io.signal.reason) return 0
    if (error instanceof UsageError) {
      io.stderr.write(`tidegate ${verb.name}: ${error.message}\nSee 'tidegate ${verb.name} --help'.\n`)
      return 2
    }
    if (!(error instanceof TidegateError)) throw error
    io.stderr.write(failureText(error))
    return configurationCodes.includes(error.code) ? 2 : 1
  }
}

/** An operating error in one line: what happened and what to do. A list of problems stands for itself. */
const failureText = (error: TidegateError): string => {
  // A port in use is all there is to say about it; the system's words for the same would only make the line longer.
  const message = redactText(error.code === 'TG_PORT_IN_USE' ? error.message : describe(error))
  if (isList(error)) return `${message}\n`
  return `tidegate: ${message}; ${error.remedy} (${error.code})\n`
}

const configurationCodes: readonly ErrorCode[] = ['TG_CONFIG_INVALID', 'TG_CONFIG_MISSING', 'TG_PROFILE_INVALID']

const isList = ({ name, message }: TidegateError): boolean => name === 'ConfigError' || message.includes('\n')

const asksForHelp = (args: readonly string[]): boolean => {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? args.length : end).some((arg) => arg === '--help' || arg === '-h')
}
