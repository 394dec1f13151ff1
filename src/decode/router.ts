// From a message to its readings: topic → profile → decoder. What a topic leads to is worked out once and remembered, in
// bounds, because topics come from outside. decode() never throws: a payload that cannot be decoded is a fault, a value.

import { COMMAND_SOURCE } from '../core/command.ts'
import type { Decodable, Decode, Decoding } from '../core/contract.ts'
import { DecodeError, describe, TidegateError } from '../core/errors.ts'
import type { DecoderPlugin } from '../core/plugin-contract.ts'
import { type DeviceProfile, GENERIC_PROFILE, type SourceBinding } from '../core/profile.ts'
import { type Captures, compileTopicPattern, type TopicPattern } from '../core/topic-pattern.ts'
import { Descriptions, type Learnable } from './descriptions.ts'
import { decodeGeneric, genericDevice, type ScalarPlace, scalarPlace } from './generic.ts'
import { shownFault } from './limits.ts'
import { PatternIndex } from './pattern-index.ts'
import { type BoundRule, type CompiledRule, compileRule } from './rule.ts'
import { TopicMemory } from './topic-memory.ts'

export interface Router {
  readonly decode: Decode
  /** Takes in what a message tells about others, for decoding these. Messages may come in any order, and again. */
  learn(message: Learnable): void
  /** Whether messages of this topic may tell about others; false is certain. */
  tells(topic: string, source: string): boolean
  /** What was learnt. */
  readonly descriptions: Descriptions
  /** The same profiles, with nothing learnt. */
  forgetful(): Router
  /**
   * Whether a message of this topic may bring a reading of a device that matches; false is certain. `lists`: whether its
   * payload may be a JSON array (which may be SenML, with any names).
   */
  mayBeDevice(topic: string, source: string, lists: boolean, matches: (device: string) => boolean): boolean
  /** Decodes as this profile says, whatever claims the topic. TG_NOT_FOUND where no rule of it takes the message. */
  decodeAs(profile: string, message: Decodable): Decoding
  /** Which profile decides about a topic (and, where it is given, this payload), and why. */
  explain(topic: string, payload?: Buffer, source?: string): Explanation
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
  readonly decoder: string
  readonly device: string
  /** What the payload must be, where the rule is particular. */
  readonly condition?: string
}

export interface RouterOptions {
  /** The dialects that profiles may name, by type. */
  readonly decoders?: ReadonlyMap<string, DecoderPlugin>
  /** Sources whose messages have a profile, whatever their topics. */
  readonly bindings?: readonly SourceBinding[]
}

interface Pattern {
  readonly pattern: TopicPattern
  readonly rule: CompiledRule
}

interface Route {
  /** Some rule may learn from its messages. */
  readonly tells: boolean
  readonly bound: readonly BoundRule[]
  readonly place: ScalarPlace
}

/** What an audit entry of a command says: it is no device's word, whatever a profile claims. */
const NO_DEVICE: Decoding = { profile: 'commands', device: '', readings: [] }

export const createRouter = (profiles: readonly DeviceProfile[], options: RouterOptions = {}): Router =>
  new TopicRouter(profiles, options)

class TopicRouter implements Router {
  readonly profiles: readonly DeviceProfile[]
  readonly descriptions = new Descriptions()
  readonly #options: RouterOptions
  readonly #rules: readonly CompiledRule[]
  /** The most specific first; among equals the profile that stands later in the list, then the earlier rule. */
  readonly #patterns: PatternIndex<Pattern>
  /** By source. */
  readonly #bindings: ReadonlyMap<string, readonly SourceBinding[]>
  readonly #memory = new TopicMemory<Route>()
  readonly #ofSource = new Map<string, TopicMemory<Route>>()

  constructor(profiles: readonly DeviceProfile[], options: RouterOptions) {
    this.profiles = profiles
    this.#options = options
    const bindings = options.bindings ?? []
    const sources = [...new Set(bindings.map(({ source }) => source))]
    this.#bindings = new Map(sources.map((name) => [name, bindings.filter(({ source }) => source === name)]))
    for (const source of sources) this.#ofSource.set(source, new TopicMemory())
    const dialects = { decoders: options.decoders ?? new Map(), descriptions: this.descriptions }
    this.#rules = profiles
      .toReversed()
      .flatMap((profile) => profile.rules.map((rule) => compileRule(profile, rule, dialects)))
    const patterns = this.#rules
      .flatMap((rule) => rule.rule.topics.map((topic) => ({ pattern: compileTopicPattern(topic), rule })))
      .toSorted((a, b) => (a.pattern.rank < b.pattern.rank ? -1 : a.pattern.rank > b.pattern.rank ? 1 : 0))
    this.#patterns = new PatternIndex(patterns)
  }

  readonly decode: Decode = (message) => {
    if (message.source === COMMAND_SOURCE) return NO_DEVICE
    try {
      const route = this.#route(message.topic, message.source)
      const decoding = decodeRouted(route, message)
      return this.descriptions.notesTopics ? this.#complete(decoding, message) : decoding
    } catch (error) {
      return { profile: GENERIC_PROFILE, device: message.topic, readings: [], fault: faultText(error) }
    }
  }

