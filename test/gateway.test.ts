import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { loadConfig } from '../src/config/load.ts'
import { Gateway } from '../src/gateway.ts'
import { createLogger } from '../src/ops/logger.ts'
import { createMetrics } from '../src/ops/metrics.ts'
import { builtInPlugins, loadPlugin } from '../src/plugins.ts'
import { temporaryDirectory } from './support/directory.ts'
import { until } from './support/until.ts'

/** A source that starts when the file beside it is told to. */
const SLOW_SOURCE = `
import { setTimeout as sleep } from 'node:timers/promises'
import { existsSync } from 'node:fs'
const go = new URL('./go', import.meta.url)
export const plugin = {
  kind: 'source',
  type: 'slow',
  schema: { type: 'object', properties: {} },
  create: () => ({
    async start(intake, signal) {
      while (!existsSync(go)) await sleep(5, undefined, { signal })
    },
    health: () => ({ state: 'ok', since: 0 }),
    close: async () => undefined,
  }),
}
`

test('a gateway whose sources are still starting answers, and does not call itself ready', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'slow.mjs'), SLOW_SOURCE)
  const file = join(directory, 'tidegate.yaml')
  await writeFile(
    file,
    `gateway: { id: greenhouse, data: ${join(directory, 'data')}, plugins: [slow.mjs] }
api: { listen: '127.0.0.1:0' }
sources: [{ name: meter, type: slow }]
`,
  )
  const plugins = await builtInPlugins()
  const logger = createLogger({ level: 'silent', format: 'json' })
  const gateway = new Gateway({
    config: await loadConfig({ file, env: {}, hostname: 'here', plugins, loadPlugin }),
    profiles: [],
    decoders: new Map(),
    bindings: [],
    version: '0.0.0',
    logger,
    logLevel: 'silent',
    logFormat: 'json',
    metrics: createMetrics(logger),
  })
  t.teardown(() => gateway.close())
  const started = gateway.start(new AbortController().signal)
  const url = await until('the API listens', () => gateway.apiAddress)
  const readiness = async () => {
    const response = await fetch(new URL('/readyz', url))
    return { status: response.status, body: await response.text() }
  }
  const early = await readiness()
  t.equal(early.status, 503)
  t.match(early.body, 'the gateway is starting')
  await writeFile(join(directory, 'go'), '')
  await started
  t.strictSame(await readiness(), { status: 200, body: '{"ready":true,"reasons":[]}' })
})
