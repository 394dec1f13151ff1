// Which device a topic belongs to: as the messages said that were decoded, else as the router says of an empty object. Loss
// marks of the log know topics only; upstream, devices are what things are called.

import type { Decode, LossMark } from '../core/contract.ts'
import { mostAffected } from '../core/loss.ts'

/** Topics remembered: twice this many at most. */
const REMEMBERED_TOPICS = 4_096
/** Longer topics are not remembered: 65,535 bytes each would fill the memory. */
const LONGEST_REMEMBERED_TOPIC = 256
const EMPTY_OBJECT = Buffer.from('{}')

export class DeviceNames {
  readonly #decode: Decode
  // Two generations: when the young one is full the old one goes.
  #young = new Map<string, string>()
  #old = new Map<string, string>()

  constructor(decode: Decode) {
    this.#decode = decode
  }

  /** A message on this topic was of this device. */
  learn(topic: string, device: string): void {
    if (this.#young.has(topic) || topic.length > LONGEST_REMEMBERED_TOPIC) return
    if (this.#young.size >= REMEMBERED_TOPICS) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(topic, device)
  }

  /** The mark with `devices`, where it names topics and no devices. */
  named(mark: LossMark): LossMark {
    if (mark.topics === undefined || mark.devices !== undefined) return mark
    const counts = new Map<string, number>()
    for (const [topic, count] of Object.entries(mark.topics)) {
      const device = this.#deviceOf(topic)
      counts.set(device, (counts.get(device) ?? 0) + count)
    }
    const devices = mostAffected(counts)
    return devices === undefined ? mark : { ...mark, devices }
  }

  #deviceOf(topic: string): string {
    const known = this.#young.get(topic) ?? this.#old.get(topic)
    return known ?? this.#decode({ topic, payload: EMPTY_OBJECT, source: '', receivedAt: 0 }).device
  }
}
