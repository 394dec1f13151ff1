// How a serial line is set up and cut into frames: what a source of type `serial` and the section `serial` of a device
// profile have in common, as types and as the JSON Schema of both. A source takes from its profile what it does not say.

/** A text of which each character is one byte (`"\r\n"`, `"\xAA"`), or hexadecimal digits (`{ hex: AA C0 }`). */
export type ByteText = string | { readonly hex: string }

/** Where one frame ends and the next begins. Frames hold their start and end, except lines, SLIP, COBS and with `strip`. */
export type FramingSettings =
  | {
      readonly type: 'line'
      /** `any`, the default: CR, LF and CRLF. The end is no part of the frame; empty lines are none. */
      readonly end?: 'any' | 'cr' | 'lf' | 'crlf'
    }
  | {
      readonly type: 'delimiter'
      /** What is before it is no frame. Absent: a frame begins where the one before it ended. */
      readonly start?: ByteText
      readonly end: ByteText
      /** So many bytes after `end` belong to the frame (a checksum). */
      readonly trailing?: number
      /** Everything after `end`, up to and including the next LF, belongs to the frame. */
      readonly through?: 'line'
      /** `start` inside a frame begins a new one: the end of the one before it was lost. */
      readonly restart?: boolean
      /** What may interrupt a frame anywhere before its `end` is complete, and begins with this byte; a frame of its own. */
      readonly aside?: { readonly start: string; readonly end: ByteText }
      /** Leaves `start`, `end` and what follows it out of the frame. */
      readonly strip?: boolean
    }
  | {
      readonly type: 'fixed'
      /** Bytes of the whole frame. */
      readonly length: number
      readonly start: ByteText
      readonly end?: ByteText
      /** A frame that stands still for so long is given up; milliseconds. */
      readonly gap?: number
    }
  | {
      readonly type: 'length-prefix'
      readonly start: ByteText
      /** Where the length stands, from the first byte of the frame. */
      readonly offset: number
      /** Bytes of the length. */
      readonly size: 1 | 2 | 4
      /** `big` by default. */
      readonly endian?: 'big' | 'little'
      /** The whole frame is this much longer than the length says; by default the length counts what follows it. */
      readonly add?: number
      /** A frame that stands still for so long is given up; milliseconds. */
      readonly gap?: number
    }
  | { readonly type: 'slip' }
  | { readonly type: 'cobs' }
  | {
      readonly type: 'idle'
      /** A frame ends when nothing came for so long; milliseconds. */
      readonly gap: number
    }

export interface SerialSettings {
  /** 115200 by default. */
  readonly baudRate?: number
  readonly dataBits?: 5 | 6 | 7 | 8
  readonly stopBits?: 1 | 2
  readonly parity?: 'none' | 'even' | 'odd'
  readonly rtscts?: boolean
  readonly xonxoff?: boolean
  /** Set after opening; left as the system has them (raised) where absent. */
  readonly dtr?: boolean
  readonly rts?: boolean
  /** Lines by default. */
  readonly framing?: FramingSettings
  readonly maxFrameBytes?: number
  /** The port is opened anew when nothing came for so long; milliseconds. Never by default. */
  readonly silence?: number
  readonly write?: {
    /** Sent after each command. By default the end of a line where the framing is `line`, else nothing. */
    readonly terminator?: ByteText
    /** Milliseconds. */
    readonly timeout?: number
  }
}

type Schema = Readonly<Record<string, unknown>>

/** A length field or an end is looked for in so many bytes at most; longer markers are a mistake. */
const MAX_OFFSET = 64

const bytes = (description: string): Schema => ({
  description: `${description}; a text in double quotes, or { hex: AA C0 }`,
  anyOf: [
    { type: 'string', format: 'bytes', minLength: 1, maxLength: 32 },
    {
      type: 'object',
      additionalProperties: false,
      required: ['hex'],
      properties: { hex: { type: 'string', format: 'hex', maxLength: 96 } },
    },
  ],
})

const duration = (description: string, formatMinimum: string, formatMaximum: string): Schema => ({
  type: 'string',
  format: 'duration',
  formatMinimum,
  formatMaximum,
  description,
})

const gap = duration('A frame that stands still for so long is given up', '5ms', '60s')

