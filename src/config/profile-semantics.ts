// What a schema cannot say about a device profile: whether its topic patterns, templates, units and examples make sense.

import { describe } from '../core/errors.ts'
import { type DeviceProfile, type ExampleMessage, GENERIC_PROFILE, PLAIN_DECODERS } from '../core/profile.ts'
import { topicNameFault } from '../core/topic.ts'
import { topicPatternFault } from '../core/topic-pattern.ts'
import { isUnit } from '../core/unit.ts'
import { commandFindings } from './command-semantics.ts'
import type { Path } from './document.ts'
import { modbusFindings, type WrittenModbus } from './modbus-section.ts'
import type { PluginType } from './schema.ts'
import { framingFindings } from './serial-semantics.ts'
import { commonCaptures, templateFindings, unknownUnit, wrong } from './template-findings.ts'
import { type Finding, pathText, validator } from './validation.ts'

/** As the schema accepts it: `match` may be one glob. */
export type WrittenField = Omit<NonNullable<DeviceProfile['fields']>[number], 'match'> & {
  readonly match: string | readonly string[]
}
type WrittenRule = Omit<DeviceProfile['rules'][number], 'fields'> & { readonly fields?: readonly WrittenField[] }
export type WrittenProfile = Omit<DeviceProfile, 'fields' | 'rules' | 'file' | 'intervalMs' | 'modbus'> & {
  readonly modbus?: WrittenModbus
  readonly interval?: string
  readonly fields?: readonly WrittenField[]
  readonly rules: readonly WrittenRule[]
}

// What a schema cannot say: patterns, templates, units.
export const profileFindings = (profile: WrittenProfile, decoders: readonly PluginType[]): readonly Finding[] => [
  ...(profile.name === GENERIC_PROFILE ? [wrong(['name'], `the name ${GENERIC_PROFILE} is taken`)] : []),
  ...fieldFindings(profile.fields, ['fields'], commonCaptures(profile.rules.flatMap(({ topics }) => topics))),
  ...profile.rules.flatMap((rule, index) => ruleFindings(rule, ['rules', index])),
  ...profile.rules.flatMap((rule, index) => decoderFindings(rule, ['rules', index], decoders)),
  ...commandFindings(profile.commands ?? []),
  ...framingFindings(profile.serial, ['serial']),
  ...modbusFindings(
    profile.modbus,
    profile.rules.map(({ decoder }) => decoder),
  ),
  ...profile.examples.flatMap((example, index) => {
    const at = ['examples', index]
    const { readings, fault, presence, before = [] } = example
    return [
      ...messageFindings(example, at),
      ...before.flatMap((message, number) => messageFindings(message, [...at, 'before', number])),
      ...(readings === undefined && fault === undefined && presence === undefined
        ? [wrong(at, 'the example expects neither readings nor a fault')]
        : []),
    ]
  }),
]

const messageFindings = ({ topic, payload, hex }: ExampleMessage, at: Path): readonly Finding[] => {
  const fault = topicNameFault(topic)
  return [
    ...(fault === undefined ? [] : [wrong([...at, 'topic'], `the topic ${fault}`)]),
    ...((payload === undefined) === (hex === undefined) ? [wrong(at, 'say payload or hex, one of them')] : []),
  ]
}

/** Compiling is slow and takes memory; hundreds of rules share a few dialects. */
const validators = new WeakMap<PluginType, ReturnType<typeof validator>>()

const optionsValidator = (plugin: PluginType): ReturnType<typeof validator> => {
  const known = validators.get(plugin)
  if (known !== undefined) return known
  const made = validator({ type: 'object', additionalProperties: false, ...plugin.schema })
  validators.set(plugin, made)
  return made
}

// Defaults of the options are filled in on the way.
const decoderFindings = (rule: WrittenRule, at: Path, decoders: readonly PluginType[]): readonly Finding[] => {
  const { decoder, options } = rule
  if (PLAIN_DECODERS.includes(decoder))
    return options === undefined ? [] : [wrong([...at, 'options'], `decoder ${decoder} has no options`)]
  const plugin = decoders.find(({ kind, type }) => kind === 'decoder' && type === decoder)
  if (plugin === undefined) return [] // the schema refused it
  const given = options ?? {}
  const validate = optionsValidator(plugin)
  const path = options === undefined ? at : [...at, 'options']
  const findings = validate(given, path)
  if (findings.length > 0) return findings
  Object.assign(rule, { options: given })
  try {
    plugin.create?.(given, undefined as never)
    return []
  } catch (error) {
    return [wrong(path, `decoder ${decoder} refuses its options: ${describe(error)}`)]
  }
}

const ruleFindings = (rule: WrittenRule, at: Path): readonly Finding[] => {
  const faults = rule.topics.flatMap((topic, index) => {
    const fault = topicPatternFault(topic)
    return fault === undefined ? [] : [wrong([...at, 'topics', index], `the topic pattern '${topic}' ${fault}`)]
  })
  if (faults.length > 0) return faults
  // What a source that names the profile knows is the device.
  const captures = rule.topics.length === 0 ? ['device'] : commonCaptures(rule.topics)
  const deviceCaptures = rule.deviceFrom === undefined ? captures : [...captures, 'device']
  return [
    ...deviceFromFindings(rule, captures, at),
    ...templateFindings(rule.device ?? '{device}', deviceCaptures, [
      ...at,
      rule.device === undefined ? 'topics' : 'device',
    ]),
    ...templateFindings(rule.name, [...captures, 'path'], [...at, 'name']),
    ...templateFindings(rule.presence?.device, captures, [...at, 'presence', 'device']),
    ...fieldFindings(rule.fields, [...at, 'fields'], captures),
  ]
}

const deviceFromFindings = (rule: WrittenRule, captures: readonly string[], at: Path): readonly Finding[] => {
  if (rule.deviceFrom === undefined) return []
  const path = [...at, 'deviceFrom']
  if (rule.decoder !== 'json') return [wrong(path, `deviceFrom needs decoder json; this is ${rule.decoder}`)]
  return rule.topics.length > 0 && captures.includes('device')
    ? [wrong(path, 'the topics capture {device} already: deviceFrom would give it a second meaning')]
    : []
}

const fieldFindings = (
  fields: readonly WrittenField[] | undefined,
  at: Path,
  captures: readonly string[],
): readonly Finding[] =>
  (fields ?? []).flatMap((field, index) => [
    ...(field.unit === undefined || isUnit(field.unit) ? [] : [wrong([...at, index, 'unit'], unknownUnit(field.unit))]),
    ...templateFindings(field.name, [...captures, 'path'], [...at, index, 'name']),
    ...(field.range !== undefined && field.range[0] > field.range[1]
      ? [wrong([...at, index, 'range'], `${pathText([...at, index, 'range'])} is empty`)]
      : []),
  ])
