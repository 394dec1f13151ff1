// One rule of a device profile, compiled: from a topic that its pattern matched to a function over messages.

import type { Decodable, Decoding, Doubt, Reading } from '../core/contract.ts'
import { DecodeError } from '../core/errors.ts'
import type { DecoderPlugin } from '../core/plugin-contract.ts'
import { type DeviceProfile, PLAIN_DECODERS, type ProfileRule } from '../core/profile.ts'
import { type Captures, expandTemplate } from '../core/topic-pattern.ts'
import type { Descriptions, Learnable } from './descriptions.ts'
import { Dialect } from './dialect.ts'
import { doubtOf } from './doubt.ts'
import { at, compileFields, type Fields, type Refused, readingName } from './fields.ts'
import { documentLeaves, scalarPlace } from './generic.ts'
import { parseJson } from './json-text.ts'
import { Leaves } from './leaves.ts'
import { nameFault, shownFault } from './limits.ts'
import { looksLikeJson, payloadText } from './payload.ts'
import { payloadDevice } from './payload-device.ts'
import { presenceTeller } from './presence.ts'
import { jsonString, parseScalar, type ScalarValue } from './scalar.ts'
import { payloadTime } from './time-field.ts'

export interface CompiledRule {
  readonly profile: DeviceProfile
  readonly rule: ProfileRule
  /** Whether the rule wants this payload; absent where it takes all. */
  readonly accepts: ((payload: Buffer) => boolean) | undefined
  /** For one topic; the captures are those of the pattern that matched. */
  bind(topic: string, captures: Captures): BoundRule
}

export interface BoundRule extends Pick<CompiledRule, 'accepts'> {
  readonly profile: string
  readonly rule: ProfileRule
  /** The device, unless a scalar without a name of its own puts it into the topic. */
  readonly device: string
  /** Its readings may belong to devices that the topic does not tell. */
  readonly severalDevices: boolean
  /** Throws DecodeError. */
  decode(message: Decodable): Decoding
  /** Takes in what the message tells about others; absent where none does. Throws DecodeError. */
  readonly learn?: (message: Learnable) => void
}

/** The dialects that there are, and what is known through them. */
export interface Dialects {
  readonly decoders: ReadonlyMap<string, DecoderPlugin>
  readonly descriptions: Descriptions
}

const NO_READINGS: readonly Reading[] = []

export const compileRule = (profile: DeviceProfile, rule: ProfileRule, dialects: Dialects): CompiledRule => {
  if (!PLAIN_DECODERS.includes(rule.decoder)) return compileDialectRule(profile, rule, dialects)
  const fields = compileFields(profile, rule)
  const lists = new Map((rule.lists ?? []).map((list) => [list.path, list.key]))
  const strip = (rule.strip ?? []).map((path) => `${path}.`)
  const accepts = payloadCondition(rule)
  const bind = (topic: string, captures: Captures): BoundRule => {
    const from = rule.deviceFrom
    const device = from === undefined ? expandTemplate(rule.device ?? '{device}', captures) || topic : topic
    const template = rule.name ?? '{path}'
    // Parted before the captures come in: what a topic holds is never a template.
    const [before = '', after = ''] = template.split('{path}').map((part) => expandTemplate(part, captures))
    const fixedName = template.includes('{path}') ? undefined : before
    const scalarName = rule.name === undefined ? undefined : `${before.replace(/\.$/, '')}${after}`
    const deviceOf = from === undefined ? undefined : payloadDevice(from, rule.device, captures)
    const bound = { rule, fields, lists, strip, captures, deviceOf, fixedName, before, after }
    const nothing: Decoding = { profile: profile.name, device, readings: NO_READINGS }
    const decode = (message: Decodable): Decoding => {
      if (rule.decoder === 'ignore' || (message.payload.length === 0 && fields.isMissing(''))) return nothing
      const text = payloadText(message.payload)
      if (text[0] === '{' || text[0] === '[') {
        if (rule.decoder === 'scalar') throw new DecodeError('the payload is JSON where the profile expects one value')
        return { profile: profile.name, ...decodeJson(bound, device, text) }
      }
      if (rule.decoder === 'json') throw new DecodeError('the payload is not a JSON object, which the profile expects')
      const place = scalarName === undefined ? scalarPlace(topic) : { device, name: scalarName }
      const owner = place.device ?? message.source
      return { profile: profile.name, device: owner, ...decodeScalar(bound, owner, place.name, text) }
    }
    const told = withPresence(rule, profile.name, device, captures, decode)
    return { profile: profile.name, rule, accepts, severalDevices: from !== undefined, device, decode: told }
  }
  return { profile, rule, accepts, bind }
}

