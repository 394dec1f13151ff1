import { test } from 'tap'
import { plugin as serial } from '../../src/sources/serial/plugin.ts'
import { problemsOf } from '../support/configuration.ts'

test('a serial line that could never bring a frame is refused', async (t) => {
  const framing = (text: string) =>
    problemsOf(
      t,
      `sources:\n  - { name: a, type: serial, path: /dev/ttyX, maxFrameBytes: 16B, framing: { ${text} } }\n`,
      { plugins: [serial] },
    )
  t.strictSame(await framing('type: fixed, length: 8, start: "BM", end: { hex: 0D 0A }'), [])
  t.match(await framing('type: fixed, length: 3, start: "BM", end: { hex: 0D 0A }'), [
    /framing\.length is shorter than start and end together \(4 bytes\)/,
  ])
  t.match(await framing('type: fixed, length: 32, start: "BM"'), [/framing\.length is longer than maxFrameBytes/])
  t.match(await framing('type: delimiter, end: "X", trailing: 2, through: line'), [/both trailing and through/])
})

test('every problem is reported at once, in the order of the file, with line and column', async (t) => {
  const problems = await problemsOf(
    t,
    `gateway: { id: green house }
log:
  comitDelay: 10ms
  maxBytes: 1000000
  maxAge: 30
  whenFull: dropOldst
api:
  listen: localhost
  origin: []
sources:
  - name: a
    type: mqtt-brokr
  - name: a
    type: mqtt-broker
    maxPacketBytes: 1GiB
    maxConnections: many
  - type: mqtt-broker
    listen: 127.0.0.1:1884
sinks:
  - name: cloud
    type: amqp
    exchangeType: topik
    batch: { maxDelay: "1", maxReadins: 5 }
    persistent: 1
foo: 1
`,
  )
  t.strictSame(problems, [
    '1:16: gateway.id must be 1 to 64 letters, digits, - and _, the first a letter or digit',
    '3:3: unknown key comitDelay in log; did you mean commitDelay?',
    '4:13: log.maxBytes must be a size with its unit: write 1000000B, or 1000000MiB',
    '5:11: log.maxAge must be a duration with its unit: write 30ms, or 30s',
    '6:13: log.whenFull must be one of dropOldest, refuse; did you mean dropOldest?',
    '8:11: api.listen must be HOST:PORT with a port of at most 65535, such as 127.0.0.1:1883',
    '9:3: unknown key origin in api; did you mean origins?',
    '12:11: unknown source type mqtt-brokr; did you mean mqtt-broker?',
    '13:11: sources[1].name a is already the name of sources[0]',
    '15:21: sources[1].maxPacketBytes must be at most 256MiB',
    '16:21: sources[1].maxConnections must be a whole number, not a text',
    '17:5: sources[2] lacks the key name',
    '20:5: sinks[0] lacks the key url',
    '22:19: sinks[0].exchangeType must be one of topic, direct, fanout; did you mean topic?',
    '23:24: sinks[0].batch.maxDelay must be a duration with its unit, such as 250ms, 10s, 5m, 1h or 30d',
    '23:29: unknown key maxReadins in sinks[0].batch; did you mean maxReadings?',
    '24:17: sinks[0].persistent must be true or false, not a number',
    '25:1: unknown key foo; known are gateway, log, api, sources, sinks',
  ])
})

test('the message begins with the file as the user wrote it', async (t) => {
  const { loadConfig } = await import('../../src/config/load.ts')
  const { temporaryDirectory } = await import('../support/directory.ts')
  const { writeFile } = await import('node:fs/promises')
  const { join, relative } = await import('node:path')
  const file = join(await temporaryDirectory(t), 'x.yaml')
  await writeFile(file, 'foo: 1')
  const written = relative(process.cwd(), file)
  await t.rejects(loadConfig({ file: written, env: { HOME: '/h' }, hostname: 'h', plugins: [] }), {
    code: 'TG_CONFIG_INVALID',
    message: `${written}:1:1: unknown key foo; known are gateway, log, api, sources, sinks\n${written}:1:1: unknown source type mqtt-broker; known are `,
  })
})

test('a placeholder inside braces needs quotes, and the problem says so', async (t) => {
  t.strictSame(await problemsOf(t, `gateway: { id: \${NAME} }`), [
    '1:17: Unexpected flow-map-start at node end; put quotes around a placeholder that stands inside { } or [ ]',
  ])
})

