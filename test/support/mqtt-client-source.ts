// The source 'mqtt-client' over a log in memory.

import type { Source } from '../../src/core/contract.ts'
import { plugin } from '../../src/sources/mqtt-client/plugin.ts'
import { type LoggedLine, rememberingLogger, rememberingMeter, turnableClock } from './context.ts'
import { temporaryDirectory } from './directory.ts'
import { type MemoryLog, memoryLog } from './memory-log.ts'
import { until } from './until.ts'

type TestRun = Parameters<typeof temporaryDirectory>[0]

export interface RunningClient {
  readonly source: Source
  readonly log: MemoryLog
  readonly directory: string
  readonly lines: readonly LoggedLine[]
  /** By `name{label=value,…}`. */
  readonly counters: ReadonlyMap<string, number>
  connected(): Promise<unknown>
  /** Resolves with `topic payload` of everything in the log once it holds so many. */
  received(count: number): Promise<readonly string[]>
}

export interface ClientOptions {
  readonly log?: MemoryLog
  readonly directory?: string
}

export const startClient = async (t: TestRun, config: object, options: ClientOptions = {}): Promise<RunningClient> => {
  const directory = options.directory ?? (await temporaryDirectory(t))
  const log = options.log ?? memoryLog()
  const logger = rememberingLogger()
  const meter = rememberingMeter()
  const source = plugin.create(config, {
    name: 'house',
    gateway: 'test',
    logger,
    meter,
    clock: turnableClock(),
    directory,
    replay: async function* () {
      // it keeps nothing in memory
    },
    profile: () => undefined,
  })
  if (!('start' in source)) throw new Error('not a source')
  t.teardown(() => source.close())
  await source.start(log, new AbortController().signal)
  return {
    source,
    log,
    directory,
    lines: logger.lines,
    counters: meter.values,
    connected: () => until('the client is connected', () => source.health().state === 'ok', 20_000),
    received: (count) =>
      until(`${count} messages are in the log`, () => log.entries.length >= count && texts(log), 20_000),
  }
}

const texts = (log: MemoryLog): readonly string[] => log.entries.map(({ topic, payload }) => `${topic} ${payload}`)
