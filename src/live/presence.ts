// Whether devices are there, by what they and their bridges said last (wills, births, deaths), and by being heard: a live message
// after the word that a device is gone shows that it is back. A retained message shows nothing: it may be years old.

import type { Seq } from '../core/contract.ts'
import { correctedMoment, type Moment } from './moment.ts'

export type PresenceState = 'online' | 'offline' | 'unknown'

/** Bridges whose absence is remembered; more of them are a stranger's invention. */
const MAX_BRIDGES = 1_000

/** What one device said, and when it was heard. */
export class DevicePresence {
  #online: boolean | undefined
  #since: Moment | undefined
  /** Of the newest word. */
  #wordSeq: Seq = 0
  #firstLive: Moment | undefined
  #liveSeq: Seq = 0

  /** A word about the device; words come in seq order. */
  say(online: boolean, moment: Moment): void {
    this.#wordSeq = moment.seq
    if (this.#online === online) return
    this.#online = online
    this.#since = moment
  }

  /** A live message from it. */
  heard(seq: Seq, moment: () => Moment): void {
    this.#liveSeq = seq
    if (this.#firstLive === undefined || this.#online === false) {
      const now = moment()
      this.#firstLive ??= now
      if (this.#online === false && seq > this.#wordSeq) this.say(true, now)
    }
  }

  /** Takes over what an older stretch of the log knew. */
  adopt(older: DevicePresence): void {
    const live = this.#firstLive
    if (this.#online === undefined) {
      this.#online = older.#online
      this.#since = older.#since
      this.#wordSeq = older.#wordSeq
      if (this.#online === false && live !== undefined) this.say(true, live)
    } else if (this.#online === older.#online) this.#since = older.#since
    this.#firstLive = older.#firstLive ?? live
    this.#liveSeq = Math.max(this.#liveSeq, older.#liveSeq)
  }

  correct(bootId: string, correctionMs: number): void {
    if (this.#since !== undefined) this.#since = correctedMoment(this.#since, bootId, correctionMs)
    if (this.#firstLive !== undefined) this.#firstLive = correctedMoment(this.#firstLive, bootId, correctionMs)
  }

  /** `gone`: since when a bridge above it is. */
  state(gone: Moment | undefined): { readonly presence: PresenceState; readonly since?: Moment } {
    const since = this.#since
    if (this.#online !== false && gone !== undefined && gone.seq > Math.max(this.#wordSeq, this.#liveSeq))
      return { presence: 'offline', since: gone }
    if (this.#online === undefined || since === undefined) return { presence: 'unknown' }
    return { presence: this.#online ? 'online' : 'offline', since }
  }
}

/** Words about everything below a name: `zigbee2mqtt` is gone, and so is `zigbee2mqtt/lamp`. */
export class Bridges {
  /** By name, the newest word last. */
  readonly #words = new Map<string, { readonly online: boolean; readonly moment: Moment }>()

  say(name: string, online: boolean, moment: Moment): void {
    const known = this.#words.get(name)
    if (known !== undefined && known.moment.seq > moment.seq) return
    // Repeated, it tells nothing new: what was heard in between is there.
    this.#words.delete(name)
    this.#words.set(name, { online, moment })
    for (const oldest of this.#words.keys()) {
      if (this.#words.size <= MAX_BRIDGES) break
      this.#words.delete(oldest)
    }
  }

  adopt(older: Bridges): void {
    for (const [name, { online, moment }] of older.#words) this.say(name, online, moment)
  }

  correct(bootId: string, correctionMs: number): void {
    for (const [name, { online, moment }] of this.#words)
      this.#words.set(name, { online, moment: correctedMoment(moment, bootId, correctionMs) })
  }

  /** The newest moment at which something above the device was said to be gone and has not come back. */
  gone(device: string): Moment | undefined {
    if (this.#words.size === 0) return undefined
    let newest: Moment | undefined
    for (let end = device.length; end > 0; end = device.lastIndexOf('/', end - 1)) {
      const word = this.#words.get(device.slice(0, end))
      if (word?.online === false && word.moment.seq > (newest?.seq ?? 0)) newest = word.moment
    }
    return newest
  }
}
