// The plug-in 'serial': its configuration, what it takes from the profile, and what it creates.

import type { SourcePlugin } from '../../core/plugin-contract.ts'
import { type SerialSettings, serialProperties } from '../../core/serial-settings.ts'
import { bytesOf } from './byte-text.ts'
import { createFraming } from './framings.ts'
import { SerialSource } from './source.ts'

/** The accepted configuration, sizes in bytes and durations in milliseconds. */
interface SerialConfig extends SerialSettings {
  readonly path: string
  readonly profile?: string
  readonly device?: string
  readonly topic?: string
}

const DEFAULT_MAX_FRAME_BYTES = 16 * 1024
const DEFAULT_WRITE_TIMEOUT_MS = 5_000

const name = (description: string) => ({
  type: 'string',
  format: 'topic',
  minLength: 1,
  maxLength: 1_024,
  description,
})

export const plugin: SourcePlugin = {
  kind: 'source',
  type: 'serial',
  schema: {
    type: 'object',
    description: 'A serial port: each frame that comes in is a message',
    additionalProperties: false,
    required: ['path'],
    properties: {
      path: {
        type: 'string',
        minLength: 2,
        maxLength: 4_096,
        format: 'device-path',
        description: 'The port; /dev/serial/by-id/… and by-path/… keep their names, /dev/ttyUSB0 does not',
      },
      profile: {
        type: 'string',
        minLength: 1,
        description: 'Device profile of what comes in; what it says of the line holds where the source says nothing',
      },
      device: name('Device of what comes in; by default the topic'),
      topic: name('Topic of what comes in; by default the device, else the name of the source'),
      ...serialProperties,
    },
  },
  bindings: (config, sourceName) => {
    const { profile, device, topic } = config as SerialConfig
    return profile === undefined ? [] : [{ source: sourceName, profile, device: device ?? topic ?? sourceName }]
  },
  create: (config, context) => {
    const own = config as SerialConfig
    const settings: SerialSettings = {
      ...(own.profile === undefined ? {} : context.profile(own.profile)?.serial),
      ...own,
    }
    const { framing: cut = { type: 'line' }, maxFrameBytes = DEFAULT_MAX_FRAME_BYTES, silence, write = {} } = settings
    const { baudRate, dataBits, stopBits, parity, rtscts, xonxoff, dtr, rts } = settings
    const framing = createFraming(cut, maxFrameBytes)
    const port = { baudRate, dataBits, stopBits, parity, rtscts, xonxoff, dtr, rts }
    return new SerialSource(
      {
        path: own.path,
        topic: own.topic ?? own.device ?? context.name,
        port: defined(port),
        framing,
        silenceMs: silence,
        terminator: write.terminator === undefined ? framing.terminator : bytesOf(write.terminator),
        writeTimeoutMs: write.timeout ?? DEFAULT_WRITE_TIMEOUT_MS,
      },
      context,
    )
  },
}

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

const defined = <T extends object>(value: T): Defined<T> =>
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Defined<T>
