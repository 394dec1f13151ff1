// What a schema cannot say about a device profile: whether its topic patterns, templates, units and examples make sense.

import { type DeviceProfile, GENERIC_PROFILE } from '../core/profile.ts'
import { topicNameFault } from '../core/topic.ts'
import { templateNames, topicPatternFault } from '../core/topic-pattern.ts'
import { isUnit, unitSymbols } from '../core/unit.ts'
import type { Path } from './document.ts'
import { nearest } from './nearest.ts'
import { type Finding, pathText } from './validation.ts'

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
export const profileFindings = (profile: WrittenProfile): readonly Finding[] => [
  ...(profile.name === GENERIC_PROFILE ? [wrong(['name'], `the name ${GENERIC_PROFILE} is taken`)] : []),
  ...fieldFindings(profile.fields, ['fields'], commonCaptures(profile.rules.flatMap(({ topics }) => topics))),
  ...profile.rules.flatMap((rule, index) => ruleFindings(rule, ['rules', index])),
  ...profile.examples.flatMap(({ topic, readings, fault }, index) => {
    const topicFault = topicNameFault(topic)
    return [
      ...(topicFault === undefined ? [] : [wrong(['examples', index, 'topic'], `the topic ${topicFault}`)]),
      ...(readings === undefined && fault === undefined
        ? [wrong(['examples', index], 'the example expects neither readings nor a fault')]
        : []),
    ]
  }),
]

const ruleFindings = (rule: WrittenRule, at: Path): readonly Finding[] => {
  const faults = rule.topics.flatMap((topic, index) => {
    const fault = topicPatternFault(topic)
    return fault === undefined ? [] : [wrong([...at, 'topics', index], `the topic pattern '${topic}' ${fault}`)]
  })
  if (faults.length > 0) return faults
  const captures = commonCaptures(rule.topics)
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
