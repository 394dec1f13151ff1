// The `filter` of a sink: devices by MQTT Topic Filters and readings by name; both must match where both are given.

import { topicMatcher } from '../core/topic.ts'
import type { ReadingFilter } from './batch.ts'

export interface FilterConfig {
  readonly devices?: readonly string[]
  readonly names?: readonly string[]
}

/** Devices whose match is remembered. */
const MAX_REMEMBERED_DEVICES = 10_000

/** Undefined when everything passes. */
export const readingFilter = (config: FilterConfig | undefined): ReadingFilter | undefined => {
  const matchers = config?.devices?.map(topicMatcher)
  const names = config?.names === undefined ? undefined : new Set(config.names)
  if (matchers === undefined && names === undefined) return undefined
  const known = new Map<string, boolean>()
  const deviceMatches = (device: string): boolean => {
    if (matchers === undefined) return true
    let matches = known.get(device)
    if (matches === undefined) {
      matches = matchers.some((matcher) => matcher(device))
      if (known.size >= MAX_REMEMBERED_DEVICES) known.clear()
      known.set(device, matches)
    }
    return matches
  }
  return (reading) => (names === undefined || names.has(reading.name)) && deviceMatches(reading.device)
}
