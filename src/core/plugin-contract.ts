// What a plug-in exports and is given: sources, dialects and sinks, built in or by third parties, all by the same loader.

import type { Clock, Entry, Logger, Meter, Seq, Sink, Source } from './contract.ts'
import type { Decoder } from './decoder-contract.ts'
import type { DeviceProfile, SourceBinding } from './profile.ts'

interface PluginBase {
  /** The `type` in the configuration. */
  readonly type: string
  /** JSON Schema of the plug-in's own keys (besides `name` and `type`); durations and sizes use the formats of config/units.ts. */
  readonly schema: Readonly<Record<string, unknown>>
}

/** `config` in create() is what the schema accepted, units resolved to milliseconds and bytes. */
export interface SourcePlugin extends PluginBase {
  readonly kind: 'source'
  /** Device profiles that this configuration of the source named `name` chooses for its messages. */
  bindings?(config: unknown, name: string): readonly SourceBinding[]
  create(config: unknown, context: SourceContext): Source
}

export interface SinkPlugin extends PluginBase {
  readonly kind: 'sink'
  create(config: unknown, context: SinkContext): Sink
}

/**
 * A dialect; `type` is what a rule of a device profile names as its `decoder`, `schema` that of the rule's `options`.
 * create() is called once for each rule, with options that the schema accepted and completed.
 */
export interface DecoderPlugin extends PluginBase {
  readonly kind: 'decoder'
  create(options: unknown): Decoder
}

export type Plugin = SourcePlugin | SinkPlugin | DecoderPlugin

export interface Context {
  /** Name of this source or sink in the configuration. */
  readonly name: string
  readonly gateway: string
  readonly logger: Logger
  readonly clock: Clock
  readonly meter: Meter
}

export interface SinkContext extends Context {
  /** Commands that come from the upstream: `request` as CommandDesk.request() (core/command.ts). Absent: nothing takes them. */
  readonly commands?: { request(device: string, body: unknown, by: string): Promise<string> }
}

export interface SourceContext extends Context {
  /** A directory of this source's own, created. */
  readonly directory: string
  /** Entries of the log after a seq, to rebuild what the source keeps in memory (retained messages). Ends at the durable seq. */
  replay(after: Seq): AsyncIterable<readonly Entry[]>
  /** A device profile, for sources that ask devices what their profile lists (Modbus). */
  profile(name: string): DeviceProfile | undefined
}
