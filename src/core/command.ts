// Commands to devices, as everybody sees them: who may order what, what the log keeps of it, and what a parameter of a
// profile's command may be.

import type { Seq, UnixMs } from './contract.ts'
import type { CommandParameter, ProfileCommand, ReadingValue } from './profile.ts'

/** Source of the audit entries in the log. No source can have this name: `$` is in no name of the configuration. */
export const COMMAND_SOURCE = '$commands'
/** Topics of the audit entries begin so; clients cannot publish to topics with `$`. */
export const COMMAND_TOPIC = '$tidegate/commands/'

/** The one way to devices, for REST, WebSocket, AMQP and the gateway itself. */
export interface CommandDesk {
  /**
   * Takes `{"topic"?, "payload", "qos"?}` or `{"command", "value"? | "parameters"?}`, each with an optional "id" that makes
   * sending it again harmless. Resolves with the id once the device's source took it; rejects with what is wrong.
   */
  request(device: string, body: unknown, by: string): Promise<string>
  /** Sends bytes as they are, whatever the profile says; for the gateway's own requests. */
  send(order: CommandOrder): Promise<string>
  /** What the device's profile offers. */
  offered(device: string): readonly ProfileCommand[]
}

export interface CommandOrder {
  readonly device: string
  readonly topic?: string
  readonly payload: Buffer
  /** 1 where absent. */
  readonly qos?: 0 | 1 | 2
  /** Who wants it: rest, ws, amqp, each with a name where there is one; automatic. */
  readonly by: string
  readonly reason?: string
  /** The source to send through, where it is known; else the one that heard the device last. */
  readonly source?: string
}

/**
 * Payload of an audit entry: one before the command is sent, one after it with its outcome. Sent means that the source took
 * it, failed that it did not, unknown that it did not say so in time.
 */
export interface CommandAudit {
  readonly id: string
  readonly device: string
  readonly by: string
  readonly source: string
  /** Name of the profile's command. */
  readonly command?: string
  readonly topic?: string
  /** As text, shortened; absent in the second entry. */
  readonly payload?: string
  readonly payloadBytes?: number
  readonly reason?: string
  readonly at: UnixMs
  readonly outcome?: 'sent' | 'failed' | 'unknown'
  readonly error?: string
}

/** A command as the log tells it. */
export interface CommandRecord extends Omit<CommandAudit, 'outcome'> {
  readonly seq: Seq
  /** pending: the second entry is not there (yet): the gateway may have stopped in between. */
  readonly outcome: 'pending' | 'sent' | 'failed' | 'unknown'
}

/** Characters of a text parameter, unless the profile says less or more: commands are words, not documents. */
const MAX_COMMAND_TEXT = 256

// A line break would begin a second command on a serial line; nobody types the others.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

const LONE_SURROGATE = /\p{Cs}/u

/** What follows the parameter's name in a message, such as "is 120, and must be from 0 to 100"; undefined where all is well. */
export const parameterFault = (parameter: CommandParameter, value: unknown): string | undefined => {
  const { type, values, range, integer } = parameter
  if (!isValue(value) || typeof value !== type) return `must be ${TYPES[type]}`
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return 'must be a finite number'
    if (integer === true && !Number.isSafeInteger(value)) return 'must be a whole number'
    if (range !== undefined && (value < range[0] || value > range[1]))
      return `is ${value}, and must be from ${range[0]} to ${range[1]}`
  }
  if (typeof value === 'string') {
    const maxLength = parameter.maxLength ?? MAX_COMMAND_TEXT
    if (value.length > maxLength) return `has ${value.length} characters, and may have ${maxLength}`
    if (CONTROL.test(value)) return 'has a control character'
    if (LONE_SURROGATE.test(value)) return 'is not valid Unicode'
  }
  if (values !== undefined && !values.includes(value))
    return `must be one of ${values.map((one) => JSON.stringify(one)).join(', ')}`
  return undefined
}

const TYPES = { number: 'a number', string: 'a text', boolean: 'true or false' } as const

const isValue = (value: unknown): value is ReadingValue =>
  typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean'
