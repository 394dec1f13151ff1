// The dashboard's files, read into memory once. No file of the disk is reachable by any path but these.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { describe } from '../core/errors.ts'
import type { ApiContext } from './context.ts'
import { matchesTag } from './readings.ts'

const TYPES: ReadonlyMap<string, string> = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'],
  ['.ico', 'image/x-icon'],
  ['.woff2', 'font/woff2'],
  ['.webmanifest', 'application/manifest+json; charset=utf-8'],
])
/** Values come from strangers: no script but ours runs, and nobody puts the page into a frame. */
const POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"

export const registerDashboard = async (app: FastifyInstance, { options }: ApiContext): Promise<void> => {
  let names: string[]
  try {
    const entries = await readdir(options.webDirectory, { withFileTypes: true })
    names = entries.filter((entry) => entry.isFile() && TYPES.has(extname(entry.name))).map(({ name }) => name)
  } catch (error) {
    options.logger.warn({ error: describe(error) }, 'the dashboard is not there')
    return
  }
  for (const name of names) {
    const body = await readFile(join(options.webDirectory, name))
    const type = TYPES.get(extname(name)) ?? 'application/octet-stream'
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
    for (const url of name === 'index.html' ? ['/', '/index.html'] : [`/${name}`]) {
      app.get(url, async (request, reply) => {
        reply.header('etag', etag).header('cache-control', 'no-cache').header('content-security-policy', POLICY)
        reply.header('referrer-policy', 'no-referrer')
        if (matchesTag(request.headers['if-none-match'], etag)) return reply.code(304).send()
        return reply.header('content-type', type).send(body)
      })
    }
  }
}
