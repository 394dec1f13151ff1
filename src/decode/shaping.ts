// The way of readings from the decoder to whoever shows or forwards them: first what their profile says about their shape,
// then what the sink says.

import type { Decoding, Reading, UnixMs } from '../core/contract.ts'
import type { DeviceProfile } from '../core/profile.ts'
import type { ShapeRule } from '../core/shape.ts'
import { Shaper } from './shaper.ts'

export class Shaping {
  /** By profile; those without rules have none. */
  readonly #profiles: ReadonlyMap<string, Shaper>
  readonly #sink: Shaper | undefined

  constructor(profiles: ReadonlyMap<string, Shaper>, sink: Shaper | undefined) {
    this.#profiles = profiles
    this.#sink = sink
  }

  /** How much of the past is needed to go on exactly; 0 where windows are not in use. */
  get windowMs(): number {
    const ofSink = this.#sink?.windowMs ?? 0
    return ofSink + Math.max(0, ...Array.from(this.#profiles.values(), ({ windowMs }) => windowMs))
  }

  /** What passes of a message that arrived at `atMs`. Calls come in order. */
  shape(decoding: Decoding, atMs: UnixMs): Decoding {
    let readings: readonly Reading[] = this.#profiles.has(decoding.profile) ? [] : decoding.readings
    // The arrival of anybody ends the windows of all.
    for (const [profile, shaper] of this.#profiles) {
      const passed = shaper.shape(profile === decoding.profile ? decoding.readings : [], atMs)
      if (passed.length > 0) readings = readings.length === 0 ? passed : [...readings, ...passed]
    }
    if (this.#sink !== undefined) readings = this.#sink.shape(readings, atMs)
    return readings === decoding.readings ? decoding : { ...decoding, readings }
  }

  /** Goes on from here, and can be given up. */
  fork(): Shaping {
    const profiles = new Map(Array.from(this.#profiles, ([name, shaper]) => [name, shaper.fork()]))
    return new Shaping(profiles, this.#sink?.fork())
  }

  /** The same rules, with nothing seen. */
  anew(): Shaping {
    const profiles = new Map(Array.from(this.#profiles, ([name, shaper]) => [name, shaper.anew()]))
    return new Shaping(profiles, this.#sink?.anew())
  }

  /** Makes what this fork has seen the knowledge of the one that it was forked from. */
  merge(): void {
    for (const shaper of this.#profiles.values()) shaper.merge()
    this.#sink?.merge()
  }
}

/** Undefined where nothing is to be shaped. `rules` are those of a sink. */
export const createShaping = (
  profiles: readonly DeviceProfile[],
  rules: readonly ShapeRule[] = [],
): Shaping | undefined => {
  const shapers = profiles.flatMap(({ name, shape }) =>
    shape === undefined ? [] : [[name, new Shaper(shape)] as const],
  )
  if (shapers.length === 0 && rules.length === 0) return undefined
  return new Shaping(new Map(shapers), rules.length === 0 ? undefined : new Shaper(rules))
}