const compileDialectRule = (
  profile: DeviceProfile,
  rule: ProfileRule,
  { decoders, descriptions }: Dialects,
): CompiledRule => {
  const fields = compileFields(profile, rule)
  const accepts = payloadCondition(rule)
  const plugin = decoders.get(rule.decoder)
  const dialect = plugin === undefined ? undefined : new Dialect(plugin, rule.options ?? {}, descriptions)
  const bind = (topic: string, captures: Captures): BoundRule => {
    const device = expandTemplate(rule.device ?? '{device}', captures) || topic
    const [before = '', after = ''] = (rule.name ?? '{path}')
      .split('{path}')
      .map((part) => expandTemplate(part, captures))
    const fixed = rule.name !== undefined && !rule.name.includes('{path}')
    const named =
      rule.name === undefined ? (name: string) => name : (name: string) => (fixed ? before : before + name + after)
    const bound = { profile: profile.name, device, captures, fields, named }
    const common = { profile: profile.name, rule, accepts, device, severalDevices: dialect?.severalDevices ?? false }
    if (dialect === undefined) {
      const decode = () => {
        throw new DecodeError(`there is no decoder '${rule.decoder}', which profile ${profile.name} names`)
      }
      return { ...common, decode }
    }
    return {
      ...common,
      decode: withPresence(rule, profile.name, device, captures, (message) => dialect.decode(bound, message)),
      ...(dialect.describes ? { learn: (message: Learnable) => dialect.learn(bound, message) } : {}),
    }
  }
  return { profile, rule, accepts, bind }
}

// A payload that says who is there need not be anything else.
const withPresence = (
  rule: ProfileRule,
  profile: string,
  device: string,
  captures: Captures,
  decode: BoundRule['decode'],
): BoundRule['decode'] => {
  if (rule.presence === undefined) return decode
  const tell = presenceTeller(rule.presence, device, captures)
  return (message) => {
    const presence = tell(message.payload)
    if (presence === undefined) return decode(message)
    try {
      const decoding = decode(message)
      // The payload may have told the device.
      const told =
        rule.presence?.device === undefined ? presence.map((one) => ({ ...one, device: decoding.device })) : presence
      return { ...decoding, presence: [...(decoding.presence ?? []), ...told] }
    } catch (error) {
      if (error instanceof DecodeError) return { profile, device, readings: NO_READINGS, presence }
      throw error
    }
  }
}

type Outcome = Pick<Decoding, 'readings' | 'fault' | 'doubtful'>

interface Bound {
  readonly rule: ProfileRule
  readonly fields: Fields
  readonly lists: ReadonlyMap<string, string>
  readonly strip: readonly string[]
  readonly captures: Captures
  /** Where the payload tells the device. */
  readonly deviceOf: ((payload: unknown) => string) | undefined
  readonly fixedName: string | undefined
  readonly before: string
  readonly after: string
}

const decodeJson = (bound: Bound, ofTopic: string, text: string): Outcome & Pick<Decoding, 'device'> => {
  const { rule, fields, lists, strip, captures, deviceOf, fixedName, before, after } = bound
  let device = ofTopic
  const leaves = documentLeaves(text, parseJson(text), (payload) => {
    if (deviceOf !== undefined) device = deviceOf(payload)
    const root = rule.root === undefined ? payload : at(payload, rule.root)
    if (root === undefined) throw new DecodeError(`the payload has no '${rule.root}'`)
    const timeMs = rule.time === undefined ? undefined : payloadTime(at(root, rule.time.path), rule.time.format)
    const found = new Leaves(device, timeMs, {
      fields,
      captures,
      fixedName,
      before,
      after,
      strip,
      timePath: rule.time?.path,
      lists,
      root,
    })
    found.walk(root, '', 0)
    return found
  })
  return { device, ...outcome(leaves.readings, leaves.fault, leaves.doubtful) }
}

const decodeScalar = (bound: Bound, device: string, name: string, text: string): Outcome => {
  const { fields } = bound
  const fault = nameFault(name)
  if (fault !== undefined) throw new DecodeError(fault)
  const field = fields.find(name)
  if (field?.ignore === true || fields.isMissing(text)) return { readings: NO_READINGS }
  const shown = field?.name === undefined ? name : readingName(field.name, bound.captures, name)
  const refused = (fault: string, why: Pick<Refused, 'reason' | 'wrong'>) =>
    outcome(NO_READINGS, shownFault(fault), [doubtOf(device, shown, why)])
  let scalar: ScalarValue
  try {
    scalar = looksLikeJson(text)
      ? jsonString(parseJson(text), name)
      : field?.type === 'string' || (field?.values !== undefined && Object.hasOwn(field.values, text))
        ? { value: text }
        : parseScalar(text, name)
  } catch (error) {
    if (error instanceof DecodeError) return refused(error.message, { reason: 'faulty', wrong: text })
    throw error
  }
  const converted = fields.convert(field, name, scalar.value, scalar.unit, undefined)
  if (converted === undefined) return { readings: NO_READINGS }
  if ('fault' in converted) return refused(converted.fault, converted)
  return { readings: [{ device, name: shown, ...converted }] }
}

const outcome = (
  readings: readonly Reading[],
  fault: string | undefined,
  doubtful: readonly Doubt[] | undefined,
): Outcome =>
  fault === undefined ? { readings } : doubtful === undefined ? { readings, fault } : { readings, fault, doubtful }

const payloadCondition = (rule: ProfileRule): ((payload: Buffer) => boolean) | undefined => {
  if (rule.payloads === undefined && rule.starts === undefined) return undefined
  const wanted = (rule.payloads ?? []).map((text) => Buffer.from(text))
  const starts = (rule.starts ?? []).map((text) => Buffer.from(text))
  return (payload) =>
    wanted.some((text) => text.equals(payload)) ||
    starts.some((text) => payload.length >= text.length && text.compare(payload, 0, text.length) === 0)
}