  learn(message: Learnable): void {
    if (message.topic === '' || message.source === COMMAND_SOURCE) return // the log's, or the gateway's own
    const { bound, tells } = this.#route(message.topic, message.source)
    if (!tells) return
    for (const { accepts, learn } of bound) {
      if (accepts !== undefined && !accepts(message.payload)) continue
      try {
        learn?.(message)
      } catch {
        // It tells nothing; why is what decoding says about it.
      }
      return
    }
  }

  tells(topic: string, source: string): boolean {
    return topic !== '' && source !== COMMAND_SOURCE && this.#route(topic, source).tells
  }

  forgetful(): Router {
    return new TopicRouter(this.profiles, this.#options)
  }

  mayBeDevice(topic: string, source: string, lists: boolean, matches: (device: string) => boolean): boolean {
    if (source === COMMAND_SOURCE) return false
    const { bound, place } = this.#route(topic, source)
    const scalarDevice = place.device ?? source
    for (const { rule, device, accepts, severalDevices } of bound) {
      if (severalDevices || (rule.decoder !== 'ignore' && matches(device))) return true
      // A scalar that the rule gives no name puts the device into the topic.
      const mayBeScalar = rule.decoder === 'scalar' || rule.decoder === 'generic'
      if (mayBeScalar && rule.name === undefined && matches(scalarDevice)) return true
      if (accepts === undefined) return false
    }
    return lists || matches(topic) || matches(scalarDevice)
  }

  decodeAs(profile: string, message: Decodable): Decoding {
    if (profile === GENERIC_PROFILE) return decodeByTopic(message, scalarPlace(message.topic))
    if (!this.profiles.some(({ name }) => name === profile))
      throw new TidegateError('TG_NOT_FOUND', `there is no device profile '${profile}'`)
    const bound = this.#named({ source: message.source, profile }, message.topic).find(
      ({ accepts }) => accepts === undefined || accepts(message.payload),
    )
    if (bound === undefined)
      throw new TidegateError('TG_NOT_FOUND', `no rule of profile '${profile}' takes topic '${message.topic}'`)
    return decodeBound(bound, message)
  }

  explain(topic: string, payload?: Buffer, source?: string): Explanation {
    const binding = source === undefined ? undefined : this.#binding(source, topic)
    const takes = ({ accepts }: Pick<CompiledRule, 'accepts'>) =>
      payload === undefined || accepts === undefined || accepts(payload)
    if (binding !== undefined) {
      const candidates = this.#named(binding, topic)
        .filter(takes)
        .map(({ profile, rule, device }) => ({ profile, pattern: topic, decoder: rule.decoder, device }))
      if (candidates.length > 0)
        return { candidates, reason: `source '${source}' names profile ${binding.profile} in the configuration` }
    }
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

  #route(topic: string, source: string): Route {
    const memory = this.#ofSource.get(source) ?? this.#memory
    const known = memory.get(topic)
    if (known !== undefined) return known
    const binding = this.#binding(source, topic)
    const named = binding === undefined ? [] : this.#named(binding, topic)
    const bound = named.length > 0 ? named : this.#found(topic)
    const tells = bound.some(({ learn }) => learn !== undefined)
    const route = { bound, place: scalarPlace(topic), tells }
    memory.set(topic, route)
    return route
  }

  /** By what other messages say about its topic. */
  #complete(decoding: Decoding, message: Decodable): Decoding {
    const { topic, source, seq } = message
    return this.descriptions.noted(source, topic, seq)?.complete(decoding, message, this.#deviceOf) ?? decoding
  }

  readonly #deviceOf = (topic: string, source: string, path: string | undefined): string => {
    const { bound, place } = this.#route(topic, source)
    return bound[0]?.device ?? (path === undefined ? (place.device ?? source) : topic)
  }

  #binding(source: string, topic: string): SourceBinding | undefined {
    const bindings = this.#bindings.get(source)
    return bindings?.find((one) => one.topic === topic) ?? bindings?.find((one) => one.topic === undefined)
  }

  /** The rules of the profile that a source names: those whose patterns match, then those without patterns. */
  #named({ profile, device }: SourceBinding, topic: string): readonly BoundRule[] {
    const captures: Captures = new Map([['device', device ?? topic]])
    return [
      ...this.#matching(topic)
        .filter(({ pattern }) => pattern.rule.profile.name === profile)
        .map(({ pattern, captures: own }) => pattern.rule.bind(topic, own)),
      ...this.#rules
        .filter(({ profile: { name }, rule }) => name === profile && rule.topics.length === 0)
        .map((rule) => rule.bind(topic, captures)),
    ]
  }

  #found(topic: string): readonly BoundRule[] {
    const bound: BoundRule[] = []
    for (const { pattern, rule } of this.#patterns.of(topic)) {
      const captures = pattern.match(topic)
      if (captures === undefined) continue
      bound.push(rule.bind(topic, captures))
      if (rule.accepts === undefined) break // it takes every payload: those behind it are never asked
    }
    return bound
  }

  #matching(topic: string): readonly { readonly pattern: Pattern; readonly captures: Captures }[] {
    return this.#patterns.of(topic).flatMap((pattern) => {
      const captures = pattern.pattern.match(topic)
      return captures === undefined ? [] : [{ pattern, captures }]
    })
  }
}

const decodeRouted = ({ bound, place }: Route, message: Decodable): Decoding => {
  for (const one of bound)
    if (one.accepts === undefined || one.accepts(message.payload)) return decodeBound(one, message)
  return decodeByTopic(message, place)
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
