import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import {
  builtInDevicesDirectory,
  loadDeviceProfiles,
  mergeProfiles,
  readDeviceProfiles,
  readProfileFiles,
} from '../../src/config/device-profiles.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { decoders as dialects } from '../support/profiles.ts'

const decoders = [...dialects.values()]

const VALID = `name: well
title: Well
source: https://example.com/well
about: Level of a well.
fields:
  - { match: level, unit: m, range: [0, 40] }
rules:
  - topics: ['wells/{device}/report']
    decoder: json
    fields:
      - { match: ['debug.**', 'x'], ignore: true }
examples:
  - { topic: wells/north/report, payload: '{"level":1}', readings: [{ name: level, value: 1, unit: m }] }
`

const problemsOf = async (t: Parameters<typeof temporaryDirectory>[0], text: string): Promise<readonly string[]> => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'p.yaml'), text)
  const { problems } = await readDeviceProfiles([directory], decoders)
  return problems.map((line) => line.replace(join(directory, 'p.yaml'), 'p.yaml'))
}

test('the built-in profiles are found and valid', async (t) => {
  const profiles = await loadDeviceProfiles([builtInDevicesDirectory()], decoders)
  const names = profiles.map(({ name }) => name)
  for (const name of ['esphome', 'shelly-gen2', 'tasmota', 'zigbee2mqtt']) t.ok(names.includes(name), name)
})

test('a profile is plain data that survives the way to another thread', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'well.yml'), VALID)
  const [profile] = await loadDeviceProfiles([directory], decoders)
  t.strictSame(structuredClone(profile), profile)
  t.equal(profile?.file, join(directory, 'well.yml'))
  t.strictSame(profile?.fields, [{ match: ['level'], unit: 'm', range: [0, 40] }])
  t.strictSame(profile?.rules[0]?.fields, [{ match: ['debug.**', 'x'], ignore: true }])
})

test('a profile replaces one of the same name from an earlier directory, and stands behind the others', async (t) => {
  const one = await temporaryDirectory(t)
  const two = await temporaryDirectory(t)
  await writeFile(join(one, 'a.yaml'), VALID)
  await writeFile(join(one, 'b.yaml'), VALID.replace('name: well\n', 'name: other\n'))
  await writeFile(join(two, 'c.yaml'), VALID.replace('title: Well', 'title: Mine'))
  const profiles = await loadDeviceProfiles([one, two], decoders)
  t.match(profiles, [{ name: 'other' }, { name: 'well', title: 'Mine' }])
  t.equal(profiles.length, 2)
})

test('files that are not YAML are left alone', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'README.md'), 'name: x')
  t.strictSame(await loadDeviceProfiles([directory], decoders), [])
})

test('two files of one directory with the same name are a problem', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'a.yaml'), VALID)
  await writeFile(join(directory, 'b.yaml'), VALID)
  await t.rejects(loadDeviceProfiles([directory], decoders), {
    code: 'TG_PROFILE_INVALID',
    message: /b\.yaml:1:1: profile well is already in .*a\.yaml/,
  })
})

test('a directory or a file that is not there is a problem', async (t) => {
  await t.rejects(loadDeviceProfiles(['/nowhere/at/all'], decoders), {
    code: 'TG_PROFILE_INVALID',
    message: '/nowhere/at/all: does not exist',
  })
  t.match((await readProfileFiles(['/nowhere/x.yaml'], decoders)).problems, ['/nowhere/x.yaml:1:1: does not exist'])
})

test('everything that is wrong is said at once, with line, column and what was meant', async (t) => {
  const text = VALID.replace('title: Well', 'titel: Well')
    .replace('decoder: json', 'decoder: jason')
    .replace('ignore: true', 'ignored: true')
  t.match(await problemsOf(t, text), [
    'p.yaml:1:1: the profile lacks the key title',
    'p.yaml:2:1: unknown key titel; did you mean title?',
    /^p\.yaml:9:14: rules\[0\]\.decoder must be one of json, scalar, generic, ignore, .*; did you mean json\?$/,
    'p.yaml:11:37: unknown key ignored in rules[0].fields[0]; did you mean ignore?',
  ])
})

