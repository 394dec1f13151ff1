// Bundles the dashboard (src/web) into one directory: index.html, app.js, app.css, icon.svg and the licence of what is
// bundled. Nothing is fetched from anywhere at build or at run time. Used by scripts/build.js and by the dashboard's tests.

import { copyFile, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const web = join(root, 'src', 'web')

/** The whole page must stay loadable over a weak mobile link: a few tens of kB, before compression. */
const MAX_BUNDLE_BYTES = 80 * 1024

/**
 * @param {string} directory where the page goes; created if missing
 * @returns {Promise<number>} size of the page in bytes
 */
export const bundleWeb = async (directory) => {
  await mkdir(directory, { recursive: true })
  await build({
    absWorkingDir: web,
    entryPoints: [
      { in: 'main.tsx', out: 'app' },
      { in: 'app.css', out: 'app' },
    ],
    outdir: directory,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    // What people have in their pockets: phones of the last four years.
    target: ['chrome105', 'firefox115', 'safari16'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    tsconfig: join(web, 'tsconfig.json'),
    legalComments: 'none',
    logLevel: 'warning',
  })
  await Promise.all([
    copyFile(join(web, 'index.html'), join(directory, 'index.html')),
    copyFile(join(web, 'icon.svg'), join(directory, 'icon.svg')),
    copyFile(join(root, 'node_modules', 'preact', 'LICENSE'), join(directory, 'preact.license.txt')),
  ])
  const files = ['index.html', 'app.js', 'app.css', 'icon.svg']
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(directory, file))).size))
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  if (bytes > MAX_BUNDLE_BYTES) throw new Error(`the dashboard has grown to ${bytes} bytes, above ${MAX_BUNDLE_BYTES}`)
  return bytes
}
