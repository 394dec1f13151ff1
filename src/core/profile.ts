// What a device profile says, as plain data: it is read from YAML by config/device-profiles.ts, sent to the forward
// thread by structured clone, and compiled by decode/. The meaning of each key for authors stands in devices/README.md.

import type { SerialSettings } from './serial-settings.ts'
import type { ShapeRule } from './shape.ts'

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
  /** How a serial line to such a device is set up, for sources of type `serial` that name the profile. */
  readonly serial?: SerialSettings
  /** How often such a device reports, where that is certain; learnt from each device where absent. YAML: `interval: 60s`. */
  readonly intervalMs?: number
  /** What is shown and forwarded of its readings. */
  readonly shape?: readonly ShapeRule[]
  /** What such a device can be told. */
  readonly commands?: readonly ProfileCommand[]
  /** false: nothing else may be sent to such a device; any payload where absent. */
  readonly rawCommands?: boolean
  /** The registers of a Modbus device: what its source asks for, and what the dialect `modbus` makes of the answers. */
  readonly modbus?: ModbusSection
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
  /** Paths in the payload, for JSON, of what tells the device: the values that are there, joined with "/", are {device}. */
  readonly deviceFrom?: readonly string[]
  /** Template over the captures and, for JSON, `{path}`. */
  readonly name?: string
  /** Path of the object whose leaves are wanted; where it is missing the payload is faulty. */
  readonly root?: string
  /** Paths that are left out of the names of what is below them. */
  readonly strip?: readonly string[]
  readonly time?: TimeField
  readonly lists?: readonly ListRule[]
  /** Payloads that say that a device is there or gone: its will and its birth. They may be readings as well. */
  readonly presence?: PresenceRule
}

/** Who is there and who is gone, told by the text of a payload, or of one value in it. Any other text tells nothing. */
export interface PresenceRule {
  /** Path of the value where the payload is a JSON object; any other payload is compared as a whole, trimmed. */
  readonly path?: string
  /** Texts that mean: there. Numbers and booleans are compared as JSON writes them. */
  readonly online?: readonly string[]
  /** Texts that mean: gone. */
  readonly offline?: readonly string[]
  /** Template over the captures; the device of the rule where absent. */
  readonly device?: string
  /** It is a bridge: when it is gone, so is every device below its name and a slash. Its return brings back what it took. */
  readonly below?: boolean
}

/** One thing that devices of the profile can be told. {name} in a template is a parameter, a capture, or {device}. */
export interface ProfileCommand {
  readonly name: string
  readonly title?: string
  /** Patterns over the device's name (core/topic-pattern.ts): who has the command, and what its templates may use. All where absent. */
  readonly devices?: readonly string[]
  /** Template of the topic, for MQTT; absent for sources that need none. A value is one level of it. */
  readonly topic?: string
  /**
   * A text is a template. Anything else is sent as JSON: a text in it that is one {parameter} and nothing else becomes its
   * value, with its type; within other texts a value is text.
   */
  readonly payload: unknown
  readonly qos?: 0 | 1 | 2
  readonly parameters?: Readonly<Record<string, CommandParameter>>
}

/** What a parameter may be. The request `"value"` means the parameter of that name, or the only one. */
export interface CommandParameter {
  readonly type: 'number' | 'string' | 'boolean'
  readonly title?: string
  /** The only values that are allowed. */
  readonly values?: readonly ReadingValue[]
  /** Of a number. */
  readonly range?: readonly [number, number]
  readonly integer?: boolean
  /** SenML unit of a number, for people. */
  readonly unit?: string
  /** Of a text; MAX_COMMAND_TEXT where absent. Texts never hold control characters. */
  readonly maxLength?: number
  /** Used where the request leaves it out; without it, it must be there. */
  readonly default?: ReadingValue
  /** What is sent in place of certain values: { true: ON, false: OFF }. */
  readonly sends?: Readonly<Record<string, ReadingValue>>
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

/** Coils and discrete inputs hold one bit at an address, input and holding registers 16. */
export type ModbusTable = 'coil' | 'discrete' | 'input' | 'holding'

export type ModbusType = 'bool' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'u64' | 'i64' | 'f64' | 'string' | 'bcd'

/** Section `modbus`, every default filled in. */
export interface ModbusSection {
  readonly everyMs: number
  readonly timeoutMs?: number
  /** Registers, and coils or discrete inputs, that one request may ask for. */
  readonly maxRegisters: number
  readonly maxBits: number
  /** Addresses nobody asked for that may be read along with their neighbours. */
  readonly gap: number
  /** What must not be read along, inclusive. */
  readonly unreadable: readonly { readonly table: ModbusTable; readonly first: number; readonly last: number }[]
  readonly registers: readonly ModbusRegister[]
  readonly write: readonly ModbusWrite[]
}

export interface ModbusRegister {
  readonly name: string
  readonly table: ModbusTable
  /** As on the wire, from 0. */
  readonly address: number
  readonly type: ModbusType
  /** Registers of a string or of BCD. */
  readonly length?: number
  readonly words: 'big' | 'little'
  readonly bytes: 'big' | 'little'
  /** Lowest and highest bit of an unsigned number within. */
  readonly bits?: readonly [number, number]
  /** The bit is a truth. */
  readonly flag?: true
  readonly scale?: number
  readonly offset?: number
  /** Name of the register that holds a power of ten to multiply with. */
  readonly exponent?: string
  readonly unit?: string
  /** Raw values that mean "no value", as unsigned decimal numbers; or `nan`. */
  readonly missing?: readonly string[]
  /** Where it differs from the section's. */
  readonly everyMs?: number
}

/** What a command may write. */
export interface ModbusWrite {
  readonly name: string
  readonly table: ModbusTable
  readonly address: number
  readonly type: ModbusType
  readonly words: 'big' | 'little'
  readonly bytes: 'big' | 'little'
  /** Of the reading: the raw value is (value - offset) / scale. */
  readonly scale?: number
  readonly offset?: number
  readonly unit?: string
  readonly range?: readonly [number, number]
  /** Words that may be sent, and the raw values that they stand for. */
  readonly values?: Readonly<Record<string, number | boolean>>
  /** One register is written with function 16 instead of 6. */
  readonly multiple?: boolean
}
