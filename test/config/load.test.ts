import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import { loadConfig } from '../../src/config/load.ts'
import { configOf } from '../support/configuration.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { pluginTypes } from '../support/plugin-types.ts'

const env = { HOME: '/home/somebody' }
const noFile = { defaultFile: '/nonexistent/tidegate.yaml', hostname: 'pi.local', plugins: pluginTypes, env }

test('without a file the built-in defaults hold', async (t) => {
  const config = await loadConfig(noFile)
  t.strictSame(config, {
    file: undefined,
    gateway: { id: 'pi', data: '/home/somebody/.local/state/tidegate', clockWaitMs: 60_000, plugins: [], devices: [] },
    log: {
      commitDelayMs: 10,
      maxBytes: 2 ** 30,
      maxAgeMs: 30 * 86_400_000,
      minFreeBytes: 256 * 2 ** 20,
      whenFull: 'dropOldest',
      keep: [],
    },
    api: { listen: { host: '127.0.0.1', port: 8080 }, tls: undefined, tokens: [], origins: [] },
    sources: [
      {
        name: 'broker',
        type: 'mqtt-broker',
        settings: { listen: '127.0.0.1:1883', maxPacketBytes: 262_144, maxConnections: 1000, connectTimeout: 10_000 },
      },
    ],
    sinks: [],
  })
})

test('the default file is used when it exists, and a named file must exist', async (t) => {
  const directory = await temporaryDirectory(t)
  const defaultFile = join(directory, 'tidegate.yaml')
  await writeFile(defaultFile, 'gateway: { id: from-default }')
  t.equal((await loadConfig({ ...noFile, defaultFile })).gateway.id, 'from-default')
  await t.rejects(loadConfig({ ...noFile, file: join(directory, 'absent.yaml') }), {
    code: 'TG_CONFIG_MISSING',
    message: /absent\.yaml does not exist/,
  })
  await t.rejects(loadConfig({ ...noFile, file: directory }), { code: 'TG_CONFIG_MISSING' })
})

test('an empty file is the same as no file', async (t) => {
  for (const text of ['', '# nothing yet\n', 'gateway:\nsources:\nsinks:\n']) {
    const { gateway, sources } = await configOf(t, text)
    t.equal(gateway.id, 'test-host')
    t.strictSame(
      sources.map(({ name }) => name),
      ['broker'],
    )
  }
})

test('an empty list of sources means none', async (t) => {
  t.strictSame((await configOf(t, 'sources: []')).sources, [])
})

test('durations become milliseconds and sizes bytes, at every depth and in plug-in settings', async (t) => {
  const config = await configOf(
    t,
    `log: { commitDelay: 1.5s, maxBytes: 64MiB, maxAge: 2w, minFree: 0B }
sources:
  - { name: b, type: mqtt-broker, maxPacketBytes: 1MB, connectTimeout: 5min }
sinks:
  - { name: cloud, type: amqp, url: "amqp://h", batch: { maxDelay: 250ms } }
`,
  )
  t.match(config.log, { commitDelayMs: 1_500, maxBytes: 67_108_864, maxAgeMs: 1_209_600_000, minFreeBytes: 0 })
  t.match(config.sources[0]?.settings, { maxPacketBytes: 1_000_000, connectTimeout: 300_000 })
  t.strictSame(config.sinks[0], {
    name: 'cloud',
    type: 'amqp',
    settings: {
      url: 'amqp://h',
      exchange: 'telemetry',
      exchangeType: 'topic',
      compression: 'none',
      persistent: true,
      batch: { maxReadings: 500, maxDelay: 250 },
    },
  })
})

test('the configuration is frozen, all of it', async (t) => {
  const config = await configOf(t, 'sinks: [{ name: a, type: amqp, url: "amqp://h" }]')
  const frozen = (value: unknown): boolean =>
    typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen))
  t.ok(frozen(config))
})

test('relative paths start from the directory of the file', async (t) => {
  const directory = await temporaryDirectory(t)
  await mkdir(join(directory, 'profiles'))
  await writeFile(join(directory, 'server.crt'), 'certificate')
  await writeFile(join(directory, 'server.key'), 'key')
  const file = join(directory, 'tidegate.yaml')
  await writeFile(
    file,
    'gateway: { data: ./data, devices: [profiles] }\napi: { tls: { cert: server.crt, key: server.key } }',
  )
  const config = await loadConfig({ ...noFile, file })
  t.equal(config.file, file)
  t.equal(config.gateway.data, join(directory, 'data'))
  t.strictSame(config.gateway.devices, [join(directory, 'profiles')])
  t.strictSame(config.api.tls, { cert: join(directory, 'server.crt'), key: join(directory, 'server.key') })
})

