import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { readProfileFiles } from '../../src/config/device-profiles.ts'
import { plugin as dialect } from '../../src/decode/dialects/modbus/plugin.ts'
import { plugin } from '../../src/sources/modbus/plugin.ts'
import { problemsOf } from '../support/configuration.ts'
import { temporaryDirectory } from '../support/directory.ts'

const bindings = (config: object) => plugin.bindings?.(config, 'bus')

test('each unit of a source has its profile and its device', async (t) => {
  t.strictSame(bindings({ path: '/dev/ttyUSB0', profile: 'sdm120' }), [
    { source: 'bus', topic: 'bus', profile: 'sdm120', device: 'bus' },
  ])
  const units = [
    { unit: 1, profile: 'sdm120', device: 'solar' },
    { unit: 9, profile: 'sdm630' },
  ]
  t.strictSame(bindings({ url: 'tcp://[::1]:1502', units }), [
    { source: 'bus', topic: 'solar', profile: 'sdm120', device: 'solar' },
    { source: 'bus', topic: 'bus/9', profile: 'sdm630', device: 'bus/9' },
  ])
})

test('a source that cannot be is refused, also by tidegate check', async (t) => {
  const one = { profile: 'sdm120' }
  const refusals: readonly (readonly [object, RegExp])[] = [
    [{ ...one }, /needs one of path \(serial\), url or host \(TCP\)/],
    [{ ...one, path: '/dev/x', host: 'y' }, /needs one of path/],
    [{ path: '/dev/x' }, /lacks the key profile/],
    [{ ...one, path: '/dev/x', port: 1 }, /has a port, which only host has/],
    [{ ...one, host: 'x', baudRate: 9_600 }, /settings of a serial line/],
    [{ ...one, url: 'tcp://x:1', port: 2 }, /write the port into the url/],
    [{ ...one, url: 'tcp://u:p@x:1' }, /needs a url such as/],
    [{ ...one, url: 'tcp://x:1/path' }, /needs a url such as/],
    [{ ...one, path: '/dev/x', units: [] }, /write unit, profile and device at each/],
    [{ ...one, path: '/dev/x', device: 'a/#' }, /the device 'a\/#' contains a wildcard/],
    [
      {
        path: '/dev/x',
        units: [
          { unit: 1, ...one },
          { unit: 1, ...one },
        ],
      },
      /unit 1 stands there twice/,
    ],
    [
      {
        path: '/dev/x',
        units: [
          { unit: 1, device: 'a', ...one },
          { unit: 2, device: 'a', ...one },
        ],
      },
      /the device a stands there twice/,
    ],
  ]
  for (const [config, message] of refusals) t.throws(() => bindings(config), { code: 'TG_CONFIG_INVALID', message })
})

test('the schema of a source names what is wrong', async (t) => {
  const problems = (text: string) =>
    problemsOf(t, `sources:\n  - { name: bus, type: modbus, ${text} }\n`, { plugins: [plugin] })
  t.strictSame(await problems('path: /dev/ttyUSB0, profile: sdm120, unit: 3, every: 5s'), [])
  t.match(await problems('path: /dev/x, profile: a, unit: 0'), [/must be >= 1/])
  t.match(await problems('path: /dev/x, profile: a, parity: evn'), [/did you mean even/])
  t.match(await problems('path: /dev/x, profile: a, every: 10'), [/write 10ms, or 10s/])
  t.match(await problems('url: "http://x", profile: a'), [/must match/])
  t.match(await problems('path: /dev/x, units: [{ unit: 1 }]'), [/lacks the key profile/])
})

const section = (registers: string, more = '') =>
  `name: x\ntitle: x\nsource: https://example.com/\nabout: x\nmodbus:\n  ${more}\n  registers:\n${registers
    .split('\n')
    .map((line) => `    - ${line}\n`)
    .join(
      '',
    )}rules:\n  - { topics: [], decoder: modbus }\nexamples:\n  - { topic: x, payload: '{"unit":1}', readings: [] }\n`

test('a section modbus that cannot be is refused at its line', async (t) => {
  const directory = await temporaryDirectory(t)
  const problems = async (text: string): Promise<readonly string[]> => {
    const file = join(directory, 'x.yaml')
    await writeFile(file, text)
    return (await readProfileFiles([file], [dialect])).problems.map((line) => line.replace(/^.*x\.yaml:/, ''))
  }
  t.strictSame(await problems(section('{ name: a, address: 0 }\n{ name: b, address: 0, bit: 3 }')), [])
  const refusals: readonly (readonly [text: string, message: RegExp])[] = [
    [section('{ name: a, address: 0 }\n{ name: a, address: 1 }'), /^9:\d+: the name a is taken already/],
    [section('{ name: a, address: 0, type: u32 }\n{ name: b, address: 1 }'), /^9:\d+: holding 1 belongs to a already/],
    [section('{ name: a, address: 65535, type: f32 }'), /f32 at 65535 ends beyond 65535/],
    [section('{ name: a, address: 70000 }'), /must be <= 65535/],
    [section('{ name: a, address: 0, type: u23 }'), /did you mean u32/],
    [section('{ name: a, address: 0, type: bool }'), /a bool in a register needs its bit/],
    [section('{ name: a, address: 0, table: coil, type: u16 }'), /a coil is a bool, not u16/],
    [section('{ name: a, address: 0, type: string }'), /string needs its length in registers/],
    [section('{ name: a, address: 0, length: 2 }'), /u16 has a length of its own/],
    [section('{ name: a, address: 0, bit: 16 }'), /u16 has no bits 16 to 16/],
    [section('{ name: a, address: 0, type: f32, bit: 1 }'), /bits need u16, u32 or u64, not f32/],
    [section('{ name: a, address: 0, unit: kWhh }'), /kWhh is no SenML unit; did you mean kWh/],
    [section('{ name: a, address: 0, scale: 0 }'), /a scale of 0 leaves nothing/],
    [section('{ name: a, address: 0, exponent: b }'), /b must be a register that is read as often/],
    [section('{ name: a, address: 0, missing: [0x10000] }'), /65536 is no raw value of u16/],
    [section('{ name: a, address: 0, type: f64 }', 'maxRegisters: 2'), /f64 of 4 registers is longer than 2/],
    [
      section('{ name: a, address: 5 }', 'unreadable: [{ table: holding, first: 4, last: 6 }]'),
      /lies in the unreadable holding 4 to 6/,
    ],
    [
      section('{ name: a, address: 0 }', 'write: [{ name: write, address: 1 }]'),
      /the name write is that of raw writes/,
    ],
    [
      section('{ name: a, address: 0 }', 'write: [{ name: w, table: input, address: 1 }]'),
      /table input cannot be written/,
    ],
    [section('{ name: a, address: 0 }', 'write: [{ name: w, address: 1, range: [2, 1] }]'), /the range is empty/],
    [
      section('{ name: a, address: 0 }').replace('decoder: modbus', 'decoder: json'),
      /needs a rule with decoder modbus/,
    ],
  ]
  for (const [text, message] of refusals) {
    const found = await problems(text)
    t.ok(
      found.some((line) => message.test(line)),
      `${message}: ${found.join('; ')}`,
    )
  }
  const without = section('{ name: a, address: 0 }').replace(/modbus:\n[\s\S]*?rules:/, 'rules:')
  t.match(await problems(without), [/decoder modbus needs the section modbus/])
})
