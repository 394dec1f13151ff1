// What a schema cannot say about a device profile: whether its topic patterns, templates, units and examples make sense.

import { type DeviceProfile, type ExampleMessage, GENERIC_PROFILE, PLAIN_DECODERS } from '../core/profile.ts'
import { topicNameFault } from '../core/topic.ts'
import { templateNames, topicPatternFault } from '../core/topic-pattern.ts'
import { isUnit, unitSymbols } from '../core/unit.ts'
import type { Path } from './document.ts'
import { nearest } from './nearest.ts'
import type { PluginType } from './schema.ts'
import { type Finding, pathText, validator } from './validation.ts'

/** As the schema accepts it: `match` may be one glob. */
export type WrittenField = Omit<NonNullable<DeviceProfile['fields']>[number], 'match'> & {
  readonly match: string | readonly string[]
}
type WrittenRule = Omit<DeviceProfile['rules'][number], 'fields'> & { readonly fields?: readonly WrittenField[] }
export type WrittenProfile = Omit<DeviceProfile, 'fields' | 'rules' | 'file'> & {
  readonly fields?: readonly WrittenField[]
  readonly rules: readonly WrittenRule[]
}

// What a schema cannot say: patterns, templates, units.
export const profileFindings = (profile: WrittenProfile, decoders: readonly PluginType[]): readonly Finding[] => [
  ...(profile.name === GENERIC_PROFILE ? [wrong(['name'], `the name ${GENERIC_PROFILE} is taken`)] : []),
  ...fieldFindings(profile.fields, ['fields'], commonCaptures(profile.rules.flatMap(({ topics }) => topics))),
  ...profile.rules.flatMap((rule, index) => ruleFindings(rule, ['rules', index])),
  ...profile.rules.flatMap((rule, index) => decoderFindings(rule, ['rules', index], decoders)),
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

// Defaults of the options are filled in on the way.
const decoderFindings = (rule: WrittenRule, at: Path, decoders: readonly PluginType[]): readonly Finding[] => {
  const { decoder, options } = rule
  if (PLAIN_DECODERS.includes(decoder))
    return options === undefined ? [] : [wrong([...at, 'options'], `decoder ${decoder} has no options`)]
  const plugin = decoders.find(({ kind, type }) => kind === 'decoder' && type === decoder)
  if (plugin === undefined) return [] // the schema refused it
  const validate = validator({ type: 'object', additionalProperties: false, ...plugin.schema })
  return validate(options ?? {}, options === undefined ? at : [...at, 'options'])
}

const ruleFindings = (rule: WrittenRule, at: Path): readonly Finding[] => {
  const faults = rule.topics.flatMap((topic, index) => {
    const fault = topicPatternFault(topic)
    return fault === undefined ? [] : [wrong([...at, 'topics', index], `the topic pattern '${topic}' ${fault}`)]
  })
  if (faults.length > 0) return faults
  // What a source that names the profile knows is the device.
  const captures = rule.topics.length === 0 ? ['device'] : commonCaptures(rule.topics)
  return [
    ...templateFindings(rule.device ?? '{device}', captures, [...at, rule.device === undefined ? 'topics' : 'device']),
    ...templateFindings(rule.name, [...captures, 'path'], [...at, 'name']),
    ...fieldFindings(rule.fields, [...at, 'fields'], captures),
  ]
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

const templateFindings = (template: string | undefined, known: readonly string[], at: Path): readonly Finding[] =>
  templateNames(template ?? '')
    .filter((name) => !known.includes(name))
    .map((name) =>
      wrong(
        at,
        `{${name}} is captured by no topic pattern${known.length === 0 ? '' : `; there is {${known.join('}, {')}}`}`,
      ),
    )

// A template holds for every pattern of its rule, so only what all of them capture may stand in it.
const commonCaptures = (topics: readonly string[]): readonly string[] => {
  const [first = [], ...others] = topics.map(templateNames)
  return first.filter((name) => others.every((names) => names.includes(name)))
}

const unknownUnit = (unit: string): string => {
  const meant = nearest(unit, unitSymbols())
  return `${unit} is no SenML unit${meant === undefined ? '' : `; did you mean ${meant}?`}`
}

const wrong = (path: Path, message: string): Finding => ({ path, at: 'value', message })
