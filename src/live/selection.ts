// Which readings somebody wants: any of some Topic Filters over devices, any of some names. Nothing given means everything.
// Equal selections have equal keys, so that what is prepared for one client serves all who asked for the same.

import { TidegateError } from '../core/errors.ts'
import { topicFilterFault, topicMatcher } from '../core/topic.ts'

export interface Selection {
  readonly key: string
  /** The devices, when each filter names exactly one; lets the hub look them up instead of matching. */
  readonly exactDevices: readonly string[] | undefined
  matches(device: string, name: string): boolean
  /** Absent where every device is wanted. */
  readonly matchesDevice?: (device: string) => boolean
}

/** Throws TG_FILTER_INVALID, naming the filter. */
export const selectionOf = (devices: readonly string[], names: readonly string[]): Selection => {
  const filters = [...new Set(devices)].sort()
  for (const filter of filters) {
    const fault = topicFilterFault(filter)
    if (fault !== undefined)
      throw new TidegateError('TG_FILTER_INVALID', `device filter '${filter.slice(0, 100)}' ${fault}`)
  }
  const wanted = new Set(names)
  const exact = filters.length > 0 && filters.every((filter) => !/[+#]/.test(filter))
  const matchesDevice = exact ? exactMatcher(new Set(filters)) : filterMatcher(filters)
  return {
    key: JSON.stringify([filters, [...wanted].sort()]),
    exactDevices: exact ? filters : undefined,
    ...(filters.length > 0 && { matchesDevice }),
    matches: (device, name) => (wanted.size === 0 || wanted.has(name)) && matchesDevice(device),
  }
}

const exactMatcher =
  (devices: ReadonlySet<string>) =>
  (device: string): boolean =>
    devices.has(device)

const filterMatcher = (filters: readonly string[]): ((device: string) => boolean) => {
  const matchers = filters.map(topicMatcher)
  const [only] = matchers
  if (only === undefined) return () => true
  return matchers.length === 1 ? only : (device) => matchers.some((matches) => matches(device))
}
