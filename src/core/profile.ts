// What a device profile says, as plain data: it is read from YAML by config/device-profiles.ts, sent to the forward
// thread by structured clone, and compiled by decode/. The meaning of each key for authors stands in devices/README.md.

/** Used where no profile matches; no profile may have this name. */
export const GENERIC_PROFILE = 'generic'

export interface DeviceProfile extends FieldDefaults {
  readonly name: string
  readonly title: string
  /** Where the dialect is documented. */
  readonly source: string
  /** What is device, name, unit and time, and which fields are noise. */
  readonly about: string
  /** The file it was read from, for messages. */
  readonly file: string
  readonly rules: readonly ProfileRule[]
  readonly examples: readonly ProfileExample[]
}

/** Settings of a profile that its rules inherit. */
export interface FieldDefaults {
  /** The first that matches decides; those of the rule come before those of the profile. */
  readonly fields?: readonly FieldRule[]
  /** Strings that mean "no value": no reading, and no fault. */
  readonly missing?: readonly string[]
  /** Numeric strings are numbers. */
  readonly numbers?: boolean
}

/**
 * The decoders that need no options: `json` takes objects and arrays only, `scalar` everything else, `generic` both; `ignore`
 * expects nothing of value. Any other name is a dialect: a plug-in of kind `decoder`.
 */
export const PLAIN_DECODERS: readonly string[] = ['json', 'scalar', 'generic', 'ignore']

export interface ProfileRule extends FieldDefaults {
  /** Topic patterns (core/topic-pattern.ts). Empty: the rule is for sources that name the profile, whatever the topic. */
  readonly topics: readonly string[]
  readonly decoder: string
  /** Of a dialect, as its schema accepted them. */
  readonly options?: Readonly<Record<string, unknown>>
  /** The rule applies to these payloads only; others go on to the next best rule. */
  readonly payloads?: readonly string[]
  /** The rule applies to payloads that start so. */
  readonly starts?: readonly string[]
  /** Template over the captures of the topic; `{device}` where absent. */
  readonly device?: string
  /** Template over the captures and, for JSON, `{path}`. */
  readonly name?: string
  /** Path of the object whose leaves are wanted; where it is missing the payload is faulty. */
  readonly root?: string
  readonly time?: TimeField
  readonly lists?: readonly ListRule[]
}

/** A source of the configuration that names the profile of what comes through it. */
export interface SourceBinding {
  readonly source: string
  /** Only this topic; everything of the source where absent. */
  readonly topic?: string
  readonly profile: string
  /** The device of its messages; the topic where absent. */
  readonly device?: string
}

export interface TimeField {
  /** Path from the root of the rule. */
  readonly path: string
  readonly format: TimeFormat
}

/** Seconds or milliseconds since 1970; a text of RFC 3339, used only where it has a zone; `any` tells them apart. */
export type TimeFormat = 'unix' | 'unix-ms' | 'iso8601' | 'any'

/** Elements of the array at `path` are named by a field of their own instead of their index. */
export interface ListRule {
  readonly path: string
  readonly key: string
}

export type ReadingValue = number | string | boolean

export interface FieldRule {
  /** Globs over the name that the rule gives: `*` is any part of one part between dots, `**` any number of parts, none included. */
  readonly match: readonly string[]
  readonly ignore?: boolean
  /** Template over the captures and `{path}`. */
  readonly name?: string
  readonly unit?: string
  /** Path, from the root of the rule, of a text that spells the unit; the value is converted into the SenML unit. */
  readonly unitFrom?: string
  readonly type?: 'number' | 'string' | 'boolean'
  /** What certain texts stand for. */
  readonly values?: Readonly<Record<string, ReadingValue>>
  readonly scale?: number
  readonly offset?: number
  /** Values outside are faults of the sensor: no reading, and a fault that names it. */
  readonly range?: readonly [number, number]
}

export interface ExampleMessage {
  readonly topic: string
  /** Text; or else `hex`. */
  readonly payload?: string
  /** Bytes in hexadecimal digits; white space does not count. */
  readonly hex?: string
}

export interface ProfileExample extends ExampleMessage {
  /** What came before it, oldest first, for dialects that need it. */
  readonly before?: readonly ExampleMessage[]
  /** ISO 8601. */
  readonly receivedAt?: string
  /** Device of every expected reading. */
  readonly device?: string
  readonly readings?: readonly ExpectedReading[]
  /** Part of the fault that is expected. */
  readonly fault?: string
  /** Who must be reported to be there (true) or gone (false). */
  readonly presence?: Readonly<Record<string, boolean>>
}

export interface ExpectedReading {
  readonly device?: string
  readonly name: string
  readonly value: ReadingValue
  readonly unit?: string
  /** ISO 8601; absent where the payload has no time. */
  readonly time?: string
  readonly historical?: boolean
}
