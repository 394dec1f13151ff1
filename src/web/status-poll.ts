// Asks GET /api/v1/status every few seconds, and GET /api/v1/devices when the status says that something changed there or
// after a while, while somebody looks at the page and the connection is live. Also knows how far the gateway's clock is from ours.

import type { StatusReport } from '../core/status.ts'
import type { Cell } from './cell.ts'
import { type DeviceInfo, parseDevices } from './protocol.ts'

const INTERVAL_MS = 3_000
const REQUEST_DEADLINE_MS = 10_000
const DEVICES_INTERVAL_MS = 5_000
/** The list grows with the number of devices; it is asked for the less often the longer it is. */
const DEVICES_INTERVAL_PER_DEVICE_MS = 5

export interface StatusSeen {
  readonly report: StatusReport
  /** By this browser's clock. */
  readonly receivedMs: number
  /** The gateway's clock minus this browser's. */
  readonly clockOffsetMs: number
}

export interface StatusPollOptions {
  /** Where /api/v1/ is. */
  readonly base: URL
  readonly token: () => string | undefined
  readonly wanted: () => boolean
  readonly status: Cell<StatusSeen | undefined>
  onDevices(devices: readonly DeviceInfo[]): void
}

export class StatusPoll {
  readonly #options: StatusPollOptions
  #timer: number | undefined
  #running = false
  #devicesDueMs = 0
  #seenDevices = -1
  #seenFaults = -1

  constructor(options: StatusPollOptions) {
    this.#options = options
  }

  /** Asks now, and from then on at intervals. */
  now(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.now(), INTERVAL_MS)
    if (!this.#running && this.#options.wanted()) void this.#poll()
  }

  async #poll(): Promise<void> {
    this.#running = true
    try {
      const askedMs = Date.now()
      const report = (await this.#get('status')) as StatusReport
      const receivedMs = Date.now()
      const clockOffsetMs = report.clock.time - (askedMs + receivedMs) / 2
      this.#options.status.set({ report, receivedMs, clockOffsetMs })
      const { devices, faults } = report.live
      const changed = devices !== this.#seenDevices || faults !== this.#seenFaults
      if (changed || performance.now() >= this.#devicesDueMs) {
        this.#options.onDevices(parseDevices(await this.#get('devices')))
        this.#seenDevices = devices
        this.#seenFaults = faults
        this.#devicesDueMs = performance.now() + DEVICES_INTERVAL_MS + devices * DEVICES_INTERVAL_PER_DEVICE_MS
      }
    } catch (error) {
      // The page says how old the status is; the connection finds out by itself what is wrong.
      console.debug('tidegate: the status is not available', error)
    } finally {
      this.#running = false
    }
  }

  async #get(path: string): Promise<unknown> {
    const token = this.#options.token()
    const response = await fetch(new URL(path, this.#options.base), {
      signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
      headers: { accept: 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    })
    if (!response.ok) throw new Error(`GET ${path} answered ${response.status}`)
    return response.json()
  }
}
