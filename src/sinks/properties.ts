// The headers of CONTRACT section 7, one place for both versions of AMQP (application properties in 1.0).

import type { Outgoing } from './outgoing.ts'

export const APP_ID = 'tidegate'

/** `tidegate-count` counts readings, or loss marks in a loss note. `tidegate-part` is only there where it is not 0. */
export const headersOf = (message: Outgoing, gateway: string): Record<string, string | number> => {
  const headers: Record<string, string | number> = {
    'tidegate-gateway': gateway,
    'tidegate-first-seq': message.first,
    'tidegate-last-seq': message.last,
    'tidegate-count': message.count,
    'tidegate-lane': message.lane,
  }
  if (message.kind === 'readings') headers['tidegate-device'] = message.device
  if (message.part > 0) headers['tidegate-part'] = message.part
  return headers
}