test('the data directory is $STATE_DIRECTORY, else $XDG_STATE_HOME/tidegate, else below the home', async (t) => {
  const dataOf = async (given: Record<string, string>) => (await loadConfig({ ...noFile, env: given })).gateway.data
  t.equal(await dataOf({ STATE_DIRECTORY: '/var/lib/tidegate', XDG_STATE_HOME: '/x', HOME: '/h' }), '/var/lib/tidegate')
  t.equal(await dataOf({ STATE_DIRECTORY: '/var/lib/a:/var/lib/b' }), '/var/lib/a')
  t.equal(await dataOf({ XDG_STATE_HOME: '/x', HOME: '/h' }), '/x/tidegate')
  t.equal(await dataOf({ XDG_STATE_HOME: 'relative', HOME: '/h' }), '/h/.local/state/tidegate')
  await t.rejects(dataOf({}), { code: 'TG_CONFIG_INVALID', message: /gateway\.data/ })
})

test('the host name becomes an id that may stand in a routing key', async (t) => {
  const idOf = async (hostname: string) => (await loadConfig({ ...noFile, hostname })).gateway.id
  t.equal(await idOf('greenhouse'), 'greenhouse')
  t.equal(await idOf('greenhouse.example.com'), 'greenhouse')
  t.equal(await idOf('Gewächs haus'), 'Gew-chs-haus')
  t.equal(await idOf(''), 'tidegate')
  t.equal((await idOf('x'.repeat(300))).length, 64)
})

test('placeholders take environment variables, files and systemd credentials', async (t) => {
  const credentials = await temporaryDirectory(t)
  await writeFile(join(credentials, 'amqp-password'), 's3cret\n')
  const config = await configOf(
    t,
    `gateway: { id: "\${SITE}-\${NUMBER}" }
sinks:
  - name: cloud
    type: amqp
    url: amqp://\${file:user.txt}:\${credential:amqp-password}@h
    exchange: $\${not-one}
`,
    {
      env: { HOME: '/h', SITE: 'north', NUMBER: '7', CREDENTIALS_DIRECTORY: credentials },
      files: { 'user.txt': '  gateway \n' },
    },
  )
  t.equal(config.gateway.id, 'north-7')
  t.match(config.sinks[0]?.settings, { url: 'amqp://gateway:s3cret@h', exchange: `\${not-one}` })
})

test('an unquoted placeholder may stand for a number or a boolean where one is expected, and stays text elsewhere', async (t) => {
  const config = await configOf(
    t,
    `gateway:
  id: \${NUMBER}
sources:
  - name: b
    type: mqtt-broker
    maxConnections: \${NUMBER}
sinks:
  - name: c
    type: amqp
    url: amqp://h
    persistent: \${NO}
    exchange: "\${NUMBER}"
    batch:
      maxReadings: \${NUMBER}
`,
    { env: { HOME: '/h', NUMBER: '42', NO: 'false' } },
  )
  t.equal(config.gateway.id, '42')
  t.equal(config.sources[0]?.settings['maxConnections'], 42)
  t.match(config.sinks[0]?.settings, { persistent: false, exchange: '42', batch: { maxReadings: 42 } })
})

test('anchors, aliases and merge keys work', async (t) => {
  const config = await configOf(
    t,
    `sinks:
  - &base { name: one, type: amqp, url: "amqp://h", batch: { maxDelay: 5s } }
  - { <<: *base, name: two }
`,
  )
  t.strictSame(
    config.sinks.map(({ name, settings }) => [name, settings['batch']]),
    [
      ['one', { maxReadings: 500, maxDelay: 5_000 }],
      ['two', { maxReadings: 500, maxDelay: 5_000 }],
    ],
  )
})

test('beyond this machine the API may listen with a token', async (t) => {
  const hash = `sha256:${'0a'.repeat(32)}`
  const config = await configOf(t, `api: { listen: "[::]:8443", tokens: [{ name: me, hash: "${hash}" }] }`)
  t.strictSame(config.api.listen, { host: '::', port: 8443 })
  t.strictSame(config.api.tokens, [{ name: 'me', hash }])
})

test('a third-party plug-in brings its own schema', async (t) => {
  const asked: string[] = []
  const config = await configOf(t, 'gateway: { plugins: [own.js] }\nsources: [{ name: x, type: own, every: 2s }]', {
    files: { 'own.js': '' },
    loadPlugin: async (path) => {
      asked.push(path)
      return {
        kind: 'source',
        type: 'own',
        schema: { properties: { every: { type: 'string', format: 'duration' } }, additionalProperties: false },
      }
    },
  })
  t.strictSame(config.sources[0], { name: 'x', type: 'own', settings: { every: 2_000 } })
  t.strictSame(asked, [join(dirname(config.file ?? ''), 'own.js')])
})