test('YAML that is not YAML is reported where it breaks', async (t) => {
  t.match(await problemsOf(t, 'gateway:\n  id: a\n  id: b\n'), [/^3:3: .*unique/])
  t.match(await problemsOf(t, 'api: { listen: x\nsinks: []\n'), [/^\d+:\d+: /])
  t.match(await problemsOf(t, 'a: 1\n---\nb: 2\n'), [/multiple documents/])
  t.match(await problemsOf(t, 'gateway: !custom x\n'), [/^1:\d+: /])
  t.match(await problemsOf(t, '- a\n'), ['1:1: the configuration must be a mapping of keys, not a list'])
  t.match(await problemsOf(t, 'just words\n'), ['1:1: the configuration must be a mapping of keys, not a text'])
})

test('a hostile file is refused and not expanded', async (t) => {
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${[...'bcdefghij']
    .map((key, index) => `${key}: &${key} [${Array(9).fill(`*${'abcdefghij'[index]}`).join()}]`)
    .join('\n')}\n`
  t.match(await problemsOf(t, bomb), [/alias/i])
  t.match(await problemsOf(t, '['.repeat(20_000)), [/^1:\d+: .*nested too deeply/])
  t.match(await problemsOf(t, 'gateway: &a { id: *a }'), ['1:1: is nested more than 40 deep, or refers to itself'])
  t.match(await problemsOf(t, 'sinks: &a [*a, *a, *a]'), [/refers to itself|alias/i])
  t.match(await problemsOf(t, `# ${'x'.repeat(1_100_000)}`), ['1:1: is larger than 1048576 bytes'])
  t.match(await problemsOf(t, '__proto__: { polluted: true }\nconstructor: 1\n'), [
    /^1:1: unknown key __proto__/,
    /^2:1: unknown key constructor/,
  ])
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})

test('what a placeholder cannot find is reported where the placeholder stands, and only once', async (t) => {
  const problems = await problemsOf(
    t,
    `gateway: { id: "a-\${ABSENT}" }
sinks:
  - name: c
    type: amqp
    url: \${file:absent.txt}
    exchange: x\${credential:absent}
  - name: d
    type: amqp
    url: "\${file:/dev}\${what is this}\${unclosed"
`,
  )
  t.strictSame(problems, [
    '1:19: environment variable ABSENT is not set',
    '5:10: file absent.txt does not exist',
    '6:16: credential absent is missing: systemd passed none (see LoadCredential= in the unit)',
    '9:11: file /dev cannot be read (EISDIR)',
    `9:23: \${what is this} is not a placeholder; known are \${NAME}, \${file:PATH} and \${credential:NAME}`,
    `9:38: the placeholder \${ is not closed; write $\${ for these characters themselves`,
  ])
  const outside = await problemsOf(t, `gateway: { id: "\${credential:../../etc/shadow}" }`, {
    env: { HOME: '/h', CREDENTIALS_DIRECTORY: '/run/credentials' },
  })
  t.strictSame(outside, ["1:17: '../../etc/shadow' cannot name a credential"])
})

test('listening beyond this machine without protection is refused, and the message says how to do it', async (t) => {
  for (const host of ['0.0.0.0', '[::]', '192.168.1.5', 'gateway.local']) {
    const [api, ...more] = await problemsOf(t, `api: { listen: "${host}:8080" }`)
    t.match(api, /^1:16: api\.listen reaches beyond this machine.*api\.tokens.*sha256/)
    t.strictSame(more, [])
    t.match(await problemsOf(t, `sources: [{ name: b, type: mqtt-broker, listen: "${host}:1883" }]`), [
      /^1:\d+: sources\[0\]\.listen reaches beyond this machine.*127\.0\.0\.1/,
    ])
  }
  for (const host of ['127.0.0.1', '127.9.9.9', '[::1]', 'localhost']) {
    t.strictSame(await problemsOf(t, `api: { listen: "${host}:8081" }`), [])
  }
})

test('two listeners on one port are refused', async (t) => {
  const both = (one: string, other: string) =>
    problemsOf(t, `api: { listen: "${one}" }\nsources: [{ name: b, type: mqtt-broker, listen: "${other}" }]`)
  t.match(await both('127.0.0.1:9000', '127.0.0.1:9000'), [
    '2:49: sources[0].listen wants port 9000, which api.listen has already',
  ])
  t.match(await both('localhost:9000', '127.0.0.1:9000'), [/port 9000/])
  t.strictSame(await both('127.0.0.1:9000', '[::1]:9000'), [])
  t.strictSame(await both('127.0.0.1:0', '127.0.0.1:0'), [])
})

