// The one table of operating errors: every code with its cause and its remedy. A test compares it with src/README.md.

const CODES = {
  TG_CONFIG_INVALID: ['the configuration is not valid', 'correct the lines that `tidegate check` names'],
  TG_CONFIG_MISSING: [
    'the configuration file cannot be read',
    'check the path and its permissions, or write one with `tidegate init`',
  ],
  TG_PORT_IN_USE: [
    'another program listens on the port',
    'stop the program that listens there, or change the key that is named',
  ],
  TG_LISTEN_FAILED: ['the address cannot be listened on', 'check the address and the permissions'],
  TG_DATA_LOCKED: [
    'another gateway uses the data directory',
    'stop the other gateway, or give this one a data directory of its own',
  ],
  TG_DATA_UNUSABLE: [
    'the data directory cannot be created, read or written',
    'check the path, its owner and the free space',
  ],
  TG_LOG_NEWER: ['the log was written by a newer version', 'upgrade tidegate, or start with another data directory'],
  TG_LOG_WRITE: [
    'the log cannot be written; nothing is acknowledged until it can',
    'check the disk and its free space',
  ],
  TG_LOG_CLOSED: ['the log is closed', 'the gateway is stopping; send again once it is back'],
  TG_MESSAGE_TOO_LARGE: ['the message is larger than the limit', 'send smaller messages, or raise maxPacketBytes'],
  TG_TOPIC_INVALID: [
    'the topic is not a valid MQTT Topic Name',
    'use 1 to 65535 bytes of UTF-8 without + # and control characters',
  ],
  TG_FILTER_INVALID: [
    'the filter is not a valid MQTT Topic Filter',
    'use + for one level and # for all levels at the end',
  ],
  TG_DECODE: [
    'the payload cannot be decoded',
    'look at it with `tidegate decode`, and write a device profile if it is a dialect of its own',
  ],
  TG_PROFILE_INVALID: ['a device profile is not valid', 'run `tidegate devices test` on it'],
  TG_UPSTREAM_UNREACHABLE: [
    'the upstream cannot be reached',
    'check the url and the network; messages are kept until it is back',
  ],
  TG_UPSTREAM_REFUSED: [
    'the upstream refused the connection or the declaration',
    'check user, permissions and the names in the sink',
  ],
  TG_UPSTREAM_STALLED: ['the upstream confirms nothing', 'check the broker; messages are kept until it confirms again'],
  TG_BAD_REQUEST: ['the request is malformed', 'see the OpenAPI description at /api/v1/openapi.json'],
  TG_NOT_FOUND: ['there is no such thing', 'see the list one level up'],
  TG_NO_MESSAGES: [
    'the log holds no message to go by',
    'check the topic, and that the device has sent something since the log began',
  ],
  TG_METHOD_NOT_ALLOWED: ['the method is not allowed here', 'see the OpenAPI description at /api/v1/openapi.json'],
  TG_BODY_TOO_LARGE: ['the request body is larger than the limit', 'send it in several requests'],
  TG_MEDIA_TYPE: ['the media type of the request body is not supported', 'send one that the message names'],
  TG_KEY_PENDING: [
    'the first request with this idempotency key is not answered yet',
    'send the same request again a little later',
  ],
  TG_KEY_REUSED: ['the idempotency key belongs to another body', 'use a new key for each new body'],
  TG_UNAUTHORIZED: [
    'a valid token is required',
    'send Authorization: Bearer with a token whose hash stands in api.tokens',
  ],
  TG_FORBIDDEN: ['this origin may not use the gateway', 'add it to api.origins'],
  TG_UNAVAILABLE: ['the gateway cannot do this now', 'try again later; GET /readyz says why'],
  TG_COMMAND_UNDELIVERABLE: [
    'no source can reach the device',
    'check that the device has been heard and its source can send',
  ],
  TG_TOO_MANY: ['a limit on connections or subscriptions is reached', 'close some, or raise the limit'],
  TG_GATEWAY_UNREACHABLE: ['the gateway does not answer', 'check that it runs and that api.listen is the address used'],
  TG_PLUGIN: ['a plug-in cannot be loaded', 'check its path and that it exports `plugin`'],
  TG_INTERNAL: ['a fault inside tidegate', 'report it with the log lines around it'],
} as const satisfies Record<string, readonly [cause: string, remedy: string]>

export type ErrorCode = keyof typeof CODES

/** All codes with cause and remedy, for documentation and problem details. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(CODES, code)

export const errorTable: Readonly<Record<ErrorCode, readonly [cause: string, remedy: string]>> = CODES

/** An operating error: its message says what happened and where; cause and remedy come from the table. */
export class TidegateError extends Error {
  readonly code: ErrorCode
  override readonly name: string = 'TidegateError'

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** What to do about it. */
  get remedy(): string {
    return CODES[this.code][1]
  }
}

/** The only error a decoder may throw. */
export class DecodeError extends TidegateError {
  override readonly name = 'DecodeError'

  constructor(message: string, options?: ErrorOptions) {
    super('TG_DECODE', message, options)
  }
}

/** The code of a system error (`ENOSPC`), or undefined. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** One line about anything that was thrown, with its causes as far as the message does not hold them already. */
export const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause === undefined) return error.message
  const cause = describe(error.cause)
  return error.message.includes(cause) ? error.message : `${error.message}: ${cause}`
}
