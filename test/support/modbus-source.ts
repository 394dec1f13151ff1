// A source of type modbus with profiles of the test's own, between a slave and a log in memory, and what came into the log.

import { resolveModbus, type WrittenModbus } from '../../src/config/modbus-section.ts'
import type { Reading, Source } from '../../src/core/contract.ts'
import type { DeviceProfile } from '../../src/core/profile.ts'
import { plugin as dialect } from '../../src/decode/dialects/modbus/plugin.ts'
import { createRouter } from '../../src/decode/router.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { plugin } from '../../src/sources/modbus/plugin.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'
import { profileOf } from './decoding.ts'
import { type MemoryLog, memoryLog } from './memory-log.ts'

interface Test {
  teardown(work: () => Promise<void>): void
}

export interface RunningModbus {
  readonly source: Source
  readonly log: MemoryLog
  readonly lines: ReturnType<typeof rememberingLogger>['lines']
  readonly meter: ReturnType<typeof rememberingMeter>
  /** Payloads of one device, oldest first. */
  payloads(device: string): readonly Payload[]
  decoded(device: string): readonly ReturnType<ReturnType<typeof createRouter>['decode']>[]
  /** The newest value of each reading of a device. */
  values(device: string): Readonly<Record<string, Reading['value']>>
}

export interface Payload {
  readonly unit: number
  readonly online?: boolean
  readonly reads: readonly { readonly table: string; readonly address: number; readonly data: string }[]
  readonly errors?: readonly { readonly code?: number; readonly error?: string; readonly address?: number }[]
}

/** The profile `name` with this section `modbus`, as it would be read from a file. */
export const modbusProfile = (name: string, written: WrittenModbus): DeviceProfile => {
  const modbus = resolveModbus(written)
  return profileOf(name, [{ topics: [], decoder: 'modbus', options: { ...modbus } }], { modbus })
}

/** `config`: durations in milliseconds, as the plug-in gets them. */
export const startModbus = async (
  t: Test,
  config: object,
  profiles: readonly DeviceProfile[],
  log = memoryLog(),
): Promise<RunningModbus> => {
  const name = 'bus'
  const logger = rememberingLogger()
  const meter = rememberingMeter()
  const clock = systemClock()
  const source = plugin.create(config, {
    name,
    gateway: 'test',
    logger,
    clock,
    meter,
    directory: '/nonexistent',
    replay: async function* () {
      yield []
    },
    profile: (wanted) => profiles.find((profile) => profile.name === wanted),
  })
  const router = createRouter(profiles, {
    decoders: new Map([['modbus', dialect]]),
    bindings: plugin.bindings?.(config, name) ?? [],
  })
  t.teardown(() => source.close())
  await source.start(log, new AbortController().signal)
  const entries = (device: string) => log.entries.filter(({ topic }) => topic === device)
  const decoded = (device: string) => entries(device).map((entry) => router.decode(entry))
  return {
    source,
    log,
    lines: logger.lines,
    meter,
    payloads: (device) => entries(device).map(({ payload }) => JSON.parse(payload.toString())),
    decoded,
    values: (device) =>
      Object.fromEntries(decoded(device).flatMap(({ readings }) => readings.map((one) => [one.name, one.value]))),
  }
}
