// What a schema cannot say about the commands of a device profile: whether their templates, parameters and defaults fit.

import { parameterFault } from '../core/command.ts'
import type { CommandParameter, ProfileCommand } from '../core/profile.ts'
import { topicPatternFault } from '../core/topic-pattern.ts'
import { isUnit } from '../core/unit.ts'
import type { Path } from './document.ts'
import { commonCaptures, templateFindings, unknownUnit, wrong } from './template-findings.ts'
import type { Finding } from './validation.ts'

/** Deeper payloads are no commands. */
const MAX_PAYLOAD_DEPTH = 16

export const commandFindings = (commands: readonly ProfileCommand[]): readonly Finding[] => [
  ...commands.flatMap((command, index) => oneCommand(command, ['commands', index])),
  ...commands.flatMap(({ name }, index) =>
    commands.findIndex((other) => other.name === name) === index
      ? []
      : [wrong(['commands', index, 'name'], `there is a command ${name} already`)],
  ),
]

const oneCommand = (command: ProfileCommand, at: Path): readonly Finding[] => {
  const { topic, payload, devices = [], parameters = {} } = command
  const patterns = devices.flatMap((pattern, index) => {
    const fault = topicPatternFault(pattern)
    return fault === undefined ? [] : [wrong([...at, 'devices', index], `the pattern '${pattern}' ${fault}`)]
  })
  if (patterns.length > 0) return patterns
  const names = [...new Set(['device', ...commonCaptures(devices), ...Object.keys(parameters)])]
  return [
    ...templateFindings(topic, names, [...at, 'topic']),
    ...(topic?.startsWith('$') === true ? [wrong([...at, 'topic'], 'no command goes to a topic with $')] : []),
    ...payloadFindings(payload, names, [...at, 'payload'], 0),
    ...(typeof payload === 'string' && LIKE_JSON.test(payload) && payload.includes('}')
      ? [wrong([...at, 'payload'], 'write a payload of JSON as YAML keys and values, so that values are encoded')]
      : []),
    ...Object.keys(parameters)
      .filter((name) => ['device', ...commonCaptures(devices)].includes(name))
      .map((name) => wrong([...at, 'parameters', name], `{${name}} is taken by the name of the device`)),
    ...Object.entries(parameters).flatMap(([name, parameter]) =>
      parameterFindings(parameter, name, [...at, 'parameters', name]),
    ),
  ]
}

const LIKE_JSON = /^\s*(?:\{\s*"|\[)/

const payloadFindings = (value: unknown, names: readonly string[], at: Path, depth: number): readonly Finding[] => {
  if (depth > MAX_PAYLOAD_DEPTH) return [wrong(at, `the payload is nested deeper than ${MAX_PAYLOAD_DEPTH} levels`)]
  if (typeof value === 'string') return templateFindings(value, names, at)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) =>
    payloadFindings(item, names, [...at, Array.isArray(value) ? Number(key) : key], depth + 1),
  )
}

const parameterFindings = (parameter: CommandParameter, name: string, at: Path): readonly Finding[] => {
  const { default: preset, values = [], unit, range } = parameter
  const fits = (value: unknown, where: Path): readonly Finding[] => {
    const fault = parameterFault(parameter, value)
    return fault === undefined ? [] : [wrong(where, `${name} ${fault}`)]
  }
  return [
    ...(preset === undefined ? [] : fits(preset, [...at, 'default'])),
    ...values.flatMap((value, index) => fits(value, [...at, 'values', index])),
    ...(unit === undefined || isUnit(unit) ? [] : [wrong([...at, 'unit'], unknownUnit(unit))]),
    ...(range !== undefined && range[0] > range[1] ? [wrong([...at, 'range'], `the range of ${name} is empty`)] : []),
  ]
}
