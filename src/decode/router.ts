// From a message to its readings: topic → profile → decoder. What a topic leads to is worked out once and remembered, in
// bounds, because topics come from outside. decode() never throws: a payload that cannot be decoded is a fault, a value.

import type { Decodable, Decode, Decoding } from '../core/contract.ts'
import { DecodeError, describe, TidegateError } from '../core/errors.ts'
import { type DeviceProfile, GENERIC_PROFILE, type RuleDecoder } from '../core/profile.ts'
import { type Captures, compileTopicPattern, type TopicPattern } from '../core/topic-pattern.ts'
import { decodeGeneric, genericDevice, type ScalarPlace, scalarPlace } from './generic.ts'
import { shownFault } from './limits.ts'
import { type BoundRule, type CompiledRule, compileRule } from './rule.ts'

export interface Router {
  readonly decode: Decode
  /**
   * Whether a message of this topic may bring a reading of a device that matches; false is certain. `lists`: whether its
   * payload may be a JSON array (which may be SenML, with any names).
   */
  mayBeDevice(topic: string, source: string, lists: boolean, matches: (device: string) => boolean): boolean
  /** Decodes as this profile says, whatever claims the topic. TG_NOT_FOUND where no rule of it takes the message. */
  decodeAs(profile: string, message: Decodable): Decoding
  /** Which profile decides about a topic (and, where it is given, this payload), and why. */
  explain(topic: string, payload?: Buffer): Explanation
  readonly profiles: readonly DeviceProfile[]
}

export interface Explanation {
  /** Rules that match the topic, the one that is asked first first. Empty: the generic decoder. */
  readonly candidates: readonly Candidate[]
  /** One sentence. */
  readonly reason: string
}

export interface Candidate {
  readonly profile: string
  readonly pattern: string
  readonly decoder: RuleDecoder
  readonly device: string
  /** What the payload must be, where the rule is particular. */
  readonly condition?: string
}

/** Topics remembered: twice this many at most. Beyond, a topic is looked up again each time, which costs microseconds. */
const REMEMBERED_TOPICS = 4_096
/** Longer topics are not remembered: 65,535 bytes each would fill the memory. */
const LONGEST_REMEMBERED_TOPIC = 256

interface Pattern {
  readonly pattern: TopicPattern
  readonly rule: CompiledRule
}

interface Route {
  readonly bound: readonly BoundRule[]
  readonly place: ScalarPlace
}

export const createRouter = (profiles: readonly DeviceProfile[]): Router => new TopicRouter(profiles)

class TopicRouter implements Router {
  readonly profiles: readonly DeviceProfile[]
  /** The most specific first; among equals the profile that stands later in the list, then the earlier rule. */
  readonly #patterns: readonly Pattern[]
  // Two generations: when the young one is full the old one goes.
  #young = new Map<string, Route>()
  #old = new Map<string, Route>()

  constructor(profiles: readonly DeviceProfile[]) {
    this.profiles = profiles
    this.#patterns = profiles
      .toReversed()
      .flatMap((profile) => profile.rules.map((rule) => compileRule(profile, rule)))
      .flatMap((rule) => rule.rule.topics.map((topic) => ({ pattern: compileTopicPattern(topic), rule })))
      .toSorted((a, b) => (a.pattern.rank < b.pattern.rank ? -1 : a.pattern.rank > b.pattern.rank ? 1 : 0))
  }

  readonly decode: Decode = (message) => {
    try {
      const route = this.#route(message.topic)
      for (const bound of route.bound)
        if (bound.accepts === undefined || bound.accepts(message.payload)) return decodeBound(bound, message)
      return decodeByTopic(message, route.place)
    } catch (error) {
      return { profile: GENERIC_PROFILE, device: message.topic, readings: [], fault: faultText(error) }
    }
  }

  mayBeDevice(topic: string, source: string, lists: boolean, matches: (device: string) => boolean): boolean {
    const { bound, place } = this.#route(topic)
    const scalarDevice = place.device ?? source
    for (const { rule, device, accepts } of bound) {
      if (rule.decoder !== 'ignore' && matches(device)) return true
      // A scalar that the rule gives no name puts the device into the topic.
      if (rule.decoder !== 'ignore' && rule.decoder !== 'json' && rule.name === undefined && matches(scalarDevice))
        return true
      if (accepts === undefined) return false
    }
    return lists || matches(topic) || matches(scalarDevice)
  }