test('what a schema cannot say is checked, too', async (t) => {
  const text = VALID.replace('unit: m, range: [0, 40]', 'unit: lumens, range: [40, 0]')
    .replace("['wells/{device}/report']", "['wells/{device}/report', 'wells/{well}/#', 'a/#/b']")
    .replace('topic: wells/north/report', 'topic: wells/+/report')
  t.match(await problemsOf(t, text), [
    /^p.yaml:6:27: lumens is no SenML unit/,
    /^p.yaml:6:42: fields\[0\]\.range is empty/,
    /^p.yaml:8:57: the topic pattern 'a\/#\/b' has # before its last level/,
    /^p.yaml:13:14: the topic contains a wildcard character/,
  ])
  t.match(await problemsOf(t, VALID.replace('{device}', '{well}')), [
    /^p.yaml:8:13: \{device\} is captured by no topic pattern; there is \{well\}/,
  ])
  t.match(await problemsOf(t, VALID.replace('decoder: json', 'decoder: json\n    name: "{other}.{path}"')), [
    /^p.yaml:10:11: \{other\} is captured/,
  ])
  t.match(await problemsOf(t, VALID.replace('name: well\n', 'name: generic\n')), [
    /^p.yaml:1:7: the name generic is taken/,
  ])
  t.match(await problemsOf(t, VALID.replace(/, readings: .*\}\]/, '')), [/expects neither readings nor a fault/])
})

test('what is no YAML, no profile or an attack by expansion is a problem, not a crash', async (t) => {
  t.match(await problemsOf(t, 'name: [unclosed'), [/^p.yaml:\d+:\d+: /])
  t.match(await problemsOf(t, ''), [/^p.yaml:1:1: the profile must be a mapping of keys/])
  t.match(await problemsOf(t, '- 1'), [/^p.yaml:1:1: the profile must be a mapping of keys/])
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'.split('').map((key, index) => {
      const before = 'abcdefgh'[index]
      return `${key}: &${key} [${`*${before},`.repeat(9).slice(0, -1)}]`
    }),
  ].join('\n')
  t.match(await problemsOf(t, bomb), [/^p.yaml:1:1: /])
  t.match(await problemsOf(t, `${'['.repeat(20_000)}`), [/^p.yaml:\d+:\d+: /])
})

test('merging keeps the problems of all', async (t) => {
  t.strictSame(
    mergeProfiles([
      { profiles: [], problems: ['a'] },
      { profiles: [], problems: ['b'] },
    ]),
    { profiles: [], problems: ['a', 'b'] },
  )
})

test('a shape is checked, and its durations become milliseconds', async (t) => {
  const directory = await temporaryDirectory(t)
  const shape = `shape:
  - { names: ['*.power'], unit: kW, every: 10s }
  - { devices: ['wells/#'], deadband: 2%, heartbeat: 15m }
  - { window: { per: 1m, of: [min, mean] } }
`
  await writeFile(join(directory, 'p.yaml'), VALID + shape)
  const [profile] = await loadDeviceProfiles([directory], decoders)
  t.strictSame(profile?.shape, [
    { names: ['*.power'], unit: 'kW', every: 10_000 },
    { devices: ['wells/#'], deadband: '2%', heartbeat: 900_000 },
    { window: { per: 60_000, of: ['min', 'mean'] } },
  ])
  const wrong = shape.replace('kW', 'horses').replace('15m', '15').replace('mean', 'median').replace('wells/#', '#/x')
  t.match(await problemsOf(t, VALID + wrong), [
    /shape\[0\]\.unit must be a SenML unit/,
    /shape\[1\]\.devices\[0\] must be an MQTT Topic Filter/,
    /shape\[1\]\.heartbeat must be a duration/,
    /shape\[2\]\.window\.of\[1\] must be one of/,
  ])
})
