// What the gateway says to the page, as far as the page uses it: the WebSocket messages of /api/v1/live and the answer of
// GET /api/v1/devices. parseServerMessage() lets nothing through that does not have these shapes.

export interface Reading {
  readonly seq: number
  readonly device: string
  readonly name: string
  readonly value: number | string | boolean
  readonly unit?: string
  /** RFC 3339. */
  readonly time: string
  readonly timeQuality?: 'unsynced' | 'corrected'
  /** Sent late by the device: it is no last value. */
  readonly historical?: true
}

/** A value whose newest word cannot be right. */
export interface DoubtfulValue {
  readonly name: string
  readonly quality: 'faulty' | 'out-of-range'
  readonly seq: number
  readonly time: string
}

export interface DeviceInfo {
  readonly device: string
  readonly profile: string
  readonly source: string
  /** RFC 3339. */
  readonly lastHeard: string
  readonly faults: number
  readonly lastFault?: { readonly seq: number; readonly time: string; readonly reason: string }
  readonly expectedIntervalMs?: number
  readonly stale: boolean
  readonly staleReason?: 'offline' | 'overdue'
  readonly presenceSince?: { readonly seq: number; readonly time: string }
  readonly doubtful?: readonly DoubtfulValue[]
}

export type ServerMessage =
  | { readonly type: 'hello'; readonly gateway: string; readonly seq: number; readonly auth: 'none' | 'required' }
  | { readonly type: 'authorized' | 'pong' }
  | { readonly type: 'snapshot' | 'readings'; readonly seq: number; readonly readings: readonly Reading[] }
  | { readonly type: 'gap'; readonly from: number; readonly to: number; readonly reason: string }
  | { readonly type: 'error'; readonly code: string; readonly message: string }

/** Undefined for what this page does not know: a newer gateway may say more. */
export const parseServerMessage = (text: string): ServerMessage | undefined => {
  const data = parseObject(text)
  if (data === undefined) return undefined
  const { type, seq, gateway, auth, from, to, reason, code, message } = data
  switch (type) {
    case 'hello':
      if (typeof gateway !== 'string' || typeof seq !== 'number') return undefined
      return { type, gateway, seq, auth: auth === 'required' ? 'required' : 'none' }
    case 'authorized':
    case 'pong':
      return { type }
    case 'snapshot':
    case 'readings':
      if (typeof seq !== 'number' || !Array.isArray(data['readings'])) return undefined
      return { type, seq, readings: data['readings'].filter(isReading) }
    case 'gap':
      if (typeof from !== 'number' || typeof to !== 'number') return undefined
      return { type, from, to, reason: String(reason) }
    case 'error':
      return { type, code: String(code), message: String(message) }
    default:
      return undefined
  }
}

const parseObject = (text: string): Record<string, unknown> | undefined => {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return undefined // not ours; the server closes the connection if something is really wrong
  }
  return isObject(data) ? data : undefined
}

const isObject = (data: unknown): data is Record<string, unknown> => typeof data === 'object' && data !== null

const isReading = (data: unknown): data is Reading => {
  if (!isObject(data)) return false
  const { device, name, seq, time, value } = data
  const scalar = typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean'
  return scalar && typeof device === 'string' && typeof name === 'string' && typeof seq === 'number' && isTime(time)
}

const isTime = (time: unknown): time is string => typeof time === 'string' && !Number.isNaN(Date.parse(time))

/** The devices of GET /api/v1/devices; what has another shape is left out. */
export const parseDevices = (data: unknown): readonly DeviceInfo[] => {
  if (!isObject(data) || !Array.isArray(data['devices'])) return []
  return data['devices'].filter(isDeviceInfo)
}

const isDeviceInfo = (data: unknown): data is DeviceInfo =>
  isObject(data) &&
  typeof data['device'] === 'string' &&
  typeof data['profile'] === 'string' &&
  typeof data['faults'] === 'number' &&
  isTime(data['lastHeard'])
