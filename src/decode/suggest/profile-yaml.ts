// A device profile as the YAML that a person goes on with: texts in quotes where they need them, what is a guess marked.

import type { DeviceProfile, ExpectedReading, FieldRule, ProfileExample, ProfileRule } from '../../core/profile.ts'

const PLAIN = /^[A-Za-z][A-Za-z0-9 _./-]*$/
// What YAML reads as something else than text: 1.1 and 1.2, whoever reads it.
const SPECIAL = /^(true|false|yes|no|on|off|null|y|n|~)$/i

const scalar = (value: unknown): string => {
  if (typeof value !== 'string') return JSON.stringify(value)
  // JSON's texts are YAML's double-quoted ones.
  return PLAIN.test(value) && !SPECIAL.test(value) && !/ $/.test(value) ? value : JSON.stringify(value)
}

const list = (values: readonly unknown[]): string => `[${values.map(scalar).join(', ')}]`

const flow = (entries: readonly (readonly [string, unknown])[]): string =>
  `{ ${entries
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${Array.isArray(value) ? list(value) : scalar(value)}`)
    .join(', ')} }`

export interface DraftNotes {
  /** Lines at the top. */
  readonly head: readonly string[]
  /** What stands behind the first topic pattern. */
  readonly topic: string
}

export const profileYaml = (profile: Omit<DeviceProfile, 'file'>, notes: DraftNotes): string =>
  [
    ...notes.head.map((text) => `# ${text}`),
    `name: ${scalar(profile.name)}`,
    `title: ${scalar(profile.title)}`,
    `source: ${scalar(profile.source)} # CHECK: where the dialect is documented`,
    'about: |',
    ...profile.about.split('\n').map((text) => `  ${text}`),
    '',
    'rules:',
    ...profile.rules.flatMap((rule) => ruleLines(rule, notes.topic)),
    '',
    'examples:',
    ...profile.examples.flatMap(exampleLines),
    '',
  ].join('\n')

const ruleLines = (rule: ProfileRule, note: string): readonly string[] => [
  `  - topics: ${list(rule.topics)} # CHECK: ${note}`,
  `    decoder: ${scalar(rule.decoder)}`,
  ...(rule.device === undefined ? [] : [`    device: ${scalar(rule.device)}`]),
  ...(rule.name === undefined ? [] : [`    name: ${scalar(rule.name)}`]),
  ...(rule.time === undefined ? [] : [`    time: ${flow(Object.entries(rule.time))}`]),
  ...(rule.numbers === undefined ? [] : [`    numbers: ${rule.numbers}`]),
  ...(rule.missing === undefined ? [] : [`    missing: ${list(rule.missing)}`]),
  ...(rule.fields === undefined ? [] : ['    fields:', ...rule.fields.map(fieldLine)]),
]

const fieldLine = ({ match, ...field }: FieldRule): string => {
  const note = field.unit === undefined ? '' : ' # CHECK'
  return `      - ${flow([['match', match.length === 1 ? match[0] : match], ...Object.entries(field)])}${note}`
}

const exampleLines = ({
  topic,
  payload,
  hex,
  receivedAt,
  device,
  readings,
  fault,
}: ProfileExample): readonly string[] => [
  `  - topic: ${scalar(topic)}`,
  hex === undefined ? `    payload: ${JSON.stringify(payload)}` : `    hex: ${JSON.stringify(hex)}`,
  ...(receivedAt === undefined ? [] : [`    receivedAt: ${JSON.stringify(receivedAt)}`]),
  ...(device === undefined ? [] : [`    device: ${scalar(device)}`]),
  ...(readings === undefined ? [] : readings.length === 0 ? ['    readings: []'] : ['    readings:']),
  ...(readings ?? []).map((reading) => `      - ${flow(Object.entries(readingKeys(reading)))}`),
  ...(fault === undefined ? [] : [`    fault: ${JSON.stringify(fault)}`]),
]

const readingKeys = ({ device, name, value, unit, time }: ExpectedReading): Readonly<Record<string, unknown>> => ({
  device,
  name,
  value,
  unit,
  time,
})
