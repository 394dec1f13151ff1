// From a profile's command and the values of a request to a topic and a payload. Values never become structure: a payload that
// is not a text template is written by JSON.stringify, and a value in a topic is one level of it.

import { parameterFault } from '../core/command.ts'
import type { ProfileCommand, ReadingValue } from '../core/profile.ts'
import { type Captures, compileTopicPattern, expandTemplate } from '../core/topic-pattern.ts'
import { checkedPayload, checkTopic, type NamedRequest, wrong } from './request.ts'

export interface WrittenCommand {
  readonly topic: string | undefined
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
}

/** A text that is one parameter and nothing else. */
const WHOLE = /^\{([a-z][A-Za-z0-9]*)\}$/
// A level that is empty or holds one of these would change which topic is meant.
const NO_LEVEL = /[/+#]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/** What the templates of a command may use of the device's name; undefined where the command is for other devices. */
export const deviceCaptures = ({ devices }: ProfileCommand, device: string): Captures | undefined => {
  const own: Captures = new Map([['device', device]])
  if (devices === undefined) return own
  for (const pattern of devices) {
    const captures = compileTopicPattern(pattern).match(device)
    if (captures !== undefined) return new Map([...own, ...captures])
  }
  return undefined
}

/** Throws TG_BAD_REQUEST with what is allowed. */
export const writeCommand = (command: ProfileCommand, captures: Captures, request: NamedRequest): WrittenCommand => {
  const values = commandValues(command, request)
  const texts = new Map([...captures, ...[...values].map(([name, value]) => [name, String(value)] as const)])
  for (const [name, text] of captures)
    if (CONTROL.test(text)) throw wrong(`the ${name} '${text.slice(0, 60)}' has a control character`)
  const topic = command.topic === undefined ? undefined : expandTemplate(command.topic, texts)
  if (topic !== undefined) {
    for (const [name, value] of values)
      if (command.topic?.includes(`{${name}}`) && NO_LEVEL.test(String(value)))
        throw wrong(`${name} stands in the topic, and may not have '/', '+' or '#'`)
    // Empty, it may stand beside other text only.
    if (command.topic?.split('/').some((level) => level !== '' && expandTemplate(level, texts) === '') === true)
      throw wrong(`topic '${command.topic}' would get an empty level`)
    checkTopic(topic)
  }
  const { payload } = command
  const bytes = Buffer.from(
    typeof payload === 'string' ? expandTemplate(payload, texts) : JSON.stringify(filled(payload, texts, values)),
  )
  return { topic, payload: checkedPayload(bytes), qos: command.qos ?? 1 }
}

const filled = (template: unknown, texts: Captures, values: ReadonlyMap<string, ReadingValue>): unknown => {
  if (typeof template === 'string') {
    const whole = WHOLE.exec(template)?.[1]
    return (whole === undefined ? undefined : values.get(whole)) ?? expandTemplate(template, texts)
  }
  if (Array.isArray(template)) return template.map((item) => filled(item, texts, values))
  if (typeof template !== 'object' || template === null) return template
  return Object.fromEntries(Object.entries(template).map(([key, item]) => [key, filled(item, texts, values)]))
}

// What is sent for each parameter.
const commandValues = (command: ProfileCommand, request: NamedRequest): ReadonlyMap<string, ReadingValue> => {
  const parameters = new Map(Object.entries(command.parameters ?? {}))
  const known = [...parameters.keys()]
  const given = new Map(request.parameters)
  if (request.value !== undefined) {
    const meant = parameters.has('value') ? 'value' : known.length === 1 ? known[0] : undefined
    if (meant === undefined || given.has(meant))
      throw wrong(`command '${command.name}' takes 'parameters', not 'value'${listed(known)}`)
    given.set(meant, request.value)
  }
  for (const name of given.keys())
    if (!parameters.has(name))
      throw wrong(`command '${command.name}' has no parameter '${name.slice(0, 60)}'${listed(known)}`)
  const values = new Map<string, ReadingValue>()
  for (const [name, parameter] of parameters) {
    const value = given.has(name) ? given.get(name) : parameter.default
    if (value === undefined) throw wrong(`command '${command.name}' needs the parameter '${name}'`)
    const fault = parameterFault(parameter, value)
    if (fault !== undefined) throw wrong(`parameter '${name}' of command '${command.name}' ${fault}`)
    values.set(name, sent(parameter.sends, value as ReadingValue))
  }
  return values
}

const sent = (sends: Readonly<Record<string, ReadingValue>> | undefined, value: ReadingValue): ReadingValue =>
  sends !== undefined && Object.hasOwn(sends, String(value)) ? (sends[String(value)] ?? value) : value

const listed = (names: readonly string[]): string =>
  names.length === 0 ? '; it has none' : `; it has ${names.map((name) => `'${name}'`).join(', ')}`
