// The last value of each device and name, as the page knows it. Messages are applied at once, which conflates them;
// what changed is announced once per frame, to the cards concerned only. A page in the background keeps one mark per
// device, however much arrives.

import { Cell } from './cell.ts'
import type { DeviceInfo, DoubtfulValue, Reading } from './protocol.ts'

/** Names as people sort them: sensor2 before sensor10. */
const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

/** Ties of the collator (a and A) are broken by code unit, so that the order never depends on who came first. */
const byName = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0)

/** Twice what a gateway keeps by default. A page that is open for weeks must not outgrow the phone: beyond, it starts over. */
const STORE_LIMITS = { devices: 20_000, values: 100_000 }

export class Device {
  readonly name: string
  readonly readings = new Map<string, Reading>()
  /** Counts up when something about this device changed. */
  readonly version = new Cell(0)
  info: DeviceInfo | undefined
  #names: readonly string[] | undefined

  constructor(name: string) {
    this.name = name
  }

  /** Names of the values, sorted. */
  get names(): readonly string[] {
    this.#names ??= [...this.readings.keys()].sort(byName)
    return this.#names
  }

  /** What is wrong with the newest word of this value, unless a good one has come since. */
  doubt(name: string): DoubtfulValue | undefined {
    const seq = this.readings.get(name)?.seq ?? 0
    return this.info?.doubtful?.find((one) => one.name === name && one.seq > seq)
  }

  /** Returns whether a new name came with it. What is older than the value it would replace is left out. */
  apply(reading: Reading): boolean {
    if (reading.historical === true) return false
    const present = this.readings.get(reading.name)
    if (present !== undefined && present.seq > reading.seq) return false
    this.readings.set(reading.name, reading)
    // It has just spoken; the gateway's own word about it comes with the next list.
    if (this.info?.stale === true && this.info.staleReason !== 'offline') this.info = { ...this.info, stale: false }
    if (present !== undefined) return false
    this.#names = undefined
    return true
  }
}

export class DeviceStore {
  /** Sorted by name; another array when a device or a value name was added. */
  readonly devices = new Cell<readonly Device[]>([])
  /** Whether the gateway has said what it has; before, an empty list means nothing. */
  readonly known = new Cell(false)
  readonly #devices = new Map<string, Device>()
  readonly #changed = new Set<Device>()
  readonly #schedule: (work: () => void) => void
  readonly #limits: { readonly devices: number; readonly values: number }
  #values = 0
  #scheduled = false
  #grown = false
  #told = false

  /** `schedule` runs the work once, later: requestAnimationFrame. */
  constructor(schedule: (work: () => void) => void, limits = STORE_LIMITS) {
    this.#schedule = schedule
    this.#limits = limits
  }

  get valueCount(): number {
    return this.#values
  }

  /** More than the page can hold: what the gateway keeps is less, so clear and ask for it again. */
  get overflowing(): boolean {
    return this.#devices.size > this.#limits.devices || this.#values > this.#limits.values
  }

  apply(readings: readonly Reading[]): void {
    this.#told = true
    for (const reading of readings) {
      const device = this.#device(reading.device)
      if (device.apply(reading)) {
        this.#values++
        this.#grown = true
      }
      this.#changed.add(device)
    }
    this.#announceLater()
  }

  describe(infos: readonly DeviceInfo[]): void {
    for (const info of infos) {
      const device = this.#device(info.device)
      if (sameInfo(device.info, info)) continue
      device.info = info
      this.#changed.add(device)
    }
    this.#announceLater()
  }

  /** Another gateway, or another log: what was known is void. */
  clear(): void {
    this.#devices.clear()
    this.#changed.clear()
    this.#values = 0
    this.#grown = true
    this.#announceLater()
  }

  #device(name: string): Device {
    const present = this.#devices.get(name)
    if (present !== undefined) return present
    const device = new Device(name)
    this.#devices.set(name, device)
    this.#grown = true
    return device
  }

  #announceLater(): void {
    const news = this.#changed.size > 0 || this.#grown || this.#told !== this.known.value
    if (this.#scheduled || !news) return
    this.#scheduled = true
    this.#schedule(() => this.#announce())
  }

  #announce(): void {
    this.#scheduled = false
    this.known.set(this.#told)
    const changed = [...this.#changed]
    this.#changed.clear()
    if (this.#grown) {
      this.#grown = false
      this.devices.set([...this.#devices.values()].sort((a, b) => byName(a.name, b.name)))
    }
    for (const device of changed) device.version.set(device.version.value + 1)
  }
}

/** Whether a card would show the same; when it was last heard is not shown unless it is stale. */
const sameInfo = (a: DeviceInfo | undefined, b: DeviceInfo): boolean =>
  a !== undefined &&
  a.stale === b.stale &&
  a.staleReason === b.staleReason &&
  doubtKey(a) === doubtKey(b) &&
  a.faults === b.faults &&
  a.profile === b.profile &&
  a.lastFault?.seq === b.lastFault?.seq &&
  (!b.stale || a.lastHeard === b.lastHeard)

const doubtKey = ({ doubtful = [] }: DeviceInfo): string => doubtful.map(({ name, seq }) => `${seq} ${name}`).join('\n')