test('what a later version will have is said to be missing, not misspelt', async (t) => {
  const problems = await problemsOf(
    t,
    `gateway: { plugins: [own.js] }
sources:
  - { name: b, type: mqtt-broker, users: {} }
sinks:
  - { name: c, type: influxdb, url: "http://h" }
  - { name: d, type: amqp, url: "amqp://h", compression: gzip }
`,
    { files: { 'own.js': '' } },
  )
  t.strictSame(problems, [
    '1:22: third-party plug-ins are not available in this version yet',
    '3:35: key users of source type mqtt-broker is not available in this version yet',
    '5:22: sink type influxdb is not available in this version yet',
    '6:58: sinks[1].compression must be one of none',
  ])
})

test('files and directories that are named must be there', async (t) => {
  t.strictSame(
    await problemsOf(t, 'gateway: { devices: [absent, a.txt] }\napi: { tls: { cert: absent.crt, key: a.txt } }', {
      files: { 'a.txt': '' },
    }),
    [
      '1:22: gateway.devices[0]: absent does not exist',
      '1:30: gateway.devices[1]: a.txt is not a directory',
      '2:21: api.tls.cert: absent.crt does not exist',
    ],
  )
})

test('no message repeats a value that may be a secret', async (t) => {
  const problems = await problemsOf(
    t,
    `sinks:
  - { name: c, type: amqp, url: "amqp//user:hunter2@h", exchange: 7654321, batch: hunter2 }
`,
  )
  t.equal(problems.length, 3)
  t.notMatch(problems.join('\n'), /hunter2|7654321/)
})

test('a plug-in that cannot be loaded is a problem of the line that names it', async (t) => {
  const problems = await problemsOf(t, 'gateway: { plugins: [own.js] }', {
    files: { 'own.js': '' },
    loadPlugin: () => Promise.reject(new Error('it exports no plugin')),
  })
  t.strictSame(problems, ['1:22: plug-in own.js: it exports no plugin'])
})

test('a choice between forms complains about the form that was meant', async (t) => {
  const plugins = [
    {
      kind: 'sink',
      type: 'choosy',
      schema: {
        properties: {
          target: {
            oneOf: [
              { type: 'string' },
              { type: 'object', additionalProperties: false, properties: { host: { type: 'string' } } },
            ],
          },
        },
      },
    },
  ] as const
  const sources = 'sources: []\n'
  t.strictSame(await problemsOf(t, `${sources}sinks: [{ name: a, type: choosy, target: { hots: x } }]`, { plugins }), [
    '2:44: unknown key hots in sinks[0].target; did you mean host?',
  ])
  t.match(await problemsOf(t, `${sources}sinks: [{ name: a, type: choosy, target: 5 }]`, { plugins }), [
    '2:42: sinks[0].target has none of the forms that are allowed here',
  ])
})

test('a file of several documents is told so in the words of a user', async (t) => {
  const problems = await problemsOf(t, 'gateway: { id: a }\n---\ngateway: { id: b }\n')
  t.strictSame(problems, ['2:1: holds multiple documents: remove the --- and what follows it'])
})

test('a keep policy that is not clear is named, with what is meant', async (t) => {
  const problems = await problemsOf(
    t,
    `log:
  keep:
    - { topic: "a/#/b", per: 1m }
    - { devices: x, per: 1m }
    - { topic: a, device: b, per: 1m }
    - { topic: a, newest: 0, per: 10ms }
    - { topic: a, newst: 2 }
    - { per: 1m }
`,
  )
  t.strictSame(problems, [
    '3:16: log.keep[0].topic must be an MQTT Topic Filter, such as sensors/# or +/temperature',
    '4:7: log.keep[1] lacks a filter: topic or device',
    '4:9: unknown key devices in log.keep[1]; did you mean device?',
    '5:7: log.keep[2] has both topic and device; write two policies',
    '6:27: log.keep[3].newest must be >= 1',
    '6:35: log.keep[3].per must be at least 1s',
    '7:7: log.keep[4] lacks the key per',
    '7:19: unknown key newst in log.keep[4]; did you mean newest?',
    '8:7: log.keep[5] lacks a filter: topic or device',
  ])
})
