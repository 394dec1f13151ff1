// What the gateway gives to a plug-in, for contract tests: nothing is logged or counted, and the log is empty.

import { resolveUnits } from '../config/resolution.ts'
import { validator } from '../config/validation.ts'
import type { Health } from '../core/contract.ts'
import type { Context, Plugin, SourceContext } from '../core/plugin-contract.ts'
import { systemClock } from '../ops/clock.ts'

export const PLUGIN_NAME = 'contract-test'

const silent = (): void => undefined

export const testContext = (): Context => ({
  name: PLUGIN_NAME,
  gateway: 'contract-test-gateway',
  logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
  clock: systemClock(),
  meter: { add: silent, set: silent, observe: silent },
})

export const testSourceContext = (directory: string): SourceContext => ({
  ...testContext(),
  directory,
  replay: async function* () {
    yield []
  },
  profile: () => undefined,
})

/** The configuration as the gateway would hand it to create(): checked and completed. Throws what is wrong. */
export const acceptedConfig = (plugin: Plugin, config: object): unknown => {
  const completed = structuredClone(config)
  const schema = { type: 'object', additionalProperties: false, ...plugin.schema }
  const findings = validator(schema)(completed)
  if (findings.length > 0) throw new Error(findings.map(({ message }) => message).join('; '))
  return resolveUnits(completed, schema)
}

/** What kind, type and schema must be. */
export const checkShape = (plugin: Plugin, kind: Plugin['kind']): void => {
  if (plugin.kind !== kind) throw new Error(`kind is '${plugin.kind}' instead of '${kind}'`)
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(plugin.type))
    throw new Error(`type '${plugin.type}' is no name of a-z, 0-9 and -`)
  if (typeof plugin.schema !== 'object' || plugin.schema === null) throw new Error('schema is no JSON Schema')
  if (typeof plugin.create !== 'function') throw new Error('create is no function')
}

const STATES: readonly Health['state'][] = ['starting', 'ok', 'degraded', 'failed', 'closed']

export const checkHealth = (health: Health, when: string): void => {
  if (!STATES.includes(health.state)) throw new Error(`${when}, health().state is '${health.state}'`)
  if (!Number.isFinite(health.since)) throw new Error(`${when}, health().since is no time`)
  if (health.state !== 'ok' && health.state !== 'closed' && (health.reason ?? '') === '')
    throw new Error(`${when}, health() is '${health.state}' and gives no reason`)
}
