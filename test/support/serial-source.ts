// A serial source on a log in memory, as the gateway would create it.

import { resolveUnits } from '../../src/config/resolution.ts'
import { validator } from '../../src/config/validation.ts'
import type { Source } from '../../src/core/contract.ts'
import type { DeviceProfile } from '../../src/core/profile.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { plugin } from '../../src/sources/serial/plugin.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'
import { type MemoryLog, memoryLog } from './memory-log.ts'

export interface StartedSource {
  readonly source: Source
  readonly log: MemoryLog
  readonly logger: ReturnType<typeof rememberingLogger>
  readonly meter: ReturnType<typeof rememberingMeter>
  readonly frames: () => string[]
}

export const startSerial = async (
  t: { teardown: (work: () => Promise<void>) => void },
  config: object,
  profiles: readonly Pick<DeviceProfile, 'name' | 'serial'>[] = [],
  name = 'port',
): Promise<StartedSource> => {
  const value = structuredClone(config)
  const findings = validator(plugin.schema)(value)
  if (findings.length > 0) throw new Error(findings.map(({ message }) => message).join())
  const [log, logger, meter] = [memoryLog(), rememberingLogger(), rememberingMeter()]
  const source = plugin.create(resolveUnits(value, plugin.schema), {
    ...{ name, gateway: 'test', logger, meter, clock: systemClock(), directory: '' },
    replay: async function* () {
      yield* []
    },
    profile: (wanted) => profiles.find((profile) => profile.name === wanted) as DeviceProfile | undefined,
  })
  t.teardown(() => source.close())
  await source.start(log, new AbortController().signal)
  return { source, log, logger, meter, frames: () => log.entries.map(({ payload }) => payload.toString('latin1')) }
}
