// Bundles the benchmarks (Node 20 cannot strip types) and runs them against dist/: npm run bench [-- wear|log|decoders|mqtt-client] [--quick].

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
// As deep below the root as test/support, whose modules look for dist/ relative to themselves; ignored by git.
const outdir = join(root, '.tap', 'bench')

if (!existsSync(join(root, 'dist', 'main.js'))) {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'build.js')], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
await build({
  entryPoints: ['main', 'load', 'null-server'].map((name) => join(root, 'test', 'bench', `${name}.ts`)),
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'warning',
})
const { status, signal } = spawnSync(process.execPath, [join(outdir, 'main.mjs'), ...process.argv.slice(2)], {
  stdio: 'inherit',
})
process.exitCode = signal === null ? (status ?? 1) : 1
