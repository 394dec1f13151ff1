// The headers of CONTRACT section 7, one place for both versions of AMQP (application properties in 1.0).

import type { Outgoing } from './outgoing.ts'

export const APP_ID = 'tidegate'
/** The client libraries encode headers into a buffer of fixed size; a longer name stands in the body alone. */
const MAX_DEVICE_HEADER_BYTES = 4_096

/**
 * `tidegate-count` counts readings, or loss marks in a loss note. `tidegate-part` is only there where it is not 0, and
 * `tidegate-time-quality` where the clock of the gateway had not been set at one of the arrivals.
 */
export const headersOf = (message: Outgoing, gateway: string): Record<string, string | number> => {
  const headers: Record<string, string | number> = {
    'tidegate-gateway': gateway,
    'tidegate-first-seq': message.first,
    'tidegate-last-seq': message.last,
    'tidegate-count': message.count,
    'tidegate-lane': message.lane,
  }
  if (message.kind === 'readings' && Buffer.byteLength(message.device) <= MAX_DEVICE_HEADER_BYTES)
    headers['tidegate-device'] = message.device
  if (message.timeQuality !== undefined) headers['tidegate-time-quality'] = message.timeQuality
  if (message.part > 0) headers['tidegate-part'] = message.part
  return headers
}
