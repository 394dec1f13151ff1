import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { readProfileFiles } from '../../src/config/device-profiles.ts'
import { temporaryDirectory } from '../support/directory.ts'

const head = `name: lamp
title: Lamp
source: https://example.com/
about: A lamp.
examples: [{ topic: lamps/a, payload: "1", readings: [] }]
`
const rules = 'rules: [{ topics: ["lamps/{device}"], decoder: scalar }]\n'

test('commands, presence and interval of a profile are read, with durations in milliseconds', async (t) => {
  const file = join(await temporaryDirectory(t), 'lamp.yaml')
  await writeFile(
    file,
    `${head}interval: 5m
rawCommands: false
rules:
  - topics: ["lamps/{device}"]
    decoder: scalar
    presence: { online: [on], offline: [off], below: true, device: "{device}" }
commands:
  - name: power
    devices: ["{room}/{lamp}"]
    topic: "{room}/{lamp}/set"
    payload: { state: "{value}" }
    qos: 0
    parameters: { value: { type: boolean, sends: { true: ON, false: OFF }, default: true } }
  - { name: ping, payload: "" }
`,
  )
  const { profiles, problems } = await readProfileFiles([file], [])
  t.same(problems, [])
  t.match(profiles[0], {
    intervalMs: 300_000,
    rawCommands: false,
    commands: [{ name: 'power', qos: 0, parameters: { value: { sends: { true: 'ON' } } } }, { name: 'ping' }],
    rules: [{ presence: { below: true } }],
  })
  t.notOk('interval' in (profiles[0] ?? {}))
})

test('what makes no sense is named, with its place', async (t) => {
  const file = join(await temporaryDirectory(t), 'lamp.yaml')
  const cases: readonly (readonly [string, RegExp])[] = [
    ['interval: 60', /:6:\d+: interval must be a duration with its unit/],
    ['interval: 10ms', /at least 1s/],
    ['commands: [{ name: a, payload: "{x}" }]', /\{x\} is captured by no topic pattern; there is \{device\}/],
    ['commands: [{ name: a, topic: "$SYS/x", payload: "" }]', /no command goes to a topic with \$/],
    ['commands: [{ name: a, payload: "{\\"s\\":\\"{device}\\"}" }]', /as YAML keys and values/],
    ['commands: [{ name: a, payload: "" }, { name: a, payload: "" }]', /there is a command a already/],
    ['commands: [{ name: a, payload: "", parameters: { device: { type: string } } }]', /\{device\} is taken/],
    ['commands: [{ name: a, payload: "", parameters: { v: { type: number, default: x } } }]', /v must be a number/],
    ['commands: [{ name: a, payload: "", parameters: { v: { type: number, range: [2, 1] } } }]', /range of v is empty/],
    ['commands: [{ name: a, payload: "", parameters: { v: { type: number, unit: Celsius } } }]', /no SenML unit/],
    ['commands: [{ name: a, payload: "", parameters: { v: { type: text } } }]', /one of number, string, boolean/],
    ['commands: [{ name: a, payload: "", devices: ["a/#/b"] }]', /pattern 'a\/#\/b'/],
    ['commands: [{ name: "a b", payload: "" }]', /must match/],
    ['commands: [{ name: a }]', /lacks the key payload/],
  ]
  for (const [line, message] of cases) {
    await writeFile(file, `${head}${line}\n${rules}`)
    const { problems } = await readProfileFiles([file], [])
    t.equal(problems.length, 1, line)
    t.match(problems[0], message, line)
  }
  const presences: readonly (readonly [string, RegExp])[] = [
    ['{}', /.+/],
    ['{ online: [] }', /empty list/],
    ['{ online: [on], device: "{base}" }', /\{base\} is captured by no topic pattern/],
    ['{ online: [on], onlin: [x] }', /did you mean online/],
  ]
  for (const [presence, message] of presences) {
    await writeFile(file, `${head}rules: [{ topics: ["lamps/{device}"], decoder: scalar, presence: ${presence} }]\n`)
    const { problems } = await readProfileFiles([file], [])
    t.match(problems[0], message, presence)
  }
})
