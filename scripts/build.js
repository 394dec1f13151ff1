// The whole build: types and JavaScript of the gateway to dist/, the dashboard to dist/web/, the configuration's JSON Schema
// to dist/tidegate.schema.json, the device profiles to dist/profiles.json. Stops at the first thing that is wrong, with exit code 1.

import { spawnSync } from 'node:child_process'
import { chmod, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { bundleWeb } from './bundle-web.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const SHEBANG = '#!/usr/bin/env node\n'

/** @param {string[]} parameters */
const tsc = (...parameters) => {
  const compiler = join(root, 'node_modules', '.bin', 'tsc')
  const { status, error } = spawnSync(compiler, parameters, { cwd: root, stdio: 'inherit' })
  if (error !== undefined) throw new Error(`${compiler} cannot be run; has 'npm ci' been run?`, { cause: error })
  if (status !== 0) throw new Error(`tsc ${parameters.join(' ')} failed`)
}

/** @param {string} file */
const makeExecutable = async (file) => {
  const handle = await open(file)
  try {
    const { buffer } = await handle.read(Buffer.alloc(SHEBANG.length), 0, SHEBANG.length, 0)
    if (buffer.toString() !== SHEBANG) throw new Error(`${file} does not begin with ${SHEBANG.trim()}`)
  } finally {
    await handle.close()
  }
  await chmod(file, 0o755)
}

/** What editors validate and complete tidegate.yaml with. */
const writeSchema = async () => {
  const load = (/** @type {string} */ module) => import(pathToFileURL(join(dist, module)).href)
  const { shippedSchema } = await load('config/schema.js')
  const { builtInPlugins } = await load('plugins.js')
  const schema = shippedSchema(await builtInPlugins())
  await writeFile(join(dist, 'tidegate.schema.json'), `${JSON.stringify(schema, null, 2)}\n`)
}

/** The built-in device profiles, read and checked once for all starts. */
const writeProfiles = async () => {
  const load = (/** @type {string} */ module) => import(pathToFileURL(join(dist, module)).href)
  const { builtInDevicesDirectory, loadDeviceProfiles } = await load('config/device-profiles.js')
  const { prepareProfiles } = await load('config/prepared-profiles.js')
  const { decoderPlugins } = await load('plugins.js')
  const decoders = [...(await decoderPlugins([])).values()]
  const profiles = await loadDeviceProfiles([builtInDevicesDirectory()], decoders)
  await writeFile(join(dist, 'profiles.json'), await prepareProfiles(profiles, decoders))
}

await rm(dist, { recursive: true, force: true })
tsc('-p', 'tsconfig.json')
tsc('-p', join('src', 'web', 'tsconfig.json'))
const webBytes = await bundleWeb(join(dist, 'web'))
await writeSchema()
await writeProfiles()
await makeExecutable(join(dist, 'main.js'))
console.log(`built dist (dashboard ${(webBytes / 1_024).toFixed(1)} KiB)`)