const framing = (type: string, properties: Schema = {}, required: readonly string[] = []): Schema => ({
  type: 'object',
  additionalProperties: false,
  required: ['type', ...required],
  properties: { type: { const: type }, ...properties },
})

const start = bytes('First bytes of each frame')

const framings: readonly Schema[] = [
  framing('line', { end: { enum: ['any', 'cr', 'lf', 'crlf'], description: 'What ends a line; any by default' } }),
  framing(
    'delimiter',
    {
      start,
      end: bytes('What ends a frame'),
      trailing: {
        type: 'integer',
        minimum: 1,
        maximum: 64,
        description: 'Bytes after the end that belong to the frame',
      },
      through: { enum: ['line'], description: 'The rest of the line after the end belongs to the frame' },
      restart: { type: 'boolean', description: 'The start inside a frame begins a new one' },
      aside: {
        type: 'object',
        description: 'What may interrupt a frame; a frame of its own',
        additionalProperties: false,
        required: ['start', 'end'],
        properties: {
          start: { type: 'string', format: 'bytes', minLength: 1, maxLength: 1, description: 'Its first byte' },
          end: bytes('Its last bytes'),
        },
      },
      strip: { type: 'boolean', description: 'Leaves start and end out of the frame' },
    },
    ['end'],
  ),
  framing(
    'fixed',
    {
      length: { type: 'integer', minimum: 2, maximum: 65_536, description: 'Bytes of the whole frame' },
      start,
      end: bytes('Last bytes of each frame'),
      gap,
    },
    ['length', 'start'],
  ),
  framing(
    'length-prefix',
    {
      start,
      offset: { type: 'integer', minimum: 1, maximum: MAX_OFFSET, description: 'Where the length stands' },
      size: { enum: [1, 2, 4], description: 'Bytes of the length' },
      endian: { enum: ['big', 'little'], description: 'Byte order of the length; big by default' },
      add: {
        type: 'integer',
        minimum: -MAX_OFFSET,
        maximum: 1_024,
        description:
          'How much longer the whole frame is than its length says; by default, the length counts what follows it',
      },
      gap,
    },
    ['start', 'offset', 'size'],
  ),
  framing('slip'),
  framing('cobs'),
  framing('idle', { gap: duration('A frame ends when nothing came for so long', '5ms', '60s') }, ['gap']),
]

const FRAMING_TYPES = ['line', 'delimiter', 'fixed', 'length-prefix', 'slip', 'cobs', 'idle']

/** What a profile may say of the line of its devices, and a source of its own line. No defaults: the profile's come between. */
export const serialProperties: Readonly<Record<string, Schema>> = {
  baudRate: { type: 'integer', minimum: 50, maximum: 12_000_000, description: 'Bits per second; 115200 by default' },
  dataBits: { enum: [5, 6, 7, 8], description: '8 by default' },
  stopBits: { enum: [1, 2], description: '1 by default' },
  parity: { enum: ['none', 'even', 'odd'], description: 'none by default' },
  rtscts: { type: 'boolean', description: 'Flow control by RTS and CTS; false by default' },
  xonxoff: { type: 'boolean', description: 'Flow control by XON and XOFF; only for text. false by default' },
  dtr: { type: 'boolean', description: 'DTR after opening; raised by the system otherwise' },
  rts: { type: 'boolean', description: 'RTS after opening; raised by the system otherwise' },
  framing: {
    type: 'object',
    description: 'What is one message; lines by default',
    required: ['type'],
    // Said once more here, so that a misspelt one is told by its name.
    properties: { type: { enum: FRAMING_TYPES } },
    oneOf: framings,
  },
  maxFrameBytes: {
    type: 'string',
    format: 'size',
    formatMinimum: '16B',
    formatMaximum: '256KiB',
    description: 'Longest frame; a longer one is a fault. 16KiB by default',
  },
  silence: duration('The port is opened anew when nothing came for so long; never by default', '1s', '30d'),
  write: {
    type: 'object',
    description: 'How commands are written',
    additionalProperties: false,
    properties: {
      terminator: bytes('Sent after each command; with lines, by default their end'),
      timeout: duration('How long writing a command may take; 5s by default', '100ms', '5m'),
    },
  },
}