  decodeAs(profile: string, message: Decodable): Decoding {
    if (profile === GENERIC_PROFILE) return decodeByTopic(message, scalarPlace(message.topic))
    if (!this.profiles.some(({ name }) => name === profile))
      throw new TidegateError('TG_NOT_FOUND', `there is no device profile '${profile}'`)
    const bound = this.#matching(message.topic)
      .filter(({ pattern }) => pattern.rule.profile.name === profile)
      .map(({ pattern, captures }) => pattern.rule.bind(message.topic, captures))
      .find(({ accepts }) => accepts === undefined || accepts(message.payload))
    if (bound === undefined)
      throw new TidegateError('TG_NOT_FOUND', `no rule of profile '${profile}' takes topic '${message.topic}'`)
    return decodeBound(bound, message)
  }

  explain(topic: string, payload?: Buffer): Explanation {
    const takes = ({ accepts }: CompiledRule) => payload === undefined || accepts === undefined || accepts(payload)
    const matching = this.#matching(topic).filter(({ pattern }) => takes(pattern.rule))
    const candidates = matching.map(({ pattern: { pattern, rule }, captures }): Candidate => {
      const condition = conditionText(rule)
      const shown = {
        profile: rule.profile.name,
        pattern: pattern.text,
        decoder: rule.rule.decoder,
        device: rule.bind(topic, captures).device,
      }
      return condition === undefined ? shown : { ...shown, condition }
    })
    const [first, ...others] = candidates
    if (first === undefined)
      return { candidates, reason: 'no profile claims the topic, so the generic decoder takes it' }
    const only = first.condition === undefined ? '' : `, ${first.condition}`
    const rest = others.length === 0 ? '' : `; ${others.length} more match, less specific`
    return { candidates, reason: `the topic matches '${first.pattern}' of profile ${first.profile}${only}${rest}` }
  }

  #route(topic: string): Route {
    const young = this.#young.get(topic)
    if (young !== undefined) return young
    const route = this.#old.get(topic) ?? this.#found(topic)
    if (topic.length > LONGEST_REMEMBERED_TOPIC) return route
    if (this.#young.size >= REMEMBERED_TOPICS) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(topic, route)
    return route
  }

  #found(topic: string): Route {
    const bound: BoundRule[] = []
    for (const { pattern, rule } of this.#patterns) {
      const captures = pattern.match(topic)
      if (captures === undefined) continue
      bound.push(rule.bind(topic, captures))
      if (rule.accepts === undefined) break // it takes every payload: those behind it are never asked
    }
    return { bound, place: scalarPlace(topic) }
  }

  #matching(topic: string): readonly { readonly pattern: Pattern; readonly captures: Captures }[] {
    return this.#patterns.flatMap((pattern) => {
      const captures = pattern.pattern.match(topic)
      return captures === undefined ? [] : [{ pattern, captures }]
    })
  }
}

const decodeByTopic = (message: Decodable, place: ScalarPlace): Decoding => {
  try {
    return decodeGeneric(message, place)
  } catch (error) {
    const device = genericDevice(message, place)
    return { profile: GENERIC_PROFILE, device, readings: [], fault: faultText(error) }
  }
}

const decodeBound = (bound: BoundRule, message: Decodable): Decoding => {
  try {
    return bound.decode(message)
  } catch (error) {
    return { profile: bound.profile, device: bound.device, readings: [], fault: faultText(error) }
  }
}

/** Decoders throw DecodeError; anything else is our own mistake, and costs this message its readings, not the gateway. */
const faultText = (error: unknown): string =>
  shownFault(error instanceof DecodeError ? describe(error) : `a fault inside tidegate: ${describe(error)}`)

const conditionText = ({ rule }: CompiledRule): string | undefined => {
  const texts = [
    ...(rule.payloads ?? []).map((text) => JSON.stringify(text)),
    ...(rule.starts ?? []).map((text) => `${JSON.stringify(text)}…`),
  ]
  return texts.length === 0 ? undefined : `if the payload is ${texts.join(' or ')}`
}
